// Plants bugs that ports are known to have, one at a time, and sees whether the suite catches them:
// `npm run mutants [-- --quick] [-- --only 28,77] [-- --properties] [-- --clauses] [-- --record] [-- --jobs 2]
// [-- --report FILE]`.
//
// A mutant is a text patch on a copy of src, run against the unchanged specs; the product has no switches for it. What
// catches it is
//
//     group        the goldens of that group: the table names the first stage that diverged and by how many tolerances
//     properties   for each of them a test with P-n in its title (docs/properties.md)
//     clauses      for each of them a test with the clause in its title (SPEC.md)
//
// and each that a mutant names has to turn red; what else does is not looked at, a golden counts for no clause. A mutant
// that survives, whose patch no longer applies, or that is no program, fails the command. So does a test that is red
// without a mutant. Mutants run in as many copies side by side as --jobs says, by default two. `--record` plants those that
// goldens catch, and writes into the manifests by how much the weakest showed at each stage (`mutantMin`, golden/README.md).

import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from './build.mjs';
import { divergenceOf, recordMargins } from './golden/mutant-margins.mjs';
import { mutants as all } from './mutants/index.mjs';
import { optionsOf, refuse } from './options.mjs';

const ROOT = resolve(import.meta.dirname, '..');
const LIMIT_MS = 300_000;

const flag = { type: 'boolean', default: false };
const text = { type: 'string' };
const { values } = optionsOf('mutants', {
  options: {
    quick: flag,
    properties: flag,
    clauses: flag,
    only: text,
    jobs: text,
    report: text,
    record: flag,
  },
});
const only = values.only?.split(',').map(Number);
const mutants = all.filter(
  ({ id, quick = false, group, properties, clauses }) =>
    only?.includes(id) ??
    ((!values.record || group !== undefined) &&
      (!values.quick || quick) &&
      (!values.properties || properties !== undefined) &&
      (!values.clauses || clauses !== undefined)),
);
const jobs = Number(values.jobs ?? Math.min(2, availableParallelism()));
if (values.record && (values.quick || only !== undefined)) {
  refuse('mutants', 'expected --record with all bugs, which --quick and --only leave out');
}
if (!Number.isInteger(jobs) || jobs < 1) {
  refuse('mutants', `expected --jobs of 1 or more, got ${values.jobs}`);
}

const copies = [];
const running = new Set();
process.once('exit', () => {
  for (const child of running) child.kill();
  for (const copy of copies) rmSync(copy, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));
for (let i = 0; i < Math.min(jobs, mutants.length); i++) copies.push(copyOfTree());

const start = performance.now();
const report = { caught: 0, survived: 0 };
const divergences = [];
try {
  await control();
  const queue = [...mutants];
  await Promise.all(
    copies.map(async (copy) => {
      for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
        const { red, verdict, divergence = null } = await judged(copy, mutant);
        if (divergence !== null) divergences.push(divergence);
        report[red ? 'caught' : 'survived']++;
        console.log(`${String(mutant.id).padStart(4)}  ${mutant.bug.padEnd(66)}  ${verdict}`);
      }
    }),
  );
} catch (error) {
  console.error(`mutants: ${error.message}`);
  process.exit(1);
}
const seconds = ((performance.now() - start) / 1000).toFixed(0);
console.log(`${report.caught} of ${mutants.length} mutants caught in ${seconds} s.`);
if (values.record) {
  for (const [group, stage, times] of recordMargins(join(ROOT, 'golden'), divergences)) {
    console.log(`${group} ${stage}: the weakest bug shows by ${times.toPrecision(3)} tolerances`);
  }
}
if (values.report !== undefined) {
  // In the form of vitest's, for count-tests.mjs.
  const { caught: numPassedTests, survived: numFailedTests } = report;
  writeFileSync(values.report, JSON.stringify({ numPassedTests, numFailedTests, testResults: [] }));
}
process.exitCode = report.survived > 0 ? 1 : 0;

function copyOfTree() {
  const copy = mkdtempSync(join(tmpdir(), 'visionzip-mutants-'));
  const copied = [
    'src',
    'spec',
    'scripts',
    'package.json',
    'package-lock.json',
    'tsconfig.json',
    'vitest.config.ts',
  ];
  for (const name of copied) cpSync(join(ROOT, name), join(copy, name), { recursive: true });
  for (const name of ['golden', 'node_modules']) symlinkSync(join(ROOT, name), join(copy, name));
  return copy;
}

/** What the mutants are to turn red is green without one. Throws otherwise. */
async function control() {
  const [copy] = copies;
  if (copy === undefined) throw new Error('expected a mutant with such a number, got none');
  const groups = [...new Set(mutants.flatMap(({ group = [] }) => group))];
  if (groups.length > 0) {
    const { red, output } = await judgeGoldens(copy, { id: 'none', group: groups.join('|') });
    if (red) throw new Error(`expected green goldens without a mutant, got ${output}`);
  }
  const judgedByTests = mutants.filter(({ specs }) => specs !== undefined);
  if (judgedByTests.length === 0) return;
  if (judgedByTests.some((mutant) => mutant.build)) await build(copy, { types: false });
  const patterns = [...new Set(judgedByTests.map(patternOf))];
  const specs = [...new Set(judgedByTests.flatMap((mutant) => mutant.specs))];
  const { failed } = await runTests(copy, { id: 'none', specs }, patterns.join('|'));
  if (failed.length > 0) throw new Error(`expected green tests without a mutant, got ${failed[0].title}`);
}

/** Plants a mutant in a copy, runs what has to catch it, and takes it out again. */
async function judged(copy, mutant) {
  const path = join(copy, mutant.file);
  const original = readFileSync(path, 'utf8');
  try {
    writeFileSync(path, mutated(original, mutant));
    if (mutant.build) await build(copy, { types: false });
    return await (mutant.group === undefined ? judgeTests(copy, mutant) : judgeGoldens(copy, mutant));
  } catch (error) {
    return { red: false, verdict: `NOT JUDGED: ${error.message}` };
  } finally {
    writeFileSync(path, original);
  }
}

/** The text with every edit made. Throws if an edit does not apply exactly once: the source has moved on. */
function mutated(source, { id, edits }) {
  return edits.reduce((current, [find, replacement]) => {
    const count = current.split(find).length - 1;
    if (count !== 1) throw new Error(`mutant ${id}: expected its text once, got ${count} times: ${find}`);
    return current.replace(find, () => replacement);
  }, source);
}

/** Runs the goldens of a group in the copy. */
async function judgeGoldens(copy, { id, group }) {
  const output = await vitest(copy, ['spec/golden.spec.ts', '-t', `G-1.7 (${group})`, '--bail=1']);
  checkProgram(id, output);
  const [, stage = 'rejected', factor = /Error: (.{0,80})/.exec(output)?.[1] ?? ''] =
    /first divergence at (\S+) \(([^)]*)\)/.exec(output) ?? [];
  const red = !/Tests .*\d+ passed/.test(output) || /failed/.test(output);
  return { red, verdict: red ? `${stage} ${factor}` : 'SURVIVED', output, divergence: divergenceOf(output) };
}

/** Runs the tests of the clauses and properties that a mutant has to break, in the copy. */
async function judgeTests(copy, mutant) {
  const ids = idsOf(mutant);
  const { failed } = await runTests(copy, mutant, patternOf(mutant), ids.length === 1);
  const redBy = (id) => failed.find(({ title }) => new RegExp(titled([id])).test(title))?.title;
  const green = ids.filter((id) => redBy(id) === undefined);
  const titles = [...new Set(ids.map(redBy))];
  return {
    red: green.length === 0,
    verdict: green.length > 0 ? `SURVIVED ${green.join(' ')}` : titles.join('; '),
  };
}

/** The tests of some specs whose names match, of which at least one has to run. */
async function runTests(copy, { id, specs }, pattern, bail = false) {
  const path = join(copy, 'report.json');
  if (existsSync(path)) unlinkSync(path);
  const reporting = ['--reporter=json', `--outputFile=${path}`, ...(bail ? ['--bail=1'] : [])];
  const output = await vitest(copy, [...specs, '-t', pattern, ...reporting]);
  if (!existsSync(path)) throw new Error(`mutant ${id}: expected a report, got ${output}`);
  const results = readFileSync(path, 'utf8');
  checkProgram(id, results);
  const files = JSON.parse(results).testResults;
  const broken = files.find(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  );
  if (broken !== undefined) throw new Error(`mutant ${id}: expected specs that run, got ${broken.message}`);
  const tests = files.flatMap((file) => file.assertionResults);
  const ran = tests.filter(({ status }) => status === 'passed' || status === 'failed');
  if (ran.length === 0) throw new Error(`mutant ${id}: expected tests ${pattern}, got none: ${output}`);
  return { failed: ran.filter(({ status }) => status === 'failed') };
}

function idsOf({ clauses = [], properties = [] }) {
  return [...clauses, ...properties.map((n) => `P-${n}`)];
}

/** Which tests to run. The clauses of a mutant with properties are those in the titles of these. */
function patternOf({ clauses, properties, tests }) {
  return titled(idsOf(properties === undefined ? { clauses } : { properties }), tests);
}

/** A pattern of the titles that hold one of the ids, and behind it `rest`. */
function titled(ids, rest) {
  const anyOf = ids.map((id) => id.replace('.', '\\.')).join('|');
  return `\\b(${anyOf})(?![.\\d])${rest === undefined ? '' : `.*${rest}`}`;
}

/** A mutant that is no program shows nothing. */
function checkProgram(id, output) {
  if (/Transform failed|SyntaxError|ReferenceError/.test(output)) {
    throw new Error(`mutant ${id}: expected a program, got ${output}`);
  }
}

function vitest(copy, args) {
  return run(copy, ['vitest', 'run', ...args, '--root', copy]);
}

function run(copy, [command, ...args]) {
  return new Promise((done, failed) => {
    const child = spawn(join(ROOT, 'node_modules', '.bin', command), args, { cwd: copy, timeout: LIMIT_MS });
    running.add(child);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (part) => {
        output += part;
      });
    }
    child.on('close', (_, signal) => {
      running.delete(child);
      if (signal !== null) return failed(new Error(`expected an end within ${LIMIT_MS} ms, got ${signal}`));
      // biome-ignore lint/suspicious/noControlCharactersInRegex: terminal colours begin with the escape character
      done(output.replace(/\x1b\[[0-9;]*m/g, ''));
    });
  });
}
