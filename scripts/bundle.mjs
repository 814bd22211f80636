// Makes the one-folder bundle: `node scripts/bundle.mjs [--help]`.
//
// An archive that runs on a bare Linux host: node, Dawn, a Vulkan loader, a software driver, the commands and the model.

import { mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { bundleName, checkSize, MOST_BYTES, refusal } from './bundle/layout.mjs';

const HELP = `Usage: node scripts/bundle.mjs [--help]

Writes .cache/bundle/visionzip-webgpu-VERSION-linux-x64.tar.gz, at most ${MOST_BYTES / 1e6} MB: a folder that runs with an empty
environment on a host without Node, npm, drivers or a display. It holds the node that runs this script. SwiftShader is
fetched once (70 MB) and kept in .cache/bundle. Linux on x64 only; needs tar, and strip if it is to be small.

Exit code: 0 with an archive that was tried, 2 on another system or for another argument, 1 if a step failed.`;

const ROOT = resolve(import.meta.dirname, '..');
const args = process.argv.slice(2);
const reason =
  args.length > 0 && args[0] !== '--help'
    ? `bundle: expected --help or nothing, got ${args[0]}.`
    : refusal(process.platform, process.arch);
if (args[0] === '--help') {
  console.log(HELP);
} else if (reason !== null) {
  console.error(reason);
  process.exitCode = 2;
} else {
  process.exitCode = await main();
}

async function main() {
  const children = await import('./setup/children.mjs');
  const { endedBySignal, listenForSignals, removeOnSignal, say } = children;
  listenForSignals();
  const cache = join(ROOT, '.cache', 'bundle');
  const work = join(cache, `work.tmp.${process.pid}`);
  removeOnSignal(work);
  try {
    return await bundle(cache, work, children);
  } catch (error) {
    if (endedBySignal()) return new Promise(() => {}); // the signal's handler ends the process
    say(error.message);
    return 1;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function bundle(cache, work, { megabytes, say }) {
  const { modulesAreInstalled } = await import('./setup/node-modules.mjs');
  if (!modulesAreInstalled(ROOT))
    throw new Error('bundle: expected the packages of package-lock.json, got others; run `npm run setup`.');
  const { buildProgram } = await import('./bundle/program.mjs');
  const { writeLicences } = await import('./bundle/licences.mjs');
  const { pack, partsOf, placeFiles, tryBundle } = await import('./bundle/pack.mjs');
  const { placeDriver, softwareDriver } = await import('./bundle/software-driver.mjs');

  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const stage = join(work, bundleName(manifest));
  mkdirSync(stage, { recursive: true });
  await placeFiles(ROOT, stage);
  const driver = placeDriver(await softwareDriver(cache), stage);
  const packages = await buildProgram(ROOT, stage, manifest);
  const unknown = writeLicences(ROOT, stage, [...packages, 'node_modules/webgpu'], driver);
  if (unknown.length > 0) say(`  No licence text on this machine for ${unknown.join(', ')}.`);
  say(`Tried in an empty environment: ${await tryBundle(stage)}.`);

  const parts = partsOf(stage);
  const bytes = await pack(stage, join(work, 'archive'));
  checkSize(bytes, parts);
  const archive = join(cache, `${bundleName(manifest)}.tar.gz`);
  renameSync(join(work, 'archive'), archive);
  const unpacked = parts.reduce((sum, [, size]) => sum + size, 0);
  say(`${relative('.', archive)}: ${megabytes(bytes)}, unpacked ${megabytes(unpacked)}.`);
  return 0;
}
