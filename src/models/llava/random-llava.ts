// A LLaVA of random weights, made on the device: to measure sizes for which no checkpoint is at hand.
//
//   C channels of the encoder   E channels of the decoder   H, G query and key heads   D channels per head
//
// Matrices keep the variance of what they multiply, norms are 1 and biases 0, so activations stay of order 1.

import {
  dispose,
  elementCount,
  finish,
  type Gpu,
  type Matrix,
  randomMatrix,
  reshape,
  tensor,
} from '../../tensor/index.ts';
import type { ClipVisionConfig, LlamaConfig, LlavaConfig } from '../checkpoint/config.ts';
import { type Upload, uploadOf } from '../checkpoint/upload.ts';
import { type ClipWeights, loadClipWeights, tokenCount } from '../clip/weights.ts';
import { loadLlamaWeights } from '../llama/weights.ts';
import { encoderLayerCount, type LlavaModel, loadProjector } from './llava.ts';

export interface RandomWeights {
  /** What matrices are on the device; those whose columns are no multiple of 4 are f32. */
  readonly dtype: 'f32' | 'f16';
  readonly seed: number;
}

/** A model as `config` says. Throws GpuError if memory does not suffice, and frees what was made. */
export function randomLlava(gpu: Gpu, config: LlavaConfig, weights: RandomWeights): Promise<LlavaModel> {
  return made(gpu, weights, async (upload) => ({
    gpu,
    config,
    vision: await loadClipWeights(upload, 'vision', config.vision, encoderLayerCount(config)),
    projector: await loadProjector(upload, ['linear_1', 'linear_2'], config),
    language: await loadLlamaWeights(upload, 'language', 'lm_head', config.text),
  }));
}

/** The first `layerCount` layers of a vision encoder as `config` says. Throws as randomLlava does. */
export function randomVision(
  gpu: Gpu,
  config: ClipVisionConfig,
  layerCount: number,
  weights: RandomWeights,
): Promise<ClipWeights> {
  return made(gpu, weights, (upload) => loadClipWeights(upload, 'vision', config, layerCount));
}

async function made<T>(gpu: Gpu, options: RandomWeights, make: (upload: Upload) => Promise<T>): Promise<T> {
  const upload = randomUpload(gpu, options);
  try {
    const weights = await make(upload);
    await finish(gpu); // memory that the device lacks shows here
    return weights;
  } catch (error) {
    upload.discard();
    throw error;
  }
}

function randomUpload(gpu: Gpu, { dtype, seed }: RandomWeights): Upload {
  const all: Matrix[] = [];
  const keep = <T extends Matrix>(x: T): T => {
    all.push(x);
    return x;
  };
  const draw = (type: 'f32' | 'f16', rows: number, columns: number): Matrix =>
    randomMatrix(gpu, type, [rows, columns], { seed: seed + all.length, deviation: 1 / Math.sqrt(columns) });
  return uploadOf({
    async load(name, stored, shape = stored) {
      if (/norm|bias$/.test(name)) {
        const value = name.endsWith('bias') ? 0 : 1;
        return keep(tensor(gpu, new Float32Array(elementCount(shape)).fill(value), shape));
      }
      const drawn = draw('f32', 1, elementCount(shape));
      if (drawn.dtype !== 'f32') throw new TypeError('randomUpload: expected f32');
      const shaped = keep(reshape(drawn, shape));
      dispose(drawn);
      return shaped;
    },
    async matrix(_name, [rows = 1, ...rest]) {
      const columns = elementCount(rest);
      return keep(draw(columns % 4 === 0 ? dtype : 'f32', rows, columns));
    },
    discard: () => dispose(all),
  });
}

export interface WeightBytes {
  readonly encoder: number; //      what stands before its layers
  readonly encoderLayer: number; // each
  readonly decoder: number; //      projector, embedding, last norm and head
  readonly decoderLayer: number; // each
}

/** What the weights of a model take on the device, but for rounding. Without `text` there is no decoder. */
export function weightBytesOf(
  vision: ClipVisionConfig,
  text: LlamaConfig | null,
  dtype: 'f32' | 'f16',
): WeightBytes {
  const matrix = (rows: number, columns: number): number =>
    rows * columns * (dtype === 'f16' && columns % 4 === 0 ? 2 : 4);
  const { hiddenSize: C, intermediateSize: I, patchSize } = vision;
  const encoder = matrix(C, 3 * patchSize ** 2) + 4 * C * (tokenCount(vision) + 3);
  const encoderLayer = 4 * matrix(C, C) + matrix(I, C) + matrix(C, I) + 4 * (9 * C + I);
  if (text === null) return { encoder, encoderLayer, decoder: 0, decoderLayer: 0 };

  const {
    hiddenSize: E,
    intermediateSize,
    headCount: H,
    keyValueHeadCount: G,
    headSize: D,
    vocabSize,
  } = text;
  const embeddings = text.tieWordEmbeddings ? 1 : 2;
  const decoder = matrix(E, C) + matrix(E, E) + 4 * 3 * E + embeddings * matrix(vocabSize, E);
  const attention = matrix(H * D, E) + 2 * matrix(G * D, E) + matrix(E, H * D);
  const mlp = 2 * matrix(intermediateSize, E) + matrix(E, intermediateSize);
  return { encoder, encoderLayer, decoder, decoderLayer: attention + mlp + 4 * 2 * E };
}
