// The folder of the bundle, made under a temporary name, and the archive of it.

import {
  chmodSync,
  cpSync,
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { run, say } from '../setup/children.mjs';
import { COPIED, checkFiles, DAWN } from './layout.mjs';

/** Everything but the program and the driver. */
export async function placeFiles(root, stage) {
  for (const folder of ['bin', 'lib/vulkan']) mkdirSync(join(stage, folder), { recursive: true });
  for (const [target, source] of COPIED)
    cpSync(join(root, source), join(stage, target), { recursive: true, dereference: true });
  chmodSync(join(stage, 'visionzip'), 0o755);
  await stripped(process.execPath, join(stage, 'bin', 'node'));
  await stripped(join(root, DAWN), join(stage, 'app', DAWN));
  chmodSync(join(stage, 'bin', 'node'), 0o755);
}

/** Copies a program without its symbols; with them where there is no `strip`. */
async function stripped(source, target) {
  mkdirSync(dirname(target), { recursive: true });
  try {
    await run('strip', ['--strip-unneeded', '-o', target, source]);
  } catch (error) {
    say(`  ${basename(source)} keeps its symbols: ${error.message.split('\n', 1)[0]}`);
    cpSync(source, target, { dereference: true });
  }
}

/** The folder has to work by itself: an empty environment, its own driver, a buffer computed and read. */
export async function tryBundle(stage) {
  checkFiles((path) => existsSync(join(stage, path)));
  const launcher = join(stage, 'visionzip');
  const text = await run('env', ['-i', 'VISIONZIP_DRIVER=private', launcher, 'doctor', '--json']);
  const { adapter, driverFolder } = JSON.parse(text);
  if (adapter?.driver !== 'private' || driverFolder !== join(stage, 'lib', 'vulkan'))
    throw new Error(
      `bundle: expected the driver of the bundle, got ${adapter?.driver} from ${driverFolder}.`,
    );
  return adapter.description || adapter.device;
}

/** Packs the folder as .tar.gz, which every host can unpack; names are sorted and nobody owns them. Returns the size. */
export async function pack(stage, archive) {
  const tar = `${archive}.tar`;
  const owner = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', '--mtime=@0', '--format=ustar'];
  await run('tar', [...owner, '-cf', tar, '-C', dirname(stage), basename(stage)]);
  await pipeline(createReadStream(tar), createGzip({ level: 9 }), createWriteStream(archive));
  rmSync(tar);
  return statSync(archive).size;
}

/** The files of a folder: [name, bytes]. */
export function partsOf(stage) {
  return readdirSync(stage, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .map((path) => [relative(stage, path), statSync(path).size]);
}
