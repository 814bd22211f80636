// Reads tampered files and says what goes wrong: `npm run fuzz -- --target safetensors [--runs 20000] [--seed 1]`.
//
// A fault is a crash, an error that is not the reader's own, 2 s of processor time, 1 GB of memory, or a value for a file that
// an independent rule refuses. Each kind is made small and written to spec/corpus/TARGET with what is expected; the suite
// replays that folder. Ctrl-C ends the command with what was found; it ends with 1 if anything was.
//
// What reads, tampers and judges is spec/support/fuzz, which the suite uses, too.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build as esbuild } from 'esbuild';
import { build, isBuilt } from './build.mjs';
import { optionsOf, refuse } from './options.mjs';

const ROOT = resolve(import.meta.dirname, '..');
process.chdir(ROOT); // the targets read golden/ from here

const text = { type: 'string' };
const { values } = optionsOf('fuzz', {
  options: { target: text, runs: text, seed: text, corpus: text },
});
const [runs, seed] = [Number(values.runs ?? 20_000), Number(values.seed ?? 1)];
if (!Number.isSafeInteger(runs) || runs < 1 || !Number.isSafeInteger(seed)) {
  refuse('fuzz', 'expected --runs and --seed to be whole numbers, runs 1 or more.');
}

// Below the root, so that packages are found.
mkdirSync(join(ROOT, '.cache'), { recursive: true });
const folder = mkdtempSync(join(ROOT, '.cache', 'fuzz-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
await esbuild({
  absWorkingDir: ROOT,
  entryPoints: ['tool', 'worker'].map((name) => `spec/support/fuzz/${name}.ts`),
  outdir: folder,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  splitting: true,
  chunkNames: 'chunk-[hash]',
  format: 'esm',
  platform: 'node',
  target: 'node20',
  packages: 'external',
  logLevel: 'warning',
});
const { startFuzzing, targetNames } = await import(pathToFileURL(join(folder, 'tool.mjs')).href);
if (![...targetNames, 'faulty'].includes(values.target)) {
  refuse('fuzz', `expected --target to be one of ${targetNames.join(', ')}, got ${values.target}.`);
}
if (values.target === 'cli' && !isBuilt(ROOT)) await build(ROOT, { types: false });

const overwrites = process.stderr.isTTY === true;
let silentUntil = 0;
const session = startFuzzing({
  target: values.target,
  runs,
  seed,
  corpus: values.corpus ?? join('spec', 'corpus'),
  worker: join(folder, 'worker.mjs'),
  log: (line) => console.log(line),
  progress: (line) => {
    if (overwrites) process.stderr.write(`\r\x1b[K${line}`);
    else if (performance.now() > silentUntil) {
      console.error(line);
      silentUntil = performance.now() + 30_000;
    }
  },
});
process.once('SIGINT', () => {
  console.error('\nfuzz: ends behind the run at hand; Ctrl-C again ends at once.');
  session.stop();
  process.once('SIGINT', () => process.exit(130));
});
const findings = await session.findings;
console.log(
  findings === 0
    ? `fuzz ${values.target}, seed ${seed}: nothing found.`
    : `fuzz ${values.target}, seed ${seed}: ${findings} kinds of faults found.`,
);
process.exitCode = findings === 0 ? 0 : 1;
