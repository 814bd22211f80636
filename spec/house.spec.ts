// The rules of the house that a machine can check: who may import whom, what kernels look like, and that every clause
// of SPEC.md has its test.

import { describe, expect, it } from 'vitest';
import * as shared from '../src/tensor/kernel.ts';
import { subgroupReduce, treeReduce } from '../src/tensor/row-kernel.ts';
import { testGpu } from './support/gpu.ts';
import {
  clauses,
  type ImportLine,
  idsInTitles,
  importCycle,
  importsOf,
  propertiesInTitles,
  readSource,
  type SourceFile,
  sourceFiles,
  withoutComments,
} from './support/source-files.ts';

const source = sourceFiles('src');
const explorer = sourceFiles('explorer');
const specFiles = sourceFiles('spec').filter(({ path }) => path.endsWith('.spec.ts'));
const imports = source.flatMap(importsOf);
const local = imports.filter(({ isLocal }) => isLocal);

/** The places, as `from -> to`, of the imports from a folder that go elsewhere than they may. */
function strays(from: RegExp, mayGo: RegExp, lines: readonly ImportLine[] = local): string[] {
  return lines
    .filter((line) => from.test(line.from) && !mayGo.test(line.to))
    .map((line) => `${line.from} -> ${line.to}`);
}

/** The files whose code, comments left out, matches. */
function matching(files: readonly SourceFile[], pattern: RegExp): string[] {
  return files.filter(({ text }) => pattern.test(withoutComments(text))).map(({ path }) => path);
}

describe('house: imports', () => {
  it('house: the reader of imports sees every form', () => {
    const text = [
      "import type { A } from './a.ts';",
      "import {\n  type B,\n  b,\n} from '../b.ts';",
      "export { c } from './c.ts';",
      "export type { D } from './d.ts';",
      "import 'node:fs';",
      "const e = await import('./e.ts');",
      "// import { f } from './f.ts';",
    ].join('\n');
    const lines = importsOf({ path: 'src/x/y.ts', text });
    expect(lines.map(({ to, isTypeOnly, isDynamic }) => [to, isTypeOnly, isDynamic])).toEqual([
      ['src/x/a.ts', true, false],
      ['src/b.ts', false, false],
      ['src/x/c.ts', false, false],
      ['src/x/d.ts', true, false],
      ['node:fs', false, false],
      ['src/x/e.ts', false, true],
    ]);
    const files = [
      { path: 'a.ts', text: "import { b } from './b.ts';" },
      { path: 'b.ts', text: "import type { a } from './a.ts';\nimport { c } from './c.ts';" },
      { path: 'c.ts', text: "import { b } from './b.ts';" },
    ];
    expect(importCycle(files.slice(0, 2))).toBeNull();
    expect(importCycle(files)).toEqual(['b.ts', 'c.ts', 'b.ts']);
  });

  it('house: tensor imports tensor, and its core does not import the ops, but for what opens a device', () => {
    expect(strays(/^src\/tensor\//, /^src\/tensor\//)).toEqual([]);
    expect(strays(/^src\/tensor\/(?!index\.ts|open-gpu\.ts)[^/]+\.ts$/, /^src\/tensor\/[^/]+\.ts$/)).toEqual(
      [],
    );
    expect(strays(/^src\/tensor\/ops\//, /^src\/tensor\/(?!index\.ts)/)).toEqual([]);
  });

  it('house: models import tensor and models, never visionzip', () => {
    expect(strays(/^src\/models\//, /^src\/(tensor|models)\//)).toEqual([]);
  });

  it('house: vision-zip imports tensor only; visionzip imports tensor, models and visionzip', () => {
    expect(strays(/^src\/visionzip\/vision-zip\.ts$/, /^src\/tensor\//)).toEqual([]);
    expect(strays(/^src\/visionzip\//, /^src\/(tensor|models|visionzip)\//)).toEqual([]);
  });

  it('house: eval imports tensor, models, visionzip and eval, and only cli imports eval', () => {
    expect(strays(/^src\/eval\//, /^src\/(tensor|models|visionzip|eval)\//)).toEqual([]);
    expect(strays(/^src\/(?!eval\/|cli\/)/, /^src\/(?!eval\/)/)).toEqual([]);
  });

  it('house: nothing but cli imports cli, nothing in src imports outside of src', () => {
    expect(strays(/^src\/(?!cli\/)/, /^src\/(?!cli\/)/)).toEqual([]);
    expect(strays(/^src\//, /^src\//)).toEqual([]);
  });

  it('house: the explorer imports what users of the library do, and nobody imports it but its specs', () => {
    const lines = explorer.flatMap(importsOf);
    expect(strays(/./, /^(explorer\/.+|src\/(tensor|models|visionzip)\/index)\.ts$/, lines)).toEqual([]);
    expect(strays(/^src\//, /^(?!explorer\/)/)).toEqual([]);
  });

  it('house: no circle of imports, types aside', () => {
    expect(importCycle(source)).toBeNull();
    expect(importCycle(explorer)).toBeNull();
  });

  it('house: the oracle imports nothing but its neighbours', () => {
    const oracle = sourceFiles('spec/oracle').filter(({ path }) => !path.endsWith('.spec.ts'));
    expect(strays(/./, /^spec\/oracle\//, oracle.flatMap(importsOf))).toEqual([]);
  });

  it('house: Node is reached through few doors', () => {
    const doors = /^src\/(cli\/.+|models\/checkpoint\/model-directory)\.ts$/;
    const toNode = imports.filter(({ to }) => to.startsWith('node:'));
    expect(toNode.filter(({ from }) => !doors.test(from)).map(({ from, to }) => `${from} -> ${to}`)).toEqual(
      [],
    );
    // Browsers load these files, too, and must not meet a node: module before they need it.
    const early = toNode.filter(
      ({ from, isTypeOnly, isDynamic }) => !from.startsWith('src/cli/') && !isTypeOnly && !isDynamic,
    );
    expect(early.map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
  });
});

describe('house: language', () => {
  const all = [...source, ...explorer, ...sourceFiles('spec')];
  const others = all.filter(({ path }) => path !== 'spec/house.spec.ts');

  it('house: no default exports, no enum, no namespace, no any', () => {
    expect(matching(others, /^export default\b/m)).toEqual([]);
    expect(matching(others, /^\s*(export\s+)?(declare\s+)?(const\s+)?enum\s/m)).toEqual([]);
    expect(matching(others, /^\s*(export\s+)?(declare\s+)?namespace\s/m)).toEqual([]);
    expect(matching(others, /(:|<|\bas|,|\|)\s*any\b(?!\w|')[\s,;)>[\]|=]/)).toEqual([]);
  });

  it('house: no utils, nothing left to do, no skipped or lonely tests', () => {
    expect(all.filter(({ path }) => /\butils?\.ts$/.test(path)).map(({ path }) => path)).toEqual([]);
    const marks = new RegExp(
      `\\b(${['TO', 'FIX', 'X'].map((mark, i) => mark + ['DO', 'ME', 'XX'][i]).join('|')})\\b`,
    );
    expect(others.filter(({ text }) => marks.test(text)).map(({ path }) => path)).toEqual([]);
    expect(matching(others, /\b(it|describe|test)\.(only|skip|todo|fails)\b/)).toEqual([]);
  });
});

interface KernelText {
  readonly path: string;
  readonly text: string;
}

/** The texts between `wgsl` and the closing backquote, with the shared functions put in. */
function kernelTexts(): KernelText[] {
  return source
    .filter(({ path }) => !['src/tensor/kernel.ts', 'src/tensor/row-kernel.ts'].includes(path))
    .flatMap(({ path, text }) =>
      Array.from(text.matchAll(/wgsl`([^`]*)`/g), ([, code]) => ({ path, text: code as string })),
    );
}

describe('house: kernels', () => {
  const functions: Readonly<Record<string, unknown>> = { ...shared };

  /** With the shared functions put in; a row kernel in both forms. */
  const whole = ({ path, text }: KernelText): { path: string; code: string }[] => {
    const code = text.replace(/\$\{([^}]*)\}/g, (_, name: string) => String(functions[name]));
    const forms = /\blanes\b/.test(text) ? [treeReduce, subgroupReduce] : [''];
    return forms.map((form) => ({ path, code: form + code }));
  };

  it('T-3.2 a kernel text holds nothing but itself and shared functions', () => {
    const texts = kernelTexts();
    expect(texts.length).toBeGreaterThan(20);
    for (const { path, text } of texts) {
      for (const [, name] of text.matchAll(/\$\{([^}]*)\}/g))
        expect(typeof functions[name as string], `\${${name}} in ${path}`).toBe('string');
    }
    const withKernels = source.filter(({ text }) => /\bKernel = \{/.test(text));
    expect(withKernels.length).toBeGreaterThan(10);
    expect(matching(withKernels, /\bcode:(?!\s*wgsl`)/)).toEqual([]);
    expect(matching(source, /= rowKernel\((?!\s*'\w+',\s*wgsl`)/)).toEqual([]);
  });

  it('T-3.2 bindings are params, inputs, and one output or two', () => {
    for (const { path, text } of kernelTexts()) {
      const bindings = Array.from(text.matchAll(/@group\(0\) @binding\((\d+)\) var<([^>]+)>/g));
      const kinds = bindings.map(([, number, kind]) => `${number} ${kind}`);
      const outputs = path.endsWith('/streaming-attention.ts') ? 2 : 1;
      const expected = bindings.map((_, i) => {
        if (i === 0) return '0 uniform';
        return `${i} storage, ${i >= bindings.length - outputs ? 'read_write' : 'read'}`;
      });
      expect(kinds, path).toEqual(expected);
    }
  });

  it('T-3.2 every kernel compiles', async () => {
    const { device } = await testGpu();
    const messages: string[] = [];
    for (const { path, code } of kernelTexts().flatMap(whole)) {
      if (code.includes('enable chromium_experimental_subgroup_matrix')) continue; // T-28.1, on the null backend
      device.pushErrorScope('validation');
      const { messages: found } = await device.createShaderModule({ code }).getCompilationInfo();
      await device.popErrorScope();
      messages.push(
        ...found.map(({ type, lineNum, message }) => `${path}: ${type} in line ${lineNum}: ${message}`),
      );
    }
    expect(messages).toEqual([]);
  });
});

describe('house: clauses', () => {
  const defined = clauses();
  const titles = idsInTitles(specFiles);

  it('house: every clause of SPEC.md is named by a test or says why it cannot be tested', () => {
    expect(defined.size).toBeGreaterThan(50);
    const missing = [...defined]
      .filter(([id, { untestable }]) => !untestable && !titles.has(id))
      .map(([id]) => id);
    expect(missing, 'clauses without a test').toEqual([]);
  });

  it('house: no clause is defined twice', () => {
    const ids = Array.from(readSource('SPEC.md').matchAll(/\*\*([A-Z]+-\d+\.\d+)\*\*/g), ([, id]) => id);
    expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
  });

  it('house: every clause of VZ and M is shown red by a mutant, in a spec with a test of that name', async () => {
    const all = await mutants();
    const shown = new Set(all.flatMap(({ clauses: ids = [] }) => ids));
    const missing = [...defined]
      .filter(([id, { untestable }]) => /^(VZ|M)-/.test(id) && !untestable && !shown.has(id))
      .map(([id]) => id);
    expect(missing, 'clauses that no mutant turns red').toEqual([]);
    const named = new Map(specFiles.map((file) => [file.path, idsInTitles([file])]));
    const elsewhere = all.flatMap(({ id, clauses: ids = [], specs = [] }) =>
      ids
        .filter((clause) => !specs.some((path) => named.get(path)?.has(clause)))
        .map((clause) => `mutant ${id}: ${clause}`),
    );
    expect(elsewhere, 'clauses that no test of these specs names').toEqual([]);
  });

  it('house: every clause that a test names is in SPEC.md', () => {
    const unknown = [...titles].filter(([id]) => /^(T|M|VZ|G|E|B)-/.test(id) && !defined.has(id));
    expect(unknown.map(([id, path]) => `${id} in ${path}`).sort()).toEqual([]);
  });

  it('house: every clause and section that src cites is in SPEC.md', () => {
    const sections = new Set(
      Array.from(readSource('SPEC.md').matchAll(/^#+ ([A-Z]+-\d+)\b/gm), ([, id]) => id),
    );
    const unknown = source.flatMap(({ path, text }) =>
      Array.from(text.matchAll(/\b(?:T|M|VZ|G|E|B)-\d+(?:\.\d+)?\b/g), ([id]) => id)
        .filter((id) => !(id.includes('.') ? defined.has(id) : sections.has(id)))
        .map((id) => `${id} in ${path}`),
    );
    expect([...new Set(unknown)].sort()).toEqual([]);
  });
});

describe('house: properties', () => {
  const rows = Array.from(
    readSource('docs/properties.md').matchAll(/^\| P-(\d+) \|(.*)\|$/gm),
    ([, n, row]) => ({
      n: Number(n),
      isTested: !(row as string).includes('does not apply:'),
    }),
  );
  const tested = rows.filter(({ isTested }) => isTested).map(({ n }) => n);

  it('house: every property is in the table, by number', () => {
    expect(rows.map(({ n }) => n)).toEqual(Array.from({ length: 82 }, (_, i) => i + 1));
  });

  it('house: the properties of the table are those that tests name', () => {
    const named = propertiesInTitles(specFiles);
    expect([...named].sort((a, b) => a - b)).toEqual(tested);
  });

  it('house: every property is shown red by a mutant', async () => {
    const killed = new Set((await mutants()).flatMap(({ properties = [] }) => properties));
    expect([...killed].sort((a, b) => a - b)).toEqual(tested);
  });

  it('house: every mutant still applies, and has a number of its own', async () => {
    const all = await mutants();
    const stale = all.flatMap(({ id, file, edits }) =>
      edits.filter(([find]) => readSource(file).split(find).length !== 2).map(([find]) => `${id}: ${find}`),
    );
    expect(stale).toEqual([]);
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
  });
});

interface Mutant {
  readonly id: number;
  readonly file: string;
  readonly edits: readonly (readonly [find: string, replacement: string])[];
  readonly properties?: readonly number[];
  readonly clauses?: readonly string[];
  readonly specs?: readonly string[];
}

/** All mutants of `npm run mutants`. */
async function mutants(): Promise<readonly Mutant[]> {
  const { mutants: all } = await import(new URL('../scripts/mutants/index.mjs', import.meta.url).href);
  return all as readonly Mutant[];
}
