// What `visionzip bench` measures: a checkpoint, or a model of random weights that is known to fit.

import { CLIP_336, type LlavaConfig, randomLlava, randomVision, weightBytesOf } from '../models/index.ts';
import { type Gpu, GpuError, openGpu, roomBytes } from '../tensor/index.ts';
import type { BenchConfig } from './bench-configs.ts';
import type { BenchPlan, BenchSubject } from './bench-run.ts';
import { demoPicture, embeddedModel, gpuOptions, type ModelOptions, openModel } from './model.ts';
import { readPicture } from './picture.ts';

const SEED = 0;

export interface Layers {
  readonly part: 'encoder' | 'decoder';
  readonly run: number;
  readonly whole: number; // how many the model has that are run
}

export interface Opened {
  readonly name: string;
  readonly subject: BenchSubject;
  readonly weights: string; // such as `random weights, f16`
  readonly layers: Layers;
}

function layersOf(part: Layers['part'], whole: number, asked: number | null): Layers {
  if (asked !== null && asked > whole) {
    throw new RangeError(`--layers: expected at most ${whole} ${part} layers, got ${asked}`);
  }
  return { part, run: asked ?? whole, whole };
}

/** The model in the package, or the checkpoint of --model. Throws RangeError for more layers or positions than it has. */
export async function openCheckpoint(
  name: string,
  folder: string | undefined,
  opening: ModelOptions,
  asked: number | null,
  plan: BenchPlan,
): Promise<Opened> {
  const llava = await openModel(folder ?? embeddedModel(), opening);
  try {
    const layers = layersOf('decoder', llava.language.layers.length, asked);
    checkPositions(llava.config.text.maxPositions, plan);
    const language = { ...llava.language, layers: llava.language.layers.slice(0, layers.run) };
    const image = await readPicture(demoPicture());
    const { gpu, vision, preprocessor, imageMode } = llava;
    return {
      name,
      subject: { gpu, vision, llava: { ...llava, language }, preprocessor, imageMode, image, cropCount: 1 },
      weights: `its own weights, ${opening.weights ?? 'as stored'}`,
      layers,
    };
  } catch (error) {
    llava.gpu.close();
    throw error;
  }
}

/**
 * A model of random weights, made on the device once it is known to fit. Throws RangeError for more layers or positions
 * than it has and for a --vision-tower, GpuError for what does not fit.
 */
export async function openRandom(
  name: string,
  config: BenchConfig,
  opening: ModelOptions,
  asked: number | null,
  plan: BenchPlan,
): Promise<Opened> {
  const { vision, text, cropCount } = config;
  const { visionTower, weights = 'f16' } = opening;
  if (visionTower !== undefined) {
    throw new RangeError(`--vision-tower: expected with --model, got --config ${name}`);
  }
  if (text !== null) checkPositions(text.maxPositions, plan);
  const dtype = weights === 'f32' ? 'f32' : 'f16';
  const layers =
    text === null
      ? layersOf('encoder', vision.layerCount - 1, asked)
      : layersOf('decoder', text.layerCount, asked);
  const image = await readPicture(demoPicture());
  const gpu = await openGpu(gpuOptions(opening));
  try {
    checkFits(gpu, name, config, dtype, layers, plan);
    const drawn = { dtype, seed: SEED } as const;
    const shared = { gpu, preprocessor: CLIP_336, imageMode: 'pad' as const, image, cropCount };
    if (text === null) {
      const encoder = await randomVision(gpu, vision, layers.run, drawn);
      const subject: BenchSubject = { ...shared, vision: encoder, llava: null };
      return { name, subject, weights: `random weights, ${dtype}`, layers };
    }
    const llava = await randomLlava(gpu, llavaConfig(config, layers.run), drawn);
    const subject: BenchSubject = { ...shared, vision: llava.vision, llava };
    return { name, subject, weights: `random weights, ${dtype}`, layers };
  } catch (error) {
    gpu.close();
    throw error;
  }
}

function llavaConfig({ vision, text }: BenchConfig, layerCount: number): LlavaConfig {
  if (text === null) throw new TypeError('llavaConfig: expected a decoder');
  return {
    vision,
    text: { ...text, layerCount },
    visionFeatureLayer: -2,
    imageTokenIndex: null,
    projectorActivation: 'gelu',
    bosTokenId: 1,
    eosTokenIds: [2],
    padTokenId: 0,
  };
}

/** What the longest answer takes, the picture included. */
function positionsOf({ budgets, textTokens, newTokens }: BenchPlan): number {
  return Math.max(...budgets.keys()) + textTokens + newTokens;
}

function checkPositions(most: number, plan: BenchPlan): void {
  const needed = positionsOf(plan);
  if (needed <= most) return;
  throw new RangeError(
    `--tokens: expected at most ${most} positions, prompt and answer together, got ${needed}`,
  );
}

/** Throws GpuError, with the number and the layers that would fit, for what will not. */
function checkFits(
  gpu: Gpu,
  name: string,
  { vision, text, cropCount }: BenchConfig,
  dtype: 'f32' | 'f16',
  layers: Layers,
  plan: BenchPlan,
): void {
  const room = roomBytes(gpu);
  if (room === null) return;
  const weights = weightBytesOf(vision, text, dtype);
  const cache = text === null ? 0 : 8 * positionsOf(plan) * text.keyValueHeadCount * text.headSize; // of a layer
  const encoderLayers = text === null ? 0 : vision.layerCount - 1;
  const fixed =
    weights.encoder +
    encoderLayers * weights.encoderLayer +
    weights.decoder +
    encoderActivations(vision, cropCount);
  const perLayer = text === null ? weights.encoderLayer : weights.decoderLayer + cache;
  const needed = fixed + layers.run * perLayer;
  if (needed <= room) return;
  const fit = Math.min(layers.whole, Math.floor((room - fixed) / perLayer));
  const hint = fit < 1 ? 'not even one layer fits' : `--layers ${fit} fits`;
  throw new GpuError(
    `bench: expected ${name} to need at most ${gigabytes(room)}, got ${gigabytes(needed)} with ${layers.run} ${layers.part} layers; ${hint}`,
  );
}

/** What a layer of the encoder holds at once, its scores included. */
function encoderActivations(
  { hiddenSize, intermediateSize, headCount, imageSize, patchSize }: BenchConfig['vision'],
  cropCount: number,
): number {
  const N = 1 + (imageSize / patchSize) ** 2;
  return 4 * cropCount * N * (8 * hiddenSize + 2 * intermediateSize + 2 * headCount * N);
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
