// One set-up at a time: a file that holds the process id of the one that works.
//
// The lock only saves work. Where it fails, as between machines that share a home, files are still
// written under temporary names and renamed, so that no one sees a half-built folder.

import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { keep, removeOnSignal, say } from './children.mjs';

const STALE_AFTER_MS = 60_000;

/** Runs `body(hasWaited)` while holding the lock file at `path`. */
export async function withLock(path, body) {
  try {
    makeFolder(dirname(path));
  } catch (error) {
    throw new Error(
      `The folder ${dirname(path)} cannot be made: ${error.message}. XDG_CACHE_HOME may name another cache folder.`,
    );
  }
  let hasWaited = false;
  while (!take(path)) {
    if (isStale(path)) {
      remove(path);
      continue;
    }
    if (!hasWaited) say('Another set-up is running; waiting for it to end.');
    hasWaited = true;
    await sleep(200);
  }
  removeOnSignal(path);
  const heartbeat = setInterval(() => touch(path), STALE_AFTER_MS / 6);
  try {
    return await body(hasWaited);
  } finally {
    clearInterval(heartbeat);
    rmSync(path, { force: true });
    keep(path);
  }
}

/** As mkdir -p; Node's own says ENOENT where a file system is read-only. */
function makeFolder(path) {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    if (!existsSync(path)) throw error; // another process may have made it meanwhile
  }
}

function take(path) {
  let file = null;
  try {
    file = openSync(path, 'wx');
    writeSync(file, `${process.pid}\n`);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    if (file !== null) rmSync(path, { force: true }); // on a full disk it is there, and empty
    throw new Error(
      `The file ${path} cannot be written: ${error.message}. XDG_CACHE_HOME may name another cache folder.`,
    );
  } finally {
    if (file !== null) closeSync(file);
  }
}

/** Its owner has ended, or has not touched it for a minute. */
export function isStale(path) {
  try {
    const { mtimeMs } = statSync(path);
    if (Date.now() - mtimeMs > STALE_AFTER_MS) return true;
    const owner = Number(readFileSync(path, 'utf8'));
    return owner > 0 && !isAlive(owner);
  } catch {
    return false; // it has just gone
  }
}

/** Whether a process of this id runs on this machine. */
export function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Removes a lock that a killed set-up has left, where there is nothing to lock any more. */
export function removeStaleLock(path) {
  if (isStale(path)) remove(path);
}

function remove(path) {
  try {
    // Of several that wait, one gets it.
    renameSync(path, `${path}.${process.pid}`);
    rmSync(`${path}.${process.pid}`, { force: true });
  } catch {
    // Another one was faster.
  }
}

function touch(path) {
  try {
    utimesSync(path, new Date(), new Date());
  } catch {
    // It was taken from us; the work goes on, see above.
  }
}
