// The embedded model, and the same with small random parts in the place of its own.

import {
  type ClipVisionConfig,
  type LlamaConfig,
  type Llava,
  loadLlava,
  type ModelFile,
  type ModelFiles,
  modelDirectory,
} from '../../src/models/index.ts';
import type { Gpu } from '../../src/tensor/index.ts';
import type { Host } from './recipe.ts';
import { grid, type HostClip, type HostLlama, onDevice, tinyClip, tinyLlama } from './tiny-models.ts';

export const tinyLlavaFiles: ModelFiles = modelDirectory('golden/tiny-llava');

export function loadTinyLlava(gpu: Gpu): Promise<Llava> {
  return loadLlava(gpu, tinyLlavaFiles);
}

/** The embedded model's files with some of them, or their contents, changed. */
export function changedFiles(change: (file: ModelFile) => ModelFile | Promise<ModelFile>): ModelFiles {
  return { ...tinyLlavaFiles, open: async (name) => change(await tinyLlavaFiles.open(name)) };
}

/** config.json with other fields. */
export function withConfig(fields: object): ModelFiles {
  return changedFiles(async (file) => {
    if (file.name !== 'config.json') return file;
    const text = new TextDecoder().decode(await file.read(0, file.size));
    const bytes = new TextEncoder().encode(JSON.stringify({ ...JSON.parse(text), ...fields }));
    return {
      ...file,
      size: bytes.length,
      read: async (offset, length) => bytes.slice(offset, offset + length),
    };
  });
}

export const visionConfig: ClipVisionConfig = {
  hiddenSize: 12,
  intermediateSize: 20,
  layerCount: 3,
  headCount: 2,
  imageSize: 12,
  patchSize: 3,
  normEps: 1e-5,
  activation: 'quick_gelu',
};

export const textConfig: LlamaConfig = {
  hiddenSize: 20,
  intermediateSize: 28,
  layerCount: 2,
  headCount: 4,
  keyValueHeadCount: 2,
  headSize: 6,
  vocabSize: 37,
  normEps: 1e-5,
  ropeTheta: 10_000,
  ropeFactor: 1,
  maxPositions: 48,
  tieWordEmbeddings: false,
};

export interface HostLlava {
  readonly vision: HostClip;
  readonly language: HostLlama;
  readonly projector: {
    readonly linear1: Affine;
    readonly linear2: Affine;
  };
}

interface Affine {
  readonly weight: Host<Float32Array>;
  readonly bias: Host<Float32Array>;
}

function affine(name: string, outputs: number, inputs: number): Affine {
  return { weight: grid(`${name}.weight`, [outputs, inputs], -1), bias: grid(`${name}.bias`, [outputs]) };
}

/** A small random LLaVA whose features are those of the second of three layers. */
export function tinyLlava(name: string): HostLlava {
  return {
    vision: tinyClip(name, visionConfig, 2),
    language: tinyLlama(name, textConfig),
    projector: {
      linear1: affine(`${name}.linear1`, textConfig.hiddenSize, visionConfig.hiddenSize),
      linear2: affine(`${name}.linear2`, textConfig.hiddenSize, textConfig.hiddenSize),
    },
  };
}

/** It on the device, with the tokenizer of `model`; it stops at `eosTokenIds`. */
export function llavaOnDevice(model: Llava, host: HostLlava, eosTokenIds: readonly number[] = []): Llava {
  const config = { ...model.config, vision: visionConfig, text: host.language.config, eosTokenIds };
  return { ...model, config, ...onDevice(model.gpu, host) };
}
