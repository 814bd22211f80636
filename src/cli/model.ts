// The model of a command: the folder that --model names, or the one that comes with the package.

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  findVisionTower,
  type Llava,
  loadLlava,
  type ModelFiles,
  modelDirectory,
  openLlavaSources,
  type WeightType,
} from '../models/index.ts';
import { type GpuOptions, openGpu } from '../tensor/index.ts';

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

/** The picture that comes with it. */
export function demoPicture(): string {
  return join(embeddedModel(), 'demo-1.jpg');
}

export interface ModelOptions {
  /** --vision-tower: the folder of the tower that a checkpoint of the authors takes; by default it is looked for. */
  readonly visionTower?: string | undefined;
  /** --dtype: what matrices are on the device; by default as the file stores them. */
  readonly weights?: WeightType;
  /** --max-memory: bytes on the device. */
  readonly memoryBudgetBytes?: number;
  /** --subgroup-matrix: products on tensor cores, if they pass their test. */
  readonly subgroupMatrix?: boolean;
}

/** The options of every command that loads a model, besides --model. */
export interface ModelFlags {
  readonly 'vision-tower'?: string | undefined;
  readonly dtype?: string | undefined;
  readonly 'max-memory'?: string | undefined;
}

export const modelFlags: { readonly [name in 'model' | keyof ModelFlags]: { readonly type: 'string' } } = {
  model: { type: 'string' },
  'vision-tower': { type: 'string' },
  dtype: { type: 'string' },
  'max-memory': { type: 'string' },
};

/** Throws RangeError for a dtype that there is not, and for an amount of memory that is none. */
export function modelOptions(flags: ModelFlags): ModelOptions {
  const { dtype, 'vision-tower': visionTower, 'max-memory': memory } = flags;
  if (dtype !== undefined && dtype !== 'f32' && dtype !== 'f16') {
    throw new RangeError(`--dtype: expected f32 or f16, got ${JSON.stringify(dtype)}`);
  }
  return {
    visionTower,
    ...(dtype && { weights: dtype }),
    ...(memory !== undefined && { memoryBudgetBytes: byteCount(memory) }),
  };
}

/** What of these options the device is opened with. */
export function gpuOptions({ memoryBudgetBytes, subgroupMatrix = false }: ModelOptions): GpuOptions {
  return { subgroupMatrix, ...(memoryBudgetBytes !== undefined && { memoryBudgetBytes }) };
}

/** Such as 800MB, 6GiB, or bytes. */
function byteCount(text: string): number {
  const units: Readonly<Record<string, number>> = { '': 1, MB: 1e6, GB: 1e9, MiB: 2 ** 20, GiB: 2 ** 30 };
  const [, digits = '', unit = ''] = /^(\d{1,15}(?:\.\d+)?)(MB|GB|MiB|GiB|)$/.exec(text) ?? [];
  const bytes = Math.floor(Number(digits) * (units[unit] as number));
  if (digits === '' || bytes < 1) {
    throw new RangeError(
      `--max-memory: expected an amount such as 6GiB or 800MB, got ${JSON.stringify(text)}`,
    );
  }
  return bytes;
}

/**
 * Opens the device and loads the model onto it; the caller closes the device. Throws FileError, GpuError, and RangeError
 * for a vision tower that the model has no use for.
 */
export async function openModel(
  folder: string = embeddedModel(),
  opening: ModelOptions = {},
): Promise<Llava> {
  const { visionTower: towerFolder, weights } = opening;
  const files = modelDirectory(folder);
  let isAsked = false;
  const visionTower = async (name: string): Promise<ModelFiles> => {
    isAsked = true;
    return towerFolder === undefined ? findVisionTower(folder, name) : modelDirectory(towerFolder);
  };
  // A folder that holds no model is not worth waiting for a device.
  await (await openLlavaSources(files, visionTower)).close();
  if (towerFolder !== undefined && !isAsked) {
    throw new RangeError(`--vision-tower: expected with a model that lacks a vision tower, got ${folder}`);
  }
  const gpu = await openGpu(gpuOptions(opening));
  try {
    return await loadLlava(gpu, files, { visionTower, ...(weights && { weights }) });
  } catch (error) {
    gpu.close();
    throw error;
  }
}
