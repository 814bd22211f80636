// Files that a command writes: under a temporary name first, then renamed, so that a name never holds half a file.

import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { access, constants, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { systemReason } from '../models/checkpoint/model-directory.ts';
import { makeFolder } from '../tensor/dawn-files.ts';
import { FileError } from '../tensor/index.ts';

const unfinished = new Set<string>();

/** Makes the folder that output goes to, if need be. Throws FileError if it cannot be written. */
export async function outputFolder(path: string): Promise<string> {
  try {
    makeFolder(resolve(path));
    await access(path, constants.W_OK);
  } catch (error) {
    throw new FileError(`--out ${path}: expected a folder that can be written, got ${systemReason(error)}`);
  }
  return path;
}

/** Checks, before any work is done, that `path` can become a file. Throws FileError. */
export async function checkOutputFile(option: string, path: string): Promise<void> {
  const target = await stat(path).catch(() => null);
  if (target !== null && !target.isFile()) {
    throw new FileError(`${option} ${path}: expected the name of a file, got something that is not one`);
  }
  const folder = dirname(resolve(path));
  try {
    if (!(await stat(folder)).isDirectory()) throw new Error('a file');
    await access(folder, constants.W_OK);
  } catch (error) {
    const expected = `a folder ${dirname(path)} that can be written`;
    throw new FileError(`${option} ${path}: expected ${expected}, got ${systemReason(error)}`);
  }
}

/** Writes `path` whole or not at all. Throws FileError. */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = join(dirname(path), `.${randomBytes(6).toString('hex')}.tmp`);
  unfinished.add(temporary);
  try {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(bytes);
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw new FileError(`${path}: expected to write ${bytes.length} bytes, got ${systemReason(error)}`);
  } finally {
    unfinished.delete(temporary);
  }
}

/** Removes what an interrupted command had begun to write. */
export function removeUnfinished(): void {
  for (const path of unfinished) rmSync(path, { force: true });
}
