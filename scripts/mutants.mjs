// Plants bugs that ports are known to have, one at a time, and sees whether the goldens and properties catch them:
// `npm run mutants [-- --quick] [-- --only 28,77] [-- --properties]`.
//
// A mutant is a text patch on a copy of src, run against the unchanged specs; the product has no switches for it. A mutant
// with a `group` has to turn those goldens red: the table names the first stage that did and by how many tolerances. One
// with `properties` has to turn each of them red (docs/properties.md). A mutant that survives, or whose patch no longer
// applies, fails the command.

import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { mutants as all } from './mutants/index.mjs';

const ROOT = resolve(import.meta.dirname, '..');
const LIMIT_MS = 120_000;

const flag = { type: 'boolean', default: false };
const { values } = parseArgs({ options: { quick: flag, properties: flag, only: { type: 'string' } } });
const only = values.only?.split(',').map(Number);
const mutants = all.filter(
  ({ id, quick = false, properties }) =>
    only?.includes(id) ?? ((!values.quick || quick) && (!values.properties || properties !== undefined)),
);

const copy = mkdtempSync(join(tmpdir(), 'visionzip-mutants-'));
process.once('exit', () => rmSync(copy, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));
for (const name of ['src', 'spec', 'package.json', 'tsconfig.json', 'vitest.config.ts']) {
  cpSync(join(ROOT, name), join(copy, name), { recursive: true });
}
for (const name of ['golden', 'node_modules']) symlinkSync(join(ROOT, name), join(copy, name));

const control = await judgeGoldens('tiny|select-merge|llama');
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
  const { red, verdict } = await (mutant.properties ? judgeProperties(mutant) : judgeGoldens(mutant.group));
  writeFileSync(path, original);
  if (!red) survived++;
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
async function judgeGoldens(group) {
  const text = await vitest(['spec/golden.spec.ts', '-t', `G-1.7 (${group})`, '--bail=1']);
  // A mutant that is no program shows nothing.
  if (/Transform failed|SyntaxError/.test(text)) throw new Error(text);
  const [, stage = 'rejected', factor = /Error: (.{0,80})/.exec(text)?.[1] ?? ''] =
    /first divergence at (\S+) \(([^)]*)\)/.exec(text) ?? [];
  const red = !/Tests .*\d+ passed/.test(text) || /failed/.test(text);
  return { red, verdict: red ? `${stage} ${factor}` : 'SURVIVED', text };
}

/** Runs the properties that a mutant has to break, in the copy. */
async function judgeProperties({ properties, specs }) {
  const report = join(copy, 'report.json');
  rmSync(report, { force: true });
  const only = `\\bP-(${properties.join('|')})\\b`;
  const text = await vitest([...specs, '-t', only, '--reporter=json', `--outputFile=${report}`]);
  const tests = JSON.parse(readFileSync(report, 'utf8')).testResults.flatMap((file) => file.assertionResults);
  if (!tests.some(({ status }) => status === 'passed' || status === 'failed')) throw new Error(text);
  const failed = tests.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName);
  const green = properties.filter((n) => !failed.some((title) => new RegExp(`\\bP-${n}\\b`).test(title)));
  const list = (numbers) => numbers.map((n) => `P-${n}`).join(' ');
  return {
    red: green.length === 0,
    verdict: green.length > 0 ? `SURVIVED ${list(green)}` : list(properties),
  };
}

function vitest(args) {
  return run(['vitest', 'run', ...args, '--root', copy]);
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
