// config.json and generation_config.json of a LLaVA-1.5 in the llava-hf layout. SPEC M-2.14 to M-2.19, M-2.34.
//
// Real checkpoints leave out most keys and count on the defaults of the Python classes they were
// saved by; those of transformers 4.37 are written here beside each key. Whatever would change the
// arithmetic and is not implemented is refused by name, never ignored.

import * as v from 'valibot';
import { FileError } from '../../tensor/errors.ts';
import { type ModelFiles, quoted, readJson, sizeCaps } from './model-files.ts';
import { checkSchema, object, only, positiveNumber, wholeNumber } from './schema.ts';

export interface ClipVisionConfig {
  readonly hiddenSize: number; //       C
  readonly intermediateSize: number; // width of the MLP
  readonly layerCount: number;
  readonly headCount: number; //        H, divides C
  readonly imageSize: number; //        pixels; a multiple of patchSize
  readonly patchSize: number; //        pixels
  readonly normEps: number;
  readonly activation: 'quick_gelu' | 'gelu';
}

export interface LlamaConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layerCount: number;
  readonly headCount: number;
  readonly keyValueHeadCount: number; // divides headCount
  readonly headSize: number; //          even; usually hiddenSize / headCount
  readonly vocabSize: number;
  readonly normEps: number;
  readonly ropeTheta: number;
  readonly ropeFactor: number; //        positions are divided by it (linear scaling); 1 without scaling
  readonly maxPositions: number; //      max_position_embeddings · ropeFactor
  readonly tieWordEmbeddings: boolean;
}

export interface LlavaConfig {
  readonly vision: ClipVisionConfig;
  readonly text: LlamaConfig;
  readonly visionFeatureLayer: number; // index into the layerCount + 1 hidden states, or from the end
  readonly imageTokenIndex: number | null; // null in the authors' layout, where the picture has no token
  readonly projectorActivation: 'gelu';
  readonly bosTokenId: number;
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | null;
}

const maxSize = 1 << 20;
const maxVocab = 1 << 22;
const size = wholeNumber(1, maxSize);
export const tokenId: v.GenericSchema<unknown, number> = wholeNumber(0, maxVocab);
/** −1 where there is none. */
export const padTokenId: v.GenericSchema<unknown, number> = wholeNumber(-1, maxVocab);
export const tokenIds: v.GenericSchema<unknown, number | number[]> = v.union([
  tokenId,
  v.pipe(v.array(tokenId), v.minLength(1), v.maxLength(64)),
]);

const visionSchema = object({
  model_type: v.optional(only('clip_vision_model'), 'clip_vision_model'),
  hidden_size: v.optional(size, 768),
  intermediate_size: v.optional(size, 3072),
  num_hidden_layers: v.optional(wholeNumber(1, 512), 12),
  num_attention_heads: v.optional(wholeNumber(1, 1024), 12),
  num_channels: v.optional(only(3), 3),
  image_size: v.optional(wholeNumber(1, 4096), 224),
  patch_size: v.optional(wholeNumber(1, 4096), 32),
  layer_norm_eps: v.optional(positiveNumber(1), 1e-5),
  hidden_act: v.optional(v.picklist(['quick_gelu', 'gelu']), 'quick_gelu'),
});

/** What LLaVA takes when there is no vision_config at all: CLIP ViT-L/14 at 336 pixels. */
const clipLarge336 = {
  hidden_size: 1024,
  intermediate_size: 4096,
  num_hidden_layers: 24,
  num_attention_heads: 16,
  image_size: 336,
  patch_size: 14,
};

// Newer files keep the angle settings in rope_parameters, older ones in rope_theta and rope_scaling.
const mostRopeFactor = 4096;
const isRopeFactor = (factor: number): boolean => factor >= 1 && factor <= mostRopeFactor;
const ropeFactor = v.pipe(v.number(), v.check(isRopeFactor, `a number of 1 to ${mostRopeFactor}`));
const ropeType = v.optional(v.picklist(['default', 'linear']));
const ropeSchema = v.nullish(
  object({
    type: ropeType,
    rope_type: ropeType,
    factor: v.nullish(ropeFactor),
    rope_theta: v.optional(positiveNumber(1e12)),
    partial_rotary_factor: v.optional(only(1)),
  }),
);

const textSchema = object({
  model_type: v.optional(only('llama'), 'llama'),
  vocab_size: v.optional(wholeNumber(1, maxVocab), 32_000),
  hidden_size: v.optional(size, 4096),
  intermediate_size: v.optional(size, 11_008),
  num_hidden_layers: v.optional(wholeNumber(1, 512), 32),
  num_attention_heads: v.optional(wholeNumber(1, 1024), 32),
  num_key_value_heads: v.nullish(wholeNumber(1, 1024)),
  head_dim: v.nullish(wholeNumber(2, 4096)),
  hidden_act: v.optional(only('silu'), 'silu'),
  max_position_embeddings: v.optional(wholeNumber(1, 1 << 24), 2048),
  rms_norm_eps: v.optional(positiveNumber(1), 1e-6),
  rope_theta: v.nullish(positiveNumber(1e12)),
  rope_scaling: ropeSchema,
  rope_parameters: ropeSchema,
  attention_bias: v.optional(only(false), false),
  mlp_bias: v.optional(only(false), false),
  tie_word_embeddings: v.optional(v.boolean(), false),
  bos_token_id: v.nullish(tokenId),
  eos_token_id: v.nullish(tokenIds),
  pad_token_id: v.nullish(padTokenId),
});

const llavaSchema = object({
  architectures: v.nullish(v.array(v.string())),
  vision_config: v.nullish(visionSchema),
  text_config: v.nullish(textSchema),
  vision_feature_layer: v.optional(v.union([v.number(), v.strictTuple([v.number()])]), -2),
  vision_feature_select_strategy: v.optional(only('default'), 'default'), // patches without CLS
  image_token_index: v.nullish(tokenId),
  image_token_id: v.nullish(tokenId),
  projector_hidden_act: v.optional(only('gelu'), 'gelu'),
  multimodal_projector_bias: v.optional(only(true), true),
  tie_word_embeddings: v.nullish(v.boolean()),
  bos_token_id: v.nullish(tokenId),
  eos_token_id: v.nullish(tokenIds),
  pad_token_id: v.nullish(padTokenId),
});

const generationSchema = object({ bos_token_id: v.nullish(tokenId), eos_token_id: v.nullish(tokenIds) });

/** Reads and checks both files; generation_config.json may be absent. Throws FileError. */
export async function readLlavaConfig(files: ModelFiles): Promise<LlavaConfig> {
  const who = `${files.where}/config.json`;
  const json = await readJson(files, 'config.json', sizeCaps.config);
  checkModelType(who, json);
  const raw = checkSchema(who, llavaSchema, json);
  const generation = await readGeneration(files);

  const vision = clipConfig(`${who} vision_config`, raw.vision_config ?? v.parse(visionSchema, clipLarge336));
  const rawText = raw.text_config ?? v.parse(textSchema, {});
  const text = llamaConfig(`${who} text_config`, rawText, raw.tie_word_embeddings === true);
  const ends = endTokens(files.where, text.vocabSize, generation, {
    bos_token_id: raw.bos_token_id ?? rawText.bos_token_id ?? 1,
    eos_token_id: raw.eos_token_id ?? rawText.eos_token_id ?? 2,
  });
  return {
    vision,
    text,
    visionFeatureLayer: featureLayer(
      `${who} vision_feature_layer`,
      raw.vision_feature_layer,
      vision.layerCount,
    ),
    imageTokenIndex: raw.image_token_index ?? raw.image_token_id ?? 32_000,
    projectorActivation: raw.projector_hidden_act,
    ...ends,
    padTokenId: raw.pad_token_id ?? rawText.pad_token_id ?? null,
  };
}

function checkModelType(who: string, json: unknown): void {
  const looseSchema = object({ model_type: v.string(), architectures: v.nullish(v.array(v.string())) });
  const { model_type, architectures } = checkSchema(who, looseSchema, json);
  if (model_type !== 'llava') {
    throw new FileError(`${who} model_type: expected "llava" (LLaVA-1.5), got ${quoted(model_type)}`);
  }
  // The authors' own checkpoints also call themselves llava, in another layout.
  if (architectures != null && !architectures.includes('LlavaForConditionalGeneration')) {
    const expected = '["LlavaForConditionalGeneration"] (the llava-hf layout)';
    throw new FileError(`${who} architectures: expected ${expected}, got ${quoted(architectures)}`);
  }
}

export interface GenerationConfig {
  readonly bos_token_id?: number | null | undefined;
  readonly eos_token_id?: number | number[] | null | undefined;
}

/** generation_config.json, or nothing where there is none. Throws FileError. */
export async function readGeneration(files: ModelFiles): Promise<GenerationConfig> {
  const name = 'generation_config.json';
  if (!(await files.has(name))) return {};
  const json = await readJson(files, name, sizeCaps.config);
  return checkSchema(`${files.where}/${name}`, generationSchema, json);
}

/**
 * BOS and EOS: those of generation_config.json, else of config.json. Throws FileError, naming the file that they are from,
 * for an id that the vocabulary has not.
 */
export function endTokens(
  where: string,
  vocabSize: number,
  generation: GenerationConfig,
  config: { readonly bos_token_id: number; readonly eos_token_id: number | readonly number[] },
): Pick<LlavaConfig, 'bosTokenId' | 'eosTokenIds'> {
  const check = (field: keyof GenerationConfig, ids: readonly number[]): readonly number[] => {
    const beyond = ids.find((id) => id >= vocabSize);
    if (beyond === undefined) return ids;
    const file = generation[field] == null ? 'config.json' : 'generation_config.json';
    throw new FileError(`${where}/${file} ${field}: expected less than ${vocabSize}, got ${beyond}`);
  };
  const bosTokenId = generation.bos_token_id ?? config.bos_token_id;
  const eos = generation.eos_token_id ?? config.eos_token_id;
  check('bos_token_id', [bosTokenId]);
  return { bosTokenId, eosTokenIds: check('eos_token_id', typeof eos === 'number' ? [eos] : eos) };
}

/** The `vision_config` of `json`; without one, CLIP ViT-L/14 at 336 pixels. Throws FileError. */
export function readClipConfig(who: string, json?: unknown): ClipVisionConfig {
  return clipConfig(who, checkSchema(who, visionSchema, json ?? clipLarge336));
}

/** A Llama's configuration, of whose keys `json` may have any. Throws FileError. */
export function readLlamaConfig(who: string, json: unknown): LlamaConfig {
  return llamaConfig(who, checkSchema(who, textSchema, json), false);
}

function clipConfig(who: string, raw: v.InferOutput<typeof visionSchema>): ClipVisionConfig {
  checkDivides(who, 'num_attention_heads', raw.num_attention_heads, 'hidden_size', raw.hidden_size);
  checkDivides(who, 'patch_size', raw.patch_size, 'image_size', raw.image_size);
  return {
    hiddenSize: raw.hidden_size,
    intermediateSize: raw.intermediate_size,
    layerCount: raw.num_hidden_layers,
    headCount: raw.num_attention_heads,
    imageSize: raw.image_size,
    patchSize: raw.patch_size,
    normEps: raw.layer_norm_eps,
    activation: raw.hidden_act,
  };
}

function llamaConfig(who: string, raw: v.InferOutput<typeof textSchema>, tied: boolean): LlamaConfig {
  const headCount = raw.num_attention_heads;
  const keyValueHeadCount = raw.num_key_value_heads ?? headCount;
  checkDivides(who, 'num_key_value_heads', keyValueHeadCount, 'num_attention_heads', headCount);
  if (raw.head_dim == null) {
    checkDivides(who, 'num_attention_heads', headCount, 'hidden_size', raw.hidden_size);
  }
  const headSize = raw.head_dim ?? raw.hidden_size / headCount;
  if (headSize % 2 !== 0) {
    throw new FileError(`${who}: expected an even number of channels per head (RoPE), got ${headSize}`);
  }
  const ropeFactor = linearFactor(who, raw);
  return {
    hiddenSize: raw.hidden_size,
    intermediateSize: raw.intermediate_size,
    layerCount: raw.num_hidden_layers,
    headCount,
    keyValueHeadCount,
    headSize,
    vocabSize: raw.vocab_size,
    normEps: raw.rms_norm_eps,
    ropeTheta: ropeTheta(who, raw),
    ropeFactor,
    maxPositions: Math.floor(raw.max_position_embeddings * ropeFactor), // the positions that it was made for, stretched
    tieWordEmbeddings: tied || raw.tie_word_embeddings,
  };
}

function ropeTheta(who: string, raw: v.InferOutput<typeof textSchema>): number {
  const given = [raw.rope_theta, raw.rope_parameters?.rope_theta, raw.rope_scaling?.rope_theta];
  const values = new Set(given.filter((theta) => theta != null));
  if (values.size > 1) throw new FileError(`${who} rope_theta: expected one value, got ${[...values]}`);
  return [...values][0] ?? 10_000;
}

/** M-2.34. By what positions are divided, 1 for nothing. Throws FileError. */
function linearFactor(who: string, raw: v.InferOutput<typeof textSchema>): number {
  const factors = (['rope_scaling', 'rope_parameters'] as const).flatMap((field) => {
    const { type, rope_type, factor } = raw[field] ?? {};
    if (type !== undefined && rope_type !== undefined && type !== rope_type) {
      throw new FileError(
        `${who} ${field}.rope_type: expected ${quoted(type)}, as in type, got ${quoted(rope_type)}`,
      );
    }
    const named = rope_type ?? type;
    if (named === 'linear') {
      if (factor != null) return [factor];
      throw new FileError(
        `${who} ${field}.factor: expected a number beside the type "linear", got ${quoted(factor)}`,
      );
    }
    if (named === undefined && factor != null) {
      throw new FileError(`${who} ${field}.rope_type: expected "linear" beside a factor, got none`);
    }
    return raw[field] == null || named === undefined ? [] : [1];
  });
  const values = new Set(factors);
  if (values.size > 1)
    throw new FileError(
      `${who} rope_scaling: expected one scaling, got factors ${[...values].join(' and ')}`,
    );
  return factors[0] ?? 1;
}

/** Checks the index of the hidden state that is used. Throws FileError. */
export function featureLayer(who: string, raw: number | [number], layerCount: number): number {
  const layer = typeof raw === 'number' ? raw : raw[0];
  // 0 is the embedding, layerCount the output of the last layer, -1 the same.
  if (!Number.isInteger(layer) || layer < -layerCount - 1 || layer > layerCount) {
    const range = `an integer of ${-layerCount - 1} to ${layerCount}`;
    throw new FileError(`${who}: expected ${range}, got ${layer}`);
  }
  return layer;
}

function checkDivides(who: string, name: string, divisor: number, ofName: string, value: number): void {
  if (value % divisor !== 0) {
    throw new FileError(`${who} ${name}: expected a divisor of ${ofName} ${value}, got ${divisor}`);
  }
}
