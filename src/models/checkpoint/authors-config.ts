// config.json of a LLaVA-1.5 in the authors' own layout (liuhaotian/llava-v1.5-7b), and that of its vision tower.
// SPEC M-2.25, M-2.26, M-2.28.
//
// It is a Llama's configuration with keys of its own between; the defaults beside them are those of the authors' code
// (llava_arch.py, multimodal_encoder, multimodal_projector, mm_utils.py). The tower's stands in another folder.

import * as v from 'valibot';
import { FileError } from '../../tensor/errors.ts';
import {
  type ClipVisionConfig,
  endTokens,
  featureLayer,
  type LlamaConfig,
  type LlavaConfig,
  padTokenId,
  readClipConfig,
  readGeneration,
  readLlamaConfig,
  tokenId,
  tokenIds,
} from './config.ts';
import { type ModelFiles, readJson, sizeCaps } from './model-files.ts';
import { anyObject, checkSchema, object, only, wholeNumber } from './schema.ts';

/** How a picture becomes a square: the whole of it on a square ground, or the square in its middle. */
export type ImageMode = 'pad' | 'crop';

export interface AuthorsConfig {
  readonly text: LlamaConfig;
  readonly visionTower: string; // a name on the Hugging Face hub, or a path
  readonly imageMode: ImageMode;
  /** The whole configuration, once that of the tower is known. Throws FileError if they do not fit. */
  with(vision: ClipVisionConfig): LlavaConfig;
}

const schema = object({
  model_type: v.picklist(['llava', 'llava_llama']),
  mm_vision_tower: v.pipe(v.string(), v.minLength(1), v.maxLength(1024)),
  mm_projector_type: only('mlp2x_gelu'), // 'linear' where it is left out
  mm_hidden_size: wholeNumber(1, 1 << 20),
  mm_vision_select_layer: v.number(),
  mm_vision_select_feature: v.optional(only('patch')),
  mm_use_im_start_end: v.optional(only(false)),
  mm_patch_merge_type: v.optional(only('flat')),
  image_aspect_ratio: v.nullish(v.picklist(['pad', 'square'])), // anything but pad and anyres is a crop
  s2: v.optional(only(false)),
  bos_token_id: v.nullish(tokenId, 1),
  eos_token_id: v.nullish(tokenIds, 2),
  pad_token_id: v.nullish(padTokenId, null),
});

const looseSchema = object({
  model_type: v.optional(v.unknown()),
  architectures: v.optional(v.unknown()),
  mm_vision_tower: v.optional(v.unknown()),
});

/** Whether a config.json is of the authors' kind. */
export function isAuthorsConfig(json: unknown): boolean {
  const { success, output } = v.safeParse(looseSchema, json);
  if (!success) return false;
  if (output.model_type === 'llava_llama') return true;
  if (output.architectures == null) return output.model_type === 'llava' && output.mm_vision_tower != null;
  return Array.isArray(output.architectures) && output.architectures.includes('LlavaLlamaForCausalLM');
}

/** Checks `json`, the config.json of `files`, and reads generation_config.json. Throws FileError. */
export async function readAuthorsConfig(files: ModelFiles, json: unknown): Promise<AuthorsConfig> {
  const who = `${files.where}/config.json`;
  const raw = checkSchema(who, schema, json);
  const text = readLlamaConfig(who, { ...(json as object), model_type: 'llama' });
  const generation = await readGeneration(files);
  const ends = endTokens(files.where, text.vocabSize, generation, {
    bos_token_id: raw.bos_token_id,
    eos_token_id: raw.eos_token_id,
  });
  return {
    text,
    visionTower: raw.mm_vision_tower,
    imageMode: raw.image_aspect_ratio === 'pad' ? 'pad' : 'crop',
    with(vision) {
      if (raw.mm_hidden_size !== vision.hiddenSize) {
        const expected = `${vision.hiddenSize}, the hidden_size of the vision tower`;
        throw new FileError(`${who} mm_hidden_size: expected ${expected}, got ${raw.mm_hidden_size}`);
      }
      const visionFeatureLayer = raw.mm_vision_select_layer;
      return {
        vision,
        text,
        visionFeatureLayer: featureLayer(
          `${who} mm_vision_select_layer`,
          visionFeatureLayer,
          vision.layerCount,
        ),
        imageTokenIndex: null,
        projectorActivation: 'gelu',
        ...ends,
        padTokenId: raw.pad_token_id,
      };
    },
  };
}

const towerSchema = v.variant('model_type', [
  v.object({ model_type: v.literal('clip'), vision_config: anyObject }),
  v.looseObject({ model_type: v.literal('clip_vision_model') }),
]);

/** config.json of a vision tower: a whole CLIP's, or that of its vision half alone. Throws FileError. */
export async function readTowerConfig(files: ModelFiles): Promise<ClipVisionConfig> {
  const who = `${files.where}/config.json`;
  const raw = checkSchema(who, towerSchema, await readJson(files, 'config.json', sizeCaps.config));
  return 'vision_config' in raw && raw.model_type === 'clip'
    ? readClipConfig(`${who} vision_config`, raw.vision_config)
    : readClipConfig(who, raw);
}
