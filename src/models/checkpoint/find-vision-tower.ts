// Where the vision tower of a checkpoint in the authors' layout lies on this machine. SPEC M-2.27.
//
//     DIR/NAME                    where NAME is a path that stays in DIR or in the folder it lies in
//     DIR/../LAST PART OF NAME    beside the model
//     the Hugging Face cache      hub/models--OWNER--NAME/snapshots/COMMIT, COMMIT as in refs/main
//
// Node's modules are asked for where they are used; files are read through modelDirectory alone.

import { homeFolder } from '../../tensor/dawn-files.ts';
import { FileError } from '../../tensor/errors.ts';
import { modelDirectory } from './model-directory.ts';
import { type ModelFiles, quoted, readText } from './model-files.ts';

const hubName = /^[A-Za-z0-9][A-Za-z0-9._-]*\/[A-Za-z0-9][A-Za-z0-9._-]*$/;
const commit = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/**
 * The folder of the vision tower `name` (mm_vision_tower) of the model in `modelFolder`. It is never fetched. Throws
 * FileError, naming the places, if none of them has a config.json.
 */
export async function findVisionTower(modelFolder: string, name: string): Promise<ModelFiles> {
  const looked: string[] = [];
  for (const folder of [...besides(modelFolder, name), ...(await cached(name))]) {
    const files = modelDirectory(folder);
    if (await hasFile(files, 'config.json')) return files;
    looked.push(folder);
  }
  const expected = `the folder of ${quoted(name)} in ${looked.join(', ') || 'the folder of the model or beside it'}`;
  const remedy = 'name the folder with --vision-tower';
  throw new FileError(
    `${modelFolder}/config.json mm_vision_tower: expected ${expected}, got no config.json there; ${remedy}`,
  );
}

/** An absolute path, or one that leads further up, is not followed: what stands in a checkpoint is not to be trusted. */
function besides(modelFolder: string, name: string): string[] {
  const { basename, isAbsolute, join, relative, resolve, sep } = process.getBuiltinModule('node:path');
  const parent = resolve(modelFolder, '..');
  const folders: string[] = [];
  const path = resolve(modelFolder, name);
  const fromParent = relative(parent, path);
  const isInside = fromParent !== '' && fromParent.split(sep)[0] !== '..' && !isAbsolute(fromParent);
  if (!isAbsolute(name) && isInside && path !== resolve(modelFolder)) folders.push(path);
  const last = basename(name);
  if (commit.test(last)) folders.push(join(parent, last));
  return [...new Set(folders)];
}

async function cached(name: string): Promise<string[]> {
  if (!hubName.test(name)) return [];
  const { join } = process.getBuiltinModule('node:path');
  const { HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME } = process.env;
  const home = HF_HOME || join(XDG_CACHE_HOME || join(homeFolder(), '.cache'), 'huggingface');
  const repository = join(HF_HUB_CACHE || join(home, 'hub'), `models--${name.replace('/', '--')}`);
  const refs = modelDirectory(join(repository, 'refs'));
  if (!(await hasFile(refs, 'main'))) return [repository];
  const main = (await readText(refs, 'main', 256)).trim();
  if (!commit.test(main)) {
    throw new FileError(`${repository}/refs/main: expected the name of a snapshot, got ${quoted(main)}`);
  }
  return [join(repository, 'snapshots', main)];
}

async function hasFile(files: ModelFiles, name: string): Promise<boolean> {
  // Where the folder itself is missing, so is the file.
  return files.has(name).catch(() => false);
}
