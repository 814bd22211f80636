// Our operations, a CLIP-L/336 layer and the whole tower beside onnxruntime-node's WebGPU provider, Transformers.js and PyTorch:
//
//     npm run bench:peers -- [--rounds N] [--cases a,b] [--no-tower] [--python PATH] [--out DIR]
//
// Peers are installed into .cache/bench-peers/, at the versions below, and nowhere else. Each side is a process of its own on the same
// adapter; they take turns. Every run begins with inputs on the host and ends with the output there. Before a time counts, the outputs
// are compared. Prints a table and writes JSON into DIR, by default docs/benchmarks.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, homedir, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { cases } from './bench-peers/cases.mjs';
import { killSides, startSide } from './bench-peers/children.mjs';
import { createGraph } from './bench-peers/onnx.mjs';
import { difference, gaps, median, table } from './bench-peers/report.mjs';

const VERSIONS = { 'onnxruntime-node': '1.30.0', '@huggingface/transformers': '4.3.1' };
const TOLERANCE = 2e-3; // of the root mean square; beyond it something else was computed
const PAUSE_MS = 500; // threads of the side before, which wait by spinning, have let go by then
const RUNS_PER_TURN = 6;
const TURN_MS = 2000;
const OURS_ALONE = { failed: 'ours alone' };
const ALL = Object.keys(cases);

const root = resolve(import.meta.dirname, '..');
const peers = join(root, '.cache', 'bench-peers');
const models = join(peers, 'models');

let options;
try {
  options = readOptions();
} catch (error) {
  console.error(`bench:peers: ${error.message}`);
  process.exit(2);
}
process.once('SIGINT', () => {
  killSides();
  process.exit(130);
});

mkdirSync(models, { recursive: true });
const installed = installPeers();
for (const name of options.cases) writeModel(name);
const sides = await openSides();
const rows = [];
try {
  for (const name of options.cases) rows.push(await measureCase(name));
} finally {
  await Promise.all(sides.map((side) => side.end()));
}
finish();

function readOptions() {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      cases: { type: 'string', default: ALL.join(',') },
      'no-tower': { type: 'boolean', default: false },
      python: { type: 'string', default: 'python3' },
      out: { type: 'string', default: join(root, 'docs', 'benchmarks') },
    },
  });
  const rounds = /^\d{1,3}$/.test(values.rounds) ? Number(values.rounds) : 0;
  if (rounds < 1) throw new Error(`--rounds: expected a number from 1 to 999, got ${values.rounds}`);
  const chosen = values.cases.split(',').filter((name) => !(values['no-tower'] && name === 'tower'));
  const unknown = chosen.find((name) => !ALL.includes(name));
  if (unknown !== undefined) throw new Error(`--cases: expected some of ${ALL.join(', ')}, got ${unknown}`);
  return { rounds, cases: chosen, python: values.python, out: resolve(values.out) };
}

/** Null, or why the peers of npm are not there. */
function installPeers() {
  const wanted = JSON.stringify({ private: true, dependencies: VERSIONS }, null, 2);
  const manifest = join(peers, 'package.json');
  if (
    existsSync(join(peers, 'node_modules')) &&
    existsSync(manifest) &&
    readFileSync(manifest, 'utf8') === wanted
  )
    return null;
  console.log(
    `installing ${Object.entries(VERSIONS)
      .map((pair) => pair.join(' '))
      .join(', ')} (470 MB) into .cache/bench-peers`,
  );
  writeFileSync(manifest, wanted);
  const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' }; // it would fetch CUDA files
  const { status, stderr } = spawnSync(
    'npm',
    ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--silent'],
    { cwd: peers, env, encoding: 'utf8' },
  );
  if (status === 0) return null;
  rmSync(manifest);
  return `npm install ended with ${status}: ${(stderr ?? '').trim().split('\n')[0]}`;
}

/** A folder as Transformers.js wants it, once. */
function writeModel(name) {
  const folder = join(models, name);
  if (cases[name].graph === undefined || existsSync(join(folder, 'whole'))) return;
  mkdirSync(join(folder, 'onnx'), { recursive: true });
  const graph = createGraph(join(folder, 'onnx', 'model.onnx'));
  const { inputs, output } = cases[name];
  const names = inputs.map((shape, i) => graph.input(name === 'tower' ? 'pixel_values' : `input${i}`, shape));
  graph.finish(cases[name].graph(graph, names), 'last_hidden_state', output);
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ model_type: 'clip_vision_model' }));
  writeFileSync(join(folder, 'whole'), '');
}

async function openSides() {
  const here = (file) => join(root, 'scripts', 'bench-peers', file);
  const env = peerEnvironment();
  const node = process.execPath;
  const started = [
    ['visionzip-webgpu', node, [here('ours.mjs')], process.env],
    ['onnxruntime-node WebGPU', node, [here('ort.mjs'), peers, models], env],
    ['Transformers.js WebGPU', node, [here('transformers.mjs'), peers, models], env],
    ['PyTorch CPU', options.python, [here('torch_side.py')], process.env],
  ].map(async ([side, command, args, environment]) => {
    if (installed !== null && args.length > 1)
      return { side, failed: installed, about: {}, end: async () => undefined };
    const child = await startSide(command, args, environment);
    return { side, ...child, failed: child.about.failed };
  });
  return Promise.all(started);
}

/** onnxruntime finds Vulkan by itself; where ours is the private driver, that is the one it has to find. */
function peerEnvironment() {
  const report = JSON.parse(
    execFileSync(process.execPath, [join(root, 'dist', 'cli.js'), 'doctor', '--json'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  );
  if (report.adapter?.driver !== 'private') return process.env;
  const base = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const folder = join(base, 'visionzip-webgpu', 'vulkan-1');
  const icd = join(folder, 'icd.json');
  return {
    ...process.env,
    VK_DRIVER_FILES: icd,
    VK_ICD_FILENAMES: icd,
    LD_LIBRARY_PATH: [folder, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':'),
    MESA_SHADER_CACHE_DIR: join(base, 'visionzip-webgpu', 'shader-cache'),
  };
}

/** The sides take turns. The first run of each is not counted: it compiles, and its output is compared. */
async function measureCase(name) {
  const { name: title, times, dispatches } = cases[name];
  const states = [];
  for (const [i, side] of sides.entries()) {
    const save = join(peers, `output-${i}.f32`);
    const told =
      i > 0 && cases[name].graph === undefined
        ? OURS_ALONE
        : side.failed === undefined
          ? await side.ask({ case: name, save })
          : side;
    const output =
      told.failed === undefined ? new Float32Array(new Uint8Array(readFileSync(save)).buffer) : null;
    rmSync(save, { force: true });
    states.push({ failed: told.failed, output, ms: [] });
  }
  const expected = states[0].output;
  for (const state of states) {
    state.apart = state.output === null || expected === null ? null : difference(state.output, expected);
    if (state.apart !== null && !(state.apart <= TOLERANCE))
      state.failed = `its output is ${state.apart.toExponential(1)} apart`;
  }
  const rounds = name === 'tower' ? Math.min(options.rounds, 3) : options.rounds;
  for (let round = 0; round < rounds; round++) {
    for (const [i, side] of sides.entries()) {
      if (states[i].failed !== undefined) continue;
      await sleep(PAUSE_MS);
      await takeTurn(side, name, states[i]);
    }
  }
  const ours = states[0].failed === undefined ? median(states[0].ms) : null;
  const results = states.map(({ failed, apart, ms }) =>
    failed !== undefined
      ? { failed }
      : {
          median: median(ms),
          least: Math.min(...ms),
          ms,
          apart,
          ratio: ours === null ? null : median(ms) / ours,
        },
  );
  console.log(
    `  ${title}: ${results.map(({ failed, median: ms }) => (failed === undefined ? `${ms.toFixed(1)} ms` : '-')).join(', ')}`,
  );
  return { case: name, name: title, times, ...(dispatches && { dispatches }), rounds, results };
}

/** Several runs while they are short; then the first does not count, which brings back memory that was idle meanwhile. */
async function takeTurn(side, name, state) {
  const start = performance.now();
  for (let run = 0; run < RUNS_PER_TURN; run++) {
    const told = await side.ask({ case: name });
    if (told.failed !== undefined) {
      state.failed = told.failed;
      return;
    }
    const isLong = performance.now() - start > TURN_MS;
    if (run > 0 || isLong) state.ms.push(told.ms);
    if (isLong) return;
  }
}

function finish() {
  const about = sides.map(({ side, failed, about: told }) => ({
    side,
    ...(failed === undefined ? told : { failed }),
  }));
  const record = {
    date: new Date().toISOString().slice(0, 10),
    adapter: about[0].adapter ?? null,
    software: about[0].software ?? null,
    node: process.versions.node,
    cpu: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`,
    memoryBytes: totalmem(),
    commit: commit(),
    sides: about,
    rows,
  };
  const lines = [
    `${record.adapter}, ${record.cpu}, Node ${record.node}`,
    '',
    table({ rows, sides: about }),
    '',
  ];
  lines.push(
    'ratio: how many times as long as ours; apart: largest difference from our output, relative to its root mean square',
    ...gaps({ rows, sides: about }),
  );
  console.log(`\n${lines.join('\n')}`);
  mkdirSync(options.out, { recursive: true });
  const slug = String(record.adapter)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .split('-')
    .slice(0, 3)
    .join('-');
  const path = join(options.out, `peers-${record.date}-${slug}.json`);
  writeFileSync(path, `${JSON.stringify(record, null, 2)}\n`);
  console.log(`\nwritten: ${path}`);
  const ranPeers = rows.some(({ results }) => results.slice(1).some(({ failed }) => failed === undefined));
  process.exitCode = ranPeers ? 0 : 1;
}

function commit() {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim();
  } catch {
    return null;
  }
}
