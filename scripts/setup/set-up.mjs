// The steps of set-up, one under the other.

import { join, resolve } from 'node:path';
import { build, isBuilt } from '../build.mjs';
import { endedBySignal, listenForSignals, say, seconds } from './children.mjs';
import { buildDriver, DRIVER_KINDS, removeStale } from './driver.mjs';
import { removeStaleLock, withLock } from './lock.mjs';
import { installModules, modulesAreInstalled } from './node-modules.mjs';

const ROOT = resolve(import.meta.dirname, '..', '..');

/** Runs the steps that are needed and returns the exit code. Prints only when there is something to do. */
export async function setUp(args) {
  listenForSignals();
  try {
    const kind = readArguments(args);
    await prepareClone();
    const { doctorReport } = await import(join(ROOT, 'dist', 'doctor-report.js'));
    return await prepareDriver(doctorReport, kind);
  } catch (error) {
    if (endedBySignal()) return new Promise(() => {}); // the signal's handler ends the process
    say(error.message);
    return error.exitCode ?? 1;
  }
}

function readArguments(args) {
  if (args.length === 0) return null;
  const [flag, value] = args[0].includes('=') ? args[0].split('=', 2) : args;
  if (flag === '--driver' && DRIVER_KINDS.includes(value)) return value;
  const message = `setup: expected --driver followed by ${DRIVER_KINDS.join(', ')}, or --help, got ${args.join(' ')}.`;
  throw Object.assign(new Error(message), { exitCode: 2 });
}

async function prepareClone() {
  const lock = join(ROOT, '.cache', 'setup.lock');
  if (modulesAreInstalled(ROOT) && isBuilt(ROOT)) return removeStaleLock(lock);
  await withLock(lock, async () => {
    if (!modulesAreInstalled(ROOT)) await installModules(ROOT);
    if (isBuilt(ROOT)) return;
    const took = seconds();
    say('Building dist.');
    await build(ROOT, { types: false });
    say(`  Built in ${took()} s.`);
  });
}

async function prepareDriver(doctorReport, kind) {
  const first = await doctorReport();
  const lock = join(first.cacheFolder, 'setup.lock');
  removeStale(first.driverFolder);
  removeStaleLock(lock);
  if (kind === null && first.problem === null) return ready(first);
  if (kind === null && !mayBuildDriver(first)) return giveUp(first);

  return withLock(lock, async (hasWaited) => {
    const now = hasWaited ? await doctorReport() : first;
    if (kind === null && now.problem === null) return ready(now);
    if (kind === null) explain(now);
    const built = await buildDriver(now, kind === null ? DRIVER_KINDS : [kind], doctorReport);
    const last = await doctorReport();
    return built && last.problem === null ? ready(last) : giveUp(last);
  });
}

function explain({ problem, driverFolder, driverFolderHolds }) {
  if (driverFolderHolds === null) {
    say('This system has no WebGPU adapter, so set-up builds a private software driver. No root is needed.');
  } else {
    say(`The private software driver in ${driverFolder} does not work, so set-up builds it anew.`);
  }
  say(`  Missing: ${problem.missing}`);
}

/** A private driver helps on Linux with glibc, unless it is the system's own driver that crashes. */
function mayBuildDriver({ host, problem, driverFolderHolds }) {
  if (host.platform !== 'linux' || host.libc === 'musl') return false;
  return problem.kind === 'no-adapter' || (problem.kind === 'broken' && driverFolderHolds !== null);
}

function ready({ adapter }) {
  const name = adapter.description || adapter.device;
  say(`Ready: ${name} (${adapter.software ? 'software' : 'GPU'}, ${adapter.driver} driver).`);
  return 0;
}

function giveUp({ host, problem }) {
  if (problem === null) return 2; // a driver was asked for by name, and could not be had
  say(`There is no WebGPU adapter that works on ${host.name}.`);
  say(`  Missing: ${problem.missing}`);
  say(`  What helps: ${problem.remedy}`);
  if (problem.kind === 'broken' && problem.withoutRoot !== null)
    say(`  Without root: ${problem.withoutRoot}`);
  return 2;
}
