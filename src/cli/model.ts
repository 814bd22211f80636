// The model of a command: the folder that --model names, or the one that comes with the package.

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Llava, loadLlava, modelDirectory, openCheckpoint } from '../models/index.ts';
import { openGpu } from '../tensor/index.ts';

/** The folder of the package, found from the running file upwards: it lies in src/cli, or in dist. */
export function packageFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json')) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}

/** The model that comes with the package. */
export function embeddedModel(): string {
  return join(packageFolder(), 'golden', 'tiny-llava');
}

/** Opens the device and loads the model onto it; the caller closes the device. Throws FileError, GpuError. */
export async function openModel(folder: string = embeddedModel()): Promise<Llava> {
  const files = modelDirectory(folder);
  // A folder that holds no model is not worth waiting for a device.
  await (await openCheckpoint(files)).close();
  const gpu = await openGpu();
  try {
    return await loadLlava(gpu, files);
  } catch (error) {
    gpu.close();
    throw error;
  }
}
