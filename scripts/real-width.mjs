// Asks a checkpoint of LLaVA-1.5-7B's widths: `npm run build`, then `node scripts/real-width.mjs [--folder DIR]`.
//
// 4 of the 32 decoder layers, 3 of the tower's 24, embedding, head and projector whole: 2.3 GB of random F16 in shards with an index,
// written to a temporary folder (in DIR, by default the system's) and removed at the end. `ask` answers from 64 visual tokens; then
// --max-memory below the weights has to be refused before anything is loaded. Prints seconds and the most memory that was resident.
// Ends with 1 if either is not so. Needs about 4 GB of memory beside the disk; no part of `npm test`.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { optionsOf } from './options.mjs';
import { SEVEN_B, writeCheckpoint } from './real-width/checkpoint.mjs';

const root = resolve(import.meta.dirname, '..');
const { values: options } = optionsOf('real-width', {
  options: { folder: { type: 'string', default: tmpdir() } },
});
const folder = mkdtempSync(join(options.folder, 'visionzip-real-width-'));
process.once('SIGINT', () => {
  rmSync(folder, { recursive: true });
  process.exit(130);
});
try {
  const started = performance.now();
  const { total, shards } = writeCheckpoint(folder, SEVEN_B, { random: true });
  console.log(`wrote ${gigabytes(total)} in ${shards} shards: ${secondsSince(started)}`);

  const asked = await ask('--budget', '64', '--max-new-tokens', '2', '--json');
  const [answer] = asked.code === 0 ? JSON.parse(asked.stdout).answers : [];
  const answered = answer !== undefined;
  console.log(
    answered ? `asked at 64 visual tokens: ${asked.cost}` : `ask ended with ${asked.code}: ${asked.stderr}`,
  );

  const refused = await ask('--budget', '576', '--max-memory', '1GB');
  const isRefused = refused.code !== 0 && refused.stderr.includes('the weights: expected to need at most');
  console.log(
    `with --max-memory 1GB, ${isRefused ? 'refused' : `ended with ${refused.code}`}: ${refused.cost}`,
  );
  console.log(`  ${refused.stderr.trim().split('\n').at(-1)}`);
  process.exitCode = answered && isRefused ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function ask(...args) {
  const started = performance.now();
  const picture = join(root, 'golden/tiny-llava/demo-1.jpg');
  const command = [join(root, 'dist/cli.js'), 'ask', picture, 'What is this?', '--model', folder, ...args];
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'pipe'], cwd: folder });
  const output = { stdout: '', stderr: '' };
  let most = 0;
  const timer = setInterval(() => {
    most = Math.max(most, residentBytes(child.pid));
  }, 50);
  for (const stream of ['stdout', 'stderr']) {
    child[stream].setEncoding('utf8').on('data', (text) => {
      output[stream] += text;
    });
  }
  const code = await new Promise((done) => child.on('close', done));
  clearInterval(timer);
  const memory = most === 0 ? '' : `, ${gigabytes(most)} resident at most`;
  return { code, ...output, cost: `${secondsSince(started)}${memory}` };
}

/** The most that the process had resident so far; 0 where the system does not say. */
function residentBytes(pid) {
  try {
    return Number(/VmHWM:\s*(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

function gigabytes(bytes) {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

function secondsSince(started) {
  return `${((performance.now() - started) / 1000).toFixed(1)} s`;
}
