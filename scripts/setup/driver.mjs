// The private driver folder: built under a temporary name, tried in a child, and only then renamed.

import {
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { lavapipeFromApt, swiftshaderFromApt } from './apt-driver.mjs';
import { endedBySignal, keep, megabytes, removeOnSignal, say, seconds } from './children.mjs';
import { isAlive } from './lock.mjs';
import { folderSize } from './node-modules.mjs';
import { swiftshaderFromNpm } from './npm-driver.mjs';

const WAYS = {
  'lavapipe-apt': { name: "Mesa's lavapipe from the system's apt sources", build: lavapipeFromApt },
  'swiftshader-apt': { name: 'SwiftShader from the package chromium-common', build: swiftshaderFromApt },
  'swiftshader-npm': { name: 'SwiftShader from an npm package', build: swiftshaderFromNpm },
};
const NEEDED_BYTES = 700e6; // packages, unpacked packages and the folder, while it is built
const STALE_AFTER_MS = 3_600_000;

/** In the order in which they are tried. */
export const DRIVER_KINDS = Object.keys(WAYS);

/** Tries the ways of `kinds` one after the other until one gives a folder that works. False if none does. */
export async function buildDriver({ host, driverFolder }, kinds, doctorReport) {
  const cache = dirname(driverFolder);
  checkFreeSpace(cache);
  const work = `${driverFolder}.tmp.${hostname()}.${process.pid}`;
  removeOnSignal(work);
  try {
    for (const kind of kinds) {
      const { name, build } = WAYS[kind];
      const took = seconds();
      say(`Building the driver folder: ${name}.`);
      const folder = join(work, 'folder');
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder, { recursive: true });
      try {
        const contents = await build(work, folder, host);
        writeFileSync(join(folder, 'contents.txt'), `${contents}\n`);
        const { problem } = await doctorReport(folder);
        if (problem !== null)
          throw new Error(`The driver was built, but does not work here: ${problem.missing}`);
        putInPlace(folder, driverFolder, join(work, 'old'));
        say(
          `  Built in ${took()} s: ${contents}, ${megabytes(folderSize(driverFolder))} in ${driverFolder}.`,
        );
        return true;
      } catch (error) {
        if (endedBySignal()) throw error;
        say(`  This way failed. ${error.message}`);
      }
    }
    return false;
  } finally {
    rmSync(work, { recursive: true, force: true });
    keep(work);
  }
}

/** Renames `folder` to `target`; what was there goes to `old`, and programs that run with it keep it open. */
function putInPlace(folder, target, old) {
  for (let attempt = 0; ; attempt++) {
    if (existsSync(target)) renameSync(target, `${old}-${attempt}`);
    try {
      renameSync(folder, target);
      return;
    } catch (error) {
      // Another set-up has just put its own there; ours has been tried last and replaces it.
      if (attempt === 3 || !['ENOTEMPTY', 'EEXIST'].includes(error.code)) throw error;
    }
  }
}

function checkFreeSpace(cache) {
  const { bavail, bsize } = statfsSync(cache);
  if (bavail * bsize < NEEDED_BYTES) {
    throw new Error(
      `Building a driver needs ${megabytes(NEEDED_BYTES)} of free disk for a moment, and ${cache} has ${megabytes(bavail * bsize)}. ` +
        'Set XDG_CACHE_HOME to a folder on a larger disk.',
    );
  }
}

/**
 * Removes what killed set-ups left beside the driver folder: of this machine at once, of others, whose processes are not to be
 * seen, after an hour.
 */
export function removeStale(driverFolder, now = Date.now()) {
  const [cache, name] = [dirname(driverFolder), basename(driverFolder)];
  if (!existsSync(cache)) return;
  for (const entry of readdirSync(cache).filter((other) => other.startsWith(`${name}.tmp.`))) {
    const [host, pid] = splitLast(entry.slice(`${name}.tmp.`.length));
    const isDead = host === hostname() && !isAlive(Number(pid));
    try {
      if (!isDead && now - statSync(join(cache, entry)).mtimeMs <= STALE_AFTER_MS) continue;
      rmSync(join(cache, entry), { recursive: true, force: true });
    } catch {
      // It cannot be removed, or a child of the killed one still writes to it: the next set-up tries again.
    }
  }
}

/** `a.b.1` → [`a.b`, `1`]; host names have dots. */
function splitLast(text) {
  const dot = text.lastIndexOf('.');
  return [text.slice(0, Math.max(0, dot)), text.slice(dot + 1)];
}
