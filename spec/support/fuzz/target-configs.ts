// Configurations under tampering. SPEC T-1.3.

import { readFileSync } from 'node:fs';
import { readAuthorsConfig, readTowerConfig } from '../../../src/models/checkpoint/authors-config.ts';
import { readLlavaConfig } from '../../../src/models/checkpoint/config.ts';
import { readJson, sizeCaps } from '../../../src/models/checkpoint/model-files.ts';
import { readPreprocessorConfig } from '../../../src/models/checkpoint/preprocessor-config.ts';
import { memoryFiles } from '../../models/checkpoint/memory-files.ts';
import { authorsConfig, huggingFaceConfig, textKeys, visionKeys } from '../checkpoint-forms.ts';
import type { Target } from './judge.ts';
import { keepsConfig, keepsPreprocessor } from './promises.ts';
import { jsonTarget } from './target-json.ts';
import * as valid from './valid-files.ts';

const vision = { ...visionKeys, model_type: 'clip_vision_model', projection_dim: 8 };
const rope = { rope_type: 'default', rope_theta: 10_000 };
const longConfig = {
  ...huggingFaceConfig,
  text_config: {
    model_type: 'llama',
    ...textKeys,
    rope_parameters: rope,
    eos_token_id: [2, 3],
    pad_token_id: -1,
  },
  vision_config: vision,
  tie_word_embeddings: false,
};
const scaling = { type: 'linear', factor: 2 };
const scaledConfig = { ...huggingFaceConfig, text_config: { ...textKeys, rope_scaling: scaling } };
const goldenConfig: unknown = JSON.parse(readFileSync('golden/tiny-llava/config.json', 'utf8'));
const tower = {
  hiddenSize: 12,
  intermediateSize: 20,
  layerCount: 3,
  headCount: 2,
  imageSize: 12,
  patchSize: 3,
  normEps: 1e-5,
  activation: 'gelu',
} as const;

export const configs: readonly Target<Uint8Array>[] = [
  jsonTarget('config.json of llava-hf', [longConfig, scaledConfig, goldenConfig], async (bytes) =>
    keepsConfig(await readLlavaConfig(memoryFiles({ 'config.json': bytes }))),
  ),
  jsonTarget('config.json of the authors', [authorsConfig], async (bytes) => {
    const files = memoryFiles({ 'config.json': bytes });
    const authors = await readAuthorsConfig(files, await readJson(files, 'config.json', sizeCaps.config));
    keepsConfig(authors.with(tower));
  }),
  jsonTarget(
    'config.json of a tower',
    [vision, { model_type: 'clip', vision_config: vision }],
    async (bytes) => {
      const { text, ...rest } = await readLlavaConfig(memoryFiles({ 'config.json': huggingFaceConfig }));
      const config = await readTowerConfig(memoryFiles({ 'config.json': bytes }));
      keepsConfig({ ...rest, text, visionFeatureLayer: -1, vision: config });
    },
  ),
  jsonTarget(
    'generation_config.json',
    [
      { bos_token_id: 1, eos_token_id: 2 },
      { eos_token_id: [2, 7], pad_token_id: 0, do_sample: true },
    ],
    async (bytes) => {
      const files = memoryFiles({ 'config.json': huggingFaceConfig, 'generation_config.json': bytes });
      keepsConfig(await readLlavaConfig(files));
    },
  ),
  jsonTarget('preprocessor_config.json', [valid.preprocessor, { size: 400, crop_size: 336 }], async (bytes) =>
    keepsPreprocessor(
      await readPreprocessorConfig(memoryFiles({ 'preprocessor_config.json': bytes }), 336),
      336,
    ),
  ),
  jsonTarget(
    'processor_config.json',
    [{ image_processor: valid.preprocessor, patch_size: 14 }],
    async (bytes) =>
      keepsPreprocessor(
        await readPreprocessorConfig(memoryFiles({ 'processor_config.json': bytes }), 336),
        336,
      ),
  ),
];
