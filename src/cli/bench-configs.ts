// The models that `visionzip bench` knows by name. Sizes: config.json of openai/clip-vit-large-patch14-336, of
// liuhaotian/llava-v1.5-7b and -13b, and of liuhaotian/llava-v1.6-vicuna-7b.

import type { ClipVisionConfig, LlamaConfig } from '../models/index.ts';
import { paperBudgets } from '../visionzip/index.ts';
import type { ChosenBudget } from './budget-options.ts';

export interface BenchConfig {
  readonly vision: ClipVisionConfig;
  readonly text: LlamaConfig | null; // null: the encoder alone
  readonly cropCount: number; //        pictures that are encoded for one prompt
  readonly budgets: ReadonlyMap<number, ChosenBudget>; // of one crop, by the tokens of all of them
}

const CLIP_L: ClipVisionConfig = {
  hiddenSize: 1024,
  intermediateSize: 4096,
  layerCount: 24,
  headCount: 16,
  imageSize: 336,
  patchSize: 14,
  normEps: 1e-5,
  activation: 'quick_gelu',
};

const VICUNA_7B: LlamaConfig = {
  hiddenSize: 4096,
  intermediateSize: 11008,
  layerCount: 32,
  headCount: 32,
  keyValueHeadCount: 32,
  headSize: 128,
  vocabSize: 32000,
  normEps: 1e-5,
  ropeTheta: 10_000,
  ropeFactor: 1,
  maxPositions: 4096,
  tieWordEmbeddings: false,
};

const VICUNA_13B: LlamaConfig = {
  ...VICUNA_7B,
  hiddenSize: 5120,
  intermediateSize: 13824,
  layerCount: 40,
  headCount: 40,
  keyValueHeadCount: 40,
};

const ONE_PICTURE: ReadonlyMap<number, ChosenBudget> = new Map([
  [576, null],
  ...[...paperBudgets].sort(([a], [b]) => b - a),
]);

// Five crops; the paper's Table 2.
const FIVE_CROPS: ReadonlyMap<number, ChosenBudget> = new Map([
  [2880, null],
  [640, { dominantCount: 108, contextualCount: 20 }],
  [320, { dominantCount: 54, contextualCount: 10 }],
  [160, { dominantCount: 27, contextualCount: 5 }],
]);

/** Models of random weights. `tiny` and --model DIR have real ones. */
export const benchConfigs: ReadonlyMap<string, BenchConfig> = new Map([
  ['clip-l-336', { vision: CLIP_L, text: null, cropCount: 1, budgets: ONE_PICTURE }],
  ['llava-1.5-7b', { vision: CLIP_L, text: VICUNA_7B, cropCount: 1, budgets: ONE_PICTURE }],
  ['llava-1.5-13b', { vision: CLIP_L, text: VICUNA_13B, cropCount: 1, budgets: ONE_PICTURE }],
  ['llava-next-7b', { vision: CLIP_L, text: VICUNA_7B, cropCount: 5, budgets: FIVE_CROPS }],
]);

/** How checkpoints are measured. */
export const checkpointBudgets: BenchConfig['budgets'] = ONE_PICTURE;
