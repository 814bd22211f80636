// Plants bugs that ports are known to have, one at a time, and sees whether the goldens catch them:
// `npm run mutants [-- --quick] [-- --only 28,77]`.
//
// A mutant is a text patch on a copy of src, run against the unchanged goldens; the product has no switches for it. The
// table names the first stage that went red and by how many tolerances. A mutant that survives, or whose patch no longer
// applies, fails the command.

import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { decoderMutants } from './mutants/decoder.mjs';
import { encoderMutants } from './mutants/encoder.mjs';
import { visionZipMutants } from './mutants/vision-zip.mjs';

const ROOT = resolve(import.meta.dirname, '..');
const LIMIT_MS = 120_000;

const { values } = parseArgs({ options: { quick: { type: 'boolean' }, only: { type: 'string' } } });
const only = values.only?.split(',').map(Number);
const mutants = [...encoderMutants, ...visionZipMutants, ...decoderMutants].filter(
  ({ id, quick }) => only?.includes(id) ?? (values.quick !== true || quick === true),
);

const copy = mkdtempSync(join(tmpdir(), 'visionzip-mutants-'));
process.once('exit', () => rmSync(copy, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));
for (const name of ['src', 'spec', 'package.json', 'tsconfig.json', 'vitest.config.ts']) {
  cpSync(join(ROOT, name), join(copy, name), { recursive: true });
}
for (const name of ['golden', 'node_modules']) symlinkSync(join(ROOT, name), join(copy, name));

const control = await judge('tiny|select-merge|llama');
if (control.red) {
  console.error(`mutants: expected green goldens without a mutant, got ${control.text}`);
  process.exit(1);
}

const start = performance.now();
let survived = 0;
for (const mutant of mutants) {
  const path = join(copy, mutant.file);
  const original = readFileSync(path, 'utf8');
  writeFileSync(path, mutated(original, mutant));
  const { red, stage, factor } = await judge(mutant.group);
  writeFileSync(path, original);
  if (!red) survived++;
  const verdict = red ? `${stage} ${factor}` : 'SURVIVED';
  console.log(`${String(mutant.id).padStart(4)}  ${mutant.bug.padEnd(66)}  ${verdict}`);
}
const seconds = ((performance.now() - start) / 1000).toFixed(0);
console.log(`${mutants.length - survived} of ${mutants.length} mutants caught in ${seconds} s.`);
process.exitCode = survived > 0 ? 1 : 0;

/** The text with every edit made. Throws if an edit does not apply exactly once: the source has moved on. */
function mutated(text, { id, edits }) {
  return edits.reduce((current, [find, replacement]) => {
    const count = current.split(find).length - 1;
    if (count !== 1) throw new Error(`mutant ${id}: expected its text once, got ${count} times: ${find}`);
    return current.replace(find, () => replacement);
  }, text);
}

/** Runs the goldens of a group in the copy. */
async function judge(group) {
  const text = await run([
    'vitest',
    'run',
    'spec/golden.spec.ts',
    '-t',
    `G-1.7 (${group})`,
    '--bail=1',
    '--root',
    copy,
  ]);
  const [, stage, factor] = /first divergence at (\S+) \(([^)]*)\)/.exec(text) ?? [];
  const red = !/Tests .*\d+ passed/.test(text) || /failed/.test(text);
  return {
    red,
    stage: stage ?? 'rejected',
    factor: factor ?? /Error: (.{0,80})/.exec(text)?.[1] ?? '',
    text,
  };
}

function run([command, ...args]) {
  return new Promise((done) => {
    const child = spawn(join(ROOT, 'node_modules', '.bin', command), args, { cwd: copy, timeout: LIMIT_MS });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (part) => {
        text += part;
      });
    }
    // biome-ignore lint/suspicious/noControlCharactersInRegex: terminal colours begin with the escape character
    child.on('close', () => done(text.replace(/\x1b\[[0-9;]*m/g, '')));
  });
}
