// The text of the tree, for the house spec: files, import lines, clause ids.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..');

export interface SourceFile {
  readonly path: string; // from the root of the tree, with slashes
  readonly text: string;
}

export interface ImportLine {
  readonly from: string;
  readonly to: string; //       a path from the root of the tree, or the name of a package
  readonly isLocal: boolean;
  readonly isTypeOnly: boolean;
  readonly isDynamic: boolean;
}

export function readSource(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** Every TypeScript file below a folder, in the order of their paths. */
export function sourceFiles(folder: string): SourceFile[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort()
    .map((path) => ({ path, text: readSource(path) }));
}

/** The text without comments. Strings that hold `//` or `/*` do not occur before code on their line. */
export function withoutComments(text: string): string {
  return text.replace(/\/\*.*?\*\//gs, '').replace(/(^|\s)\/\/.*$/gm, '$1');
}

const STATIC = /^(?:import|export)\s+(type\s+)?(?:[\w*{}\s,$]+?\s+from\s+)?'([^']+)'/gm;
const DYNAMIC = /\bimport\(\s*'([^']+)'\s*\)/g;

/** What a file imports. `import { type A }` counts as a value: it runs the module. */
export function importsOf({ path, text }: SourceFile): ImportLine[] {
  const code = withoutComments(text);
  const line = (name: string, isTypeOnly: boolean, isDynamic: boolean): ImportLine => {
    const isLocal = name.startsWith('.');
    const to = isLocal ? posix.normalize(posix.join(posix.dirname(path), name)) : name;
    return { from: path, to, isLocal, isTypeOnly, isDynamic };
  };
  return [
    ...Array.from(code.matchAll(STATIC), ([, type, name]) => line(name as string, type !== undefined, false)),
    ...Array.from(code.matchAll(DYNAMIC), ([, name]) => line(name as string, false, true)),
  ];
}

/** A circle of files, each of which imports values from the next, or null. */
export function importCycle(files: readonly SourceFile[]): string[] | null {
  const next = new Map(
    files.map((file) => [
      file.path,
      importsOf(file)
        .filter(({ isLocal, isTypeOnly, isDynamic }) => isLocal && !isTypeOnly && !isDynamic)
        .map(({ to }) => to),
    ]),
  );
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): string[] | null => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (done.has(path)) return null;
    for (const to of next.get(path) ?? []) {
      const cycle = visit(to, [...trail, path]);
      if (cycle !== null) return cycle;
    }
    done.add(path);
    return null;
  };
  for (const path of next.keys()) {
    const cycle = visit(path, []);
    if (cycle !== null) return cycle;
  }
  return null;
}

/** The ids of clauses, as SPEC.md defines them, and whether one says that it cannot be tested. */
export function clauses(): Map<string, { readonly untestable: boolean }> {
  const found = new Map<string, { untestable: boolean }>();
  for (const item of readSource('SPEC.md').split(/\n(?=- \*\*|#|$)/m)) {
    const id = /\*\*([A-Z]+-\d+\.\d+)\*\*/.exec(item)?.[1];
    if (id !== undefined) found.set(id, { untestable: item.includes('(untestable:') });
  }
  return found;
}

/** Clause ids in strings, which are the titles of tests. */
export function idsInTitles(files: readonly SourceFile[]): Map<string, string> {
  return new Map(inTitles(files, /\b[A-Z]+-\d+\.\d+\b/g));
}

/** Numbers of properties, written P-7, in the titles of tests. */
export function propertiesInTitles(files: readonly SourceFile[]): Set<number> {
  return new Set(inTitles(files, /\bP-\d+\b/g).map(([id]) => Number(id.slice(2))));
}

/** What matches in strings, and the path of the file. */
function inTitles(files: readonly SourceFile[], pattern: RegExp): [string, string][] {
  return files.flatMap(({ path, text }) =>
    Array.from(withoutComments(text).matchAll(/(['"`])((?:(?!\1)[^\n\\])*)\1/g)).flatMap(([, , content]) =>
      Array.from((content as string).matchAll(pattern), ([id]): [string, string] => [id, path]),
    ),
  );
}
