// Small random models: a record of weights on the host, the same on the device, and the same as plain arrays for the
// oracle. Weights are grid8 times a power of two, so that they are the same in every language.
//
// No bias is zero, no norm weight is one, and attention logits have a standard deviation of 1 to 2: what is left out or
// put in the wrong place shows.

import fc from 'fast-check';
import {
  type ClipEncoding,
  type ClipVisionConfig,
  type ClipWeights,
  encodeClip,
  type LlamaConfig,
  type LlamaWeights,
} from '../../src/models/index.ts';
import {
  dispose,
  type Gpu,
  type Matrix,
  readAll,
  type Tensor,
  tensor,
  tidy,
} from '../../src/tensor/index.ts';
import { grid8 } from './grid8.ts';
import type { Host } from './recipe.ts';

/** A record with `Leaf` in the place of everything that is a `Replaced`. */
type With<Leaf, Replaced, T> = T extends Replaced
  ? Leaf
  : T extends readonly (infer Item)[]
    ? readonly With<Leaf, Replaced, Item>[]
    : T extends object
      ? { readonly [Name in keyof T]: With<Leaf, Replaced, T[Name]> }
      : T;

type HostTensor = Host<Float32Array>;
export type HostClip = With<HostTensor, Matrix, ClipWeights>;
export type HostLlama = With<HostTensor, Matrix, LlamaWeights>;

/** Uploads a record. What is shared on the host is shared on the device. */
export function onDevice<T>(gpu: Gpu, record: T): With<Tensor, HostTensor, T> {
  const uploaded = new Map<HostTensor, Tensor>();
  const upload = (leaf: HostTensor): Tensor => {
    const x = uploaded.get(leaf) ?? tensor(gpu, leaf.values, leaf.shape);
    uploaded.set(leaf, x);
    return x;
  };
  return replaceLeaves(record, upload) as With<Tensor, HostTensor, T>;
}

/** The values of a record, for the oracle. */
export function plain<T>(record: T): With<Float32Array, HostTensor, T> {
  return replaceLeaves(record, (leaf: HostTensor) => leaf.values) as With<Float32Array, HostTensor, T>;
}

function replaceLeaves(value: unknown, replace: (leaf: HostTensor) => unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if ('values' in value && 'shape' in value) return replace(value as HostTensor);
  if (Array.isArray(value)) return value.map((item) => replaceLeaves(item, replace));
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, replaceLeaves(item, replace)]),
  );
}

/** grid8 with a standard deviation of about 0.58 · 2^exp. */
export function grid(name: string, shape: readonly number[], exp = 0): HostTensor {
  const count = shape.reduce((product, length) => product * length, 1);
  return { values: Float32Array.from(grid8(name, count), (q) => q * 2 ** (exp - 7)), shape };
}

/** A weight that keeps the size of what goes through it. */
function weight(name: string, N: number, K: number, exp = 0): HostTensor {
  return grid(name, [N, K], Math.round(Math.log2(1.74 / Math.sqrt(K))) + exp);
}

/** Norm weights from 0.5 to 1.5. */
function gains(name: string, C: number): HostTensor {
  return { values: Float32Array.from(grid8(name, C), (q) => (64 + Math.floor(q / 4)) / 64), shape: [C] };
}

/** The first `layerCount` layers of the CLIP encoder `name`. */
export function tinyClip(
  name: string,
  config: ClipVisionConfig,
  layerCount: number = config.layerCount,
): HostClip {
  const { hiddenSize: C, intermediateSize: I, imageSize, patchSize: p } = config;
  const N = 1 + (imageSize / p) ** 2;
  const linear = (part: string, outputs: number, inputs: number, exp = 0) => ({
    weight: weight(`${name}.${part}.weight`, outputs, inputs, exp),
    bias: grid(`${name}.${part}.bias`, [outputs], 0),
  });
  const norm = (part: string) => ({
    weight: gains(`${name}.${part}.weight`, C),
    bias: grid(`${name}.${part}.bias`, [C], -1),
  });
  return {
    config,
    patchEmbedding: { weight: weight(`${name}.patch`, C, 3 * p * p) },
    classEmbedding: grid(`${name}.class`, [1, C]),
    positionEmbedding: grid(`${name}.positions`, [N, C]),
    preNorm: norm('pre'),
    layers: Array.from({ length: layerCount }, (_, i) => ({
      attentionNorm: norm(`${i}.norm1`),
      attention: {
        query: linear(`${i}.query`, C, C),
        key: linear(`${i}.key`, C, C),
        value: linear(`${i}.value`, C, C),
        output: linear(`${i}.output`, C, C),
      },
      mlpNorm: norm(`${i}.norm2`),
      mlpIn: linear(`${i}.in`, I, C),
      mlpOut: linear(`${i}.out`, C, I),
    })),
  };
}

/** A tower as a few small numbers, for fast-check. */
export interface TinyTower {
  readonly H: number;
  readonly D: number;
  readonly side: number; // √P
  readonly p: number;
  readonly I: number;
  readonly layers: number;
  readonly activation: ClipVisionConfig['activation'];
  readonly normEps: number;
  readonly seed: number;
}

// Widths that are multiples of 4 and others, for which products have different kernels.
export const tinyTowers: fc.Arbitrary<TinyTower> = fc.record({
  H: fc.constantFrom(2, 1, 3),
  D: fc.constantFrom(4, 3, 5, 8),
  side: fc.constantFrom(2, 3, 4),
  p: fc.integer({ min: 1, max: 3 }),
  I: fc.constantFrom(4, 1, 7, 16),
  layers: fc.integer({ min: 1, max: 2 }),
  activation: fc.constantFrom('quick_gelu' as const, 'gelu' as const),
  normEps: fc.constantFrom(1e-5, 1e-2),
  seed: fc.integer({ min: 0, max: 9999 }),
});

export function towerConfig({ H, D, side, p, I, layers, ...rest }: TinyTower): ClipVisionConfig {
  return {
    hiddenSize: H * D,
    intermediateSize: I,
    layerCount: layers,
    headCount: H,
    imageSize: side * p,
    patchSize: p,
    normEps: rest.normEps,
    activation: rest.activation,
  };
}

export function tinyTower(tower: TinyTower): HostClip {
  return tinyClip(`tower ${tower.seed}`, towerConfig(tower));
}

export function tinyLlama(name: string, config: LlamaConfig): HostLlama {
  const {
    hiddenSize: C,
    intermediateSize: I,
    headCount: H,
    keyValueHeadCount: G,
    headSize: D,
    vocabSize: V,
  } = config;
  const linear = (part: string, outputs: number, inputs: number) => ({
    weight: weight(`${name}.${part}`, outputs, inputs),
  });
  const tokenEmbedding = grid(`${name}.embedding`, [V, C]);
  return {
    config,
    tokenEmbedding,
    layers: Array.from({ length: config.layerCount }, (_, i) => ({
      attentionNorm: gains(`${name}.${i}.norm1`, C),
      query: linear(`${i}.query`, H * D, C),
      key: linear(`${i}.key`, G * D, C),
      value: linear(`${i}.value`, G * D, C),
      output: linear(`${i}.output`, C, H * D),
      mlpNorm: gains(`${name}.${i}.norm2`, C),
      gate: linear(`${i}.gate`, I, C),
      up: linear(`${i}.up`, I, C),
      down: linear(`${i}.down`, C, I),
    })),
    norm: gains(`${name}.norm`, C),
    head: config.tieWordEmbeddings ? { weight: tokenEmbedding } : linear('head', V, C),
  };
}

/** Pixel values [B, 3, S, S] of about the size that normalised pictures have. */
export function tinyPixels(name: string, B: number, { imageSize: S }: ClipVisionConfig): HostTensor {
  return grid(`${name}.pixels`, [B, 3, S, S], 1);
}

/** What the encoder gives, on the host. */
export type HostEncoding = With<HostTensor, Tensor, ClipEncoding>;

export type EncodingJob = readonly [clip: HostClip, pixels: HostTensor];

const ENCODED_AT_ONCE = 40; // A software adapter takes a piece of the address space for each buffer.

/** Encodes all of them, many before anything is read. */
export async function encodeAll(gpu: Gpu, jobs: readonly EncodingJob[]): Promise<HostEncoding[]> {
  const encodings: HostEncoding[] = [];
  for (let begin = 0; begin < jobs.length; begin += ENCODED_AT_ONCE) {
    encodings.push(...(await encodeTogether(gpu, jobs.slice(begin, begin + ENCODED_AT_ONCE))));
  }
  return encodings;
}

async function encodeTogether(gpu: Gpu, jobs: readonly EncodingJob[]): Promise<HostEncoding[]> {
  const encodings = tidy(gpu, () =>
    jobs.map(([clip, { values, shape }]) =>
      // The next one takes these buffers again, and with them their bind groups.
      tidy(gpu, () => encodeClip(onDevice(gpu, clip), tensor(gpu, values, shape))),
    ),
  );
  const names: readonly (keyof ClipEncoding)[] = ['hiddenStates', 'clsAttention', 'keys'];
  const tensors = encodings.flatMap((encoding) => names.map((name) => encoding[name]));
  const values = await readAll(gpu, tensors);
  dispose(encodings);
  const host = (i: number) => ({ values: values[i] as Float32Array, shape: tensors[i]?.shape ?? [] });
  return encodings.map((_, i) => ({
    hiddenStates: host(3 * i),
    clsAttention: host(3 * i + 1),
    keys: host(3 * i + 2),
  }));
}
