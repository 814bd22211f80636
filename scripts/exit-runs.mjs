// Ends the program in every way there is, many times: `node scripts/exit-runs.mjs [--runs 200] [--seed N]`.
//
// A driver that is still computing when the process ends can take it down (exit codes 134 and 139).
// Each run is a process of its own; the table says how each kind ended. Any crash, and any exit code
// that the way of ending does not explain, makes the command fail. Needs dist (npm run setup).

import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { optionsOf, refuse } from './options.mjs';

const ROOT = resolve(import.meta.dirname, '..');
const LIMIT_MS = 120_000;
const CRASHES = ['132', '134', '135', '136', '139', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGILL', 'SIGSEGV'];

const { values } = optionsOf('exit-runs', {
  options: { runs: { type: 'string' }, seed: { type: 'string' } },
});
const runCount = Number(values.runs ?? 200);
const seed = Number(values.seed ?? 1);
if (!Number.isInteger(runCount) || runCount < 1 || !Number.isInteger(seed)) {
  refuse('exit-runs', 'expected --runs and --seed to be whole numbers, runs 1 or more.');
}

const PICTURE = join('golden', 'tiny-llava', 'scene-0.png');
const ASK = ['dist/cli.js', 'ask', PICTURE, 'What shape is there?'];
const ASK_ALL = [...ASK, '--budget', '64,128,192,576'];

/** A program on the library that leaves a second or so of work on the device, and then `end`s. */
const program = (end) => [
  '--input-type=module',
  '--eval',
  `
    import { openGpu, read } from './dist/index.js';
    import { matmul, tensor } from './dist/tensor.js';
    const gpu = await openGpu();
    const size = 512;
    let x = tensor(gpu, new Float32Array(size * size).fill(1 / size), [1, size, size]);
    const y = x;
    for (let i = 0; i < 20; i++) x = matmul(x, y);
    ${end}
  `,
];

// Each: what is run, what is done to it, and the exit codes or signals that this explains.
const WAYS = {
  'library, closed': { args: program('await read(x); gpu.close();'), ends: ['0'] },
  'library, left open': { args: program('await read(x);'), ends: ['0'] },
  'library, work left': { args: program('void read(x).catch(() => {});'), ends: ['0'] },
  'library, closed while reading': { args: program('read(x).catch(() => {}); gpu.close();'), ends: ['0'] },
  'library, error': { args: program('read(x).catch(() => {}); throw new Error("on purpose");'), ends: ['1'] },
  'library, rejection': {
    args: program('read(x).catch(() => {}); Promise.reject(new Error("on purpose"));'),
    ends: ['1'],
  },
  'library, exit': { args: program('read(x).catch(() => {}); process.exit(7);'), ends: ['7'] },
  'library, exit later': {
    args: program('read(x).catch(() => {}); setTimeout(() => process.exit(7), 20);'),
    ends: ['7'],
  },
  'library, Ctrl-C': { args: program('await read(x);'), signal: 'SIGINT', ends: ['0', 'SIGINT'] },
  'ask, to its end': { args: ASK, ends: ['0'] },
  'ask, no such picture': { args: ['dist/cli.js', 'ask', 'nothing.png', 'What?'], ends: ['2'] },
  'ask, Ctrl-C': { args: ASK_ALL, signal: 'SIGINT', ends: ['0', 'SIGINT'] },
  'ask, terminated': { args: ASK_ALL, signal: 'SIGTERM', ends: ['0', 'SIGTERM'] },
  'ask, output closed': { args: ASK_ALL, closesOutput: true, ends: ['0'] },
};

/** A small generator (mulberry32), so that a seed gives the same moments again. */
function randomFrom(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function runOnce({ args, signal, closesOutput }, moment) {
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'ignore'] });
  child.stdout.resume();
  const ended = new Promise((done) => child.on('exit', (code, by) => done(by ?? String(code))));
  const watchdog = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
  if (signal !== undefined || closesOutput) {
    const wait = new AbortController();
    await Promise.race([sleep(moment, undefined, { signal: wait.signal }).catch(() => {}), ended]);
    wait.abort();
    if (signal !== undefined) child.kill(signal);
    else child.stdout.destroy();
  }
  const end = await ended;
  clearTimeout(watchdog);
  return end;
}

const random = randomFrom(seed);
const names = Object.keys(WAYS);
const plan = Array.from({ length: runCount }, (_, i) => ({ name: names[i % names.length], share: random() }));

const start = performance.now();
await runOnce({ args: ASK_ALL }, 0);
const usualMs = performance.now() - start;

const counts = new Map(names.map((name) => [name, new Map()]));
const next = plan.values();
async function work() {
  for (const { name, share } of next) {
    const end = await runOnce(WAYS[name], share * usualMs * 1.2);
    const ends = counts.get(name);
    ends.set(end, (ends.get(end) ?? 0) + 1);
  }
}
await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, work));

let crashCount = 0;
let strangeCount = 0;
for (const [name, ends] of counts) {
  for (const [end, count] of ends) {
    if (CRASHES.includes(end)) crashCount += count;
    else if (!WAYS[name].ends.includes(end)) strangeCount += count;
  }
  console.log(`${name.padEnd(30)} ${[...ends].map(([end, count]) => `${end}: ${count}`).join(', ')}`);
}
const took = ((performance.now() - start) / 1000).toFixed(0);
console.log(
  `${runCount} runs in ${took} s (seed ${seed}): ${crashCount} crashed, ${strangeCount} ended in another unexpected way.`,
);
process.exitCode = crashCount + strangeCount === 0 ? 0 : 1;
