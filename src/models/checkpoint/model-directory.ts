// A folder on disk as ModelFiles. SPEC M-2.2. Node's modules are asked for where they are used, so that bundles for
// browsers may hold this file.

import type { FileHandle } from 'node:fs/promises';
import { FileError } from '../../tensor/errors.ts';
import { checkFileName, type ModelFile, type ModelFiles } from './model-files.ts';

/**
 * The files of the folder `path`. Links are followed (the Hugging Face cache consists of them), but
 * a *name* never leaves the folder. Throws FileError, on first use, if the folder is missing.
 */
export function modelDirectory(path: string): ModelFiles {
  return {
    where: path,
    open: (name) => openRegularFile(path, name),
    has: (name) => hasRegularFile(path, name),
  };
}

async function hasRegularFile(folder: string, name: string): Promise<boolean> {
  checkFileName(folder, name);
  await checkFolder(folder);
  const { stat } = process.getBuiltinModule('node:fs/promises');
  const info = await stat(`${folder}/${name}`).catch(() => null);
  return info?.isFile() ?? false;
}

async function checkFolder(folder: string): Promise<void> {
  const { stat } = process.getBuiltinModule('node:fs/promises');
  const info = await stat(folder).catch((error: Error) => {
    throw new FileError(`${folder}: expected a model folder, got ${systemReason(error)}`);
  });
  if (!info.isDirectory()) throw new FileError(`${folder}: expected a model folder, got a file`);
}

async function openRegularFile(folder: string, name: string): Promise<ModelFile> {
  checkFileName(folder, name);
  await checkFolder(folder);
  return { ...(await openFile(`${folder}/${name}`)), name };
}

/**
 * The file at `path`, whatever its name. For paths that the user of a program gives; names that stand in files go through
 * modelDirectory. Throws FileError if it is missing or is not a regular file.
 */
export async function openFile(path: string): Promise<ModelFile> {
  const { constants, open, stat } = process.getBuiltinModule('node:fs/promises');
  const before = await stat(path).catch((error: Error) => {
    throw new FileError(`${path}: expected a file, got ${systemReason(error)}`);
  });
  // Looked at before it is opened: opening a pipe waits for a writer.
  if (!before.isFile()) {
    const got = before.isDirectory() ? 'a folder' : 'something else';
    throw new FileError(`${path}: expected a regular file, got ${got}`);
  }

  const handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch((error: Error) => {
    throw new FileError(`${path}: expected a readable file, got ${systemReason(error)}`);
  });
  const info = await handle.stat();
  if (!info.isFile() || info.size !== before.size) {
    await handle.close();
    throw new FileError(`${path}: expected a file of ${before.size} bytes, got one of ${info.size}`);
  }
  return {
    name: path,
    size: info.size,
    read: (offset, length) => readExactly(handle, path, offset, length),
    close: () => handle.close(),
  };
}

async function readExactly(
  handle: FileHandle,
  path: string,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle
      .read(bytes, done, Math.min(length - done, 1 << 30), offset + done)
      .catch((error: Error) => {
        throw new FileError(`${path}: expected ${length} bytes at ${offset}, got ${systemReason(error)}`);
      });
    if (bytesRead === 0) {
      throw new FileError(`${path}: expected ${length} bytes at ${offset}, got the end after ${done}`);
    }
    done += bytesRead;
  }
  return bytes;
}

const reasons: ReadonlyMap<unknown, string> = new Map([
  ['ENOENT', 'nothing of that name'],
  ['EACCES', 'no permission'],
  ['EPERM', 'no permission'],
  ['EEXIST', 'a file of that name'],
  ['EISDIR', 'a folder'],
  ['ENOTDIR', 'a path through what is no folder'],
  ['ENOSPC', 'a full disk'],
  ['EROFS', 'a file system that is read-only'],
]);

/** What the system said about a file, in the words of a message. */
export function systemReason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return reasons.get(code) ?? message;
}
