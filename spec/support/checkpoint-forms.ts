// One small random LLaVA as the files of a checkpoint, in each form that is read: the real key names at a small width.

import { readFileSync } from 'node:fs';
import { type ModelFiles, type TensorToWrite, writeSafetensors } from '../../src/models/index.ts';
import { memoryFiles } from '../models/checkpoint/memory-files.ts';
import type { Host } from './recipe.ts';
import { type HostLlava, textConfig, tinyLlava, visionConfig } from './tiny-llava.ts';
import { tinyLlama } from './tiny-models.ts';

type Files = Readonly<Record<string, unknown>>;
type Named = readonly (readonly [name: string, leaf: Host<Float32Array>])[];
interface Affine {
  readonly weight: Host<Float32Array>;
  readonly bias?: Host<Float32Array>;
}

/** The vocabulary of the embedded model's tokenizer, whose files each form has. */
const text = { ...textConfig, vocabSize: 514 };

/** A model whose features are those of the second of three layers. */
export function smallLlava(name: string): HostLlava {
  return { ...tinyLlava(name), language: tinyLlama(name, text) };
}

const asset = (name: string): string => readFileSync(`golden/tiny-llava/${name}`, 'utf8');
export const smallTokenizer: Files = {
  'tokenizer.json': asset('tokenizer.json'),
  'tokenizer_config.json': asset('tokenizer_config.json'),
};

export const textKeys: Files = {
  hidden_size: text.hiddenSize,
  intermediate_size: text.intermediateSize,
  num_hidden_layers: text.layerCount,
  num_attention_heads: text.headCount,
  num_key_value_heads: text.keyValueHeadCount,
  head_dim: text.headSize,
  vocab_size: text.vocabSize,
  rms_norm_eps: text.normEps,
  rope_theta: text.ropeTheta,
  max_position_embeddings: text.maxPositions,
};

export const visionKeys: Files = {
  model_type: 'clip_vision_model',
  hidden_size: visionConfig.hiddenSize,
  intermediate_size: visionConfig.intermediateSize,
  num_hidden_layers: visionConfig.layerCount,
  num_attention_heads: visionConfig.headCount,
  image_size: visionConfig.imageSize,
  patch_size: visionConfig.patchSize,
  layer_norm_eps: visionConfig.normEps,
  hidden_act: visionConfig.activation,
};

const preprocessor = { size: visionConfig.imageSize, crop_size: visionConfig.imageSize };

export const huggingFaceConfig: Files = {
  model_type: 'llava',
  architectures: ['LlavaForConditionalGeneration'],
  image_token_index: 512,
  vision_feature_layer: -2,
  text_config: { model_type: 'llama', ...textKeys },
  vision_config: visionKeys,
};

export const authorsConfig: Files = {
  model_type: 'llava',
  architectures: ['LlavaLlamaForCausalLM'],
  ...textKeys,
  bos_token_id: 1,
  eos_token_id: 2,
  pad_token_id: 0,
  image_aspect_ratio: 'pad',
  mm_hidden_size: visionConfig.hiddenSize,
  mm_projector_type: 'mlp2x_gelu',
  mm_use_im_start_end: false,
  mm_use_im_patch_token: false,
  mm_vision_select_feature: 'patch',
  mm_vision_select_layer: -2,
  mm_vision_tower: 'openai/clip-vit-large-patch14-336',
};

interface Prefixes {
  readonly language: string;
  readonly head: string;
  readonly vision: string;
  readonly projector: readonly [string, string];
}

const older: Prefixes = {
  language: 'language_model.model',
  head: 'language_model.lm_head',
  vision: 'vision_tower.vision_model',
  projector: ['multi_modal_projector.linear_1', 'multi_modal_projector.linear_2'],
};
const newer: Prefixes = {
  language: 'model.language_model',
  head: 'lm_head',
  vision: 'model.vision_tower.vision_model',
  projector: ['model.multi_modal_projector.linear_1', 'model.multi_modal_projector.linear_2'],
};
const authors: Prefixes = {
  language: 'model',
  head: 'lm_head',
  vision: 'model.vision_tower.vision_tower.vision_model',
  projector: ['model.mm_projector.0', 'model.mm_projector.2'],
};

/** llava-hf, in one file. */
export function huggingFaceFiles(host: HostLlava, form: 'older' | 'newer'): Files {
  return {
    ...huggingFaceCommon(),
    'model.safetensors': written(allTensors(host, form === 'older' ? older : newer)),
  };
}

/** llava-hf with the older names, in three shards. */
export function shardedFiles(host: HostLlava): Files {
  const tensors = allTensors(host, older);
  const shardOf = (i: number): string => `model-0000${(i % 3) + 1}-of-00003.safetensors`;
  const shards = [0, 1, 2].map((s) => [shardOf(s), written(tensors.filter((_, i) => i % 3 === s))] as const);
  const weightMap = Object.fromEntries(tensors.map(([name], i) => [name, shardOf(i)]));
  return {
    ...huggingFaceCommon(),
    ...Object.fromEntries(shards),
    'model.safetensors.index.json': { metadata: {}, weight_map: weightMap },
  };
}

/** The authors' LLaVA-1.5, which has no tower; with `tower`, as they store one that they trained. */
export function authorsFiles(host: HostLlava, tower = false): Files {
  const tensors = [...languageTensors(host, authors), ...(tower ? visionTensors(host, authors.vision) : [])];
  return { ...smallTokenizer, 'config.json': authorsConfig, 'model.safetensors': written(tensors) };
}

/** The tower in a folder of its own, as OpenAI's CLIP: a text half is there, too, and is not looked at. */
export function towerFiles(host: HostLlava): Files {
  const other = [['logit_scale', { shape: [], values: Float32Array.of(4.6) }]] as const;
  return {
    'config.json': { model_type: 'clip', text_config: { hidden_size: 7 }, vision_config: visionKeys },
    'preprocessor_config.json': { feature_extractor_type: 'CLIPFeatureExtractor', ...preprocessor },
    'model.safetensors': written([...visionTensors(host, 'vision_model'), ...other]),
  };
}

export function filesOf(contents: Files, change: Files = {}): ModelFiles & { openCount(): number } {
  return memoryFiles({ ...contents, ...change });
}

function huggingFaceCommon(): Files {
  return { ...smallTokenizer, 'config.json': huggingFaceConfig, 'preprocessor_config.json': preprocessor };
}

function written(tensors: Named): Uint8Array {
  return writeSafetensors(
    tensors.map(([name, { shape, values }]): TensorToWrite => ({ name, dtype: 'F32', shape, data: values })),
  );
}

function affine(name: string, { weight, bias }: Affine): Named {
  return [[`${name}.weight`, weight], ...(bias === undefined ? [] : [[`${name}.bias`, bias] as const])];
}

function allTensors(host: HostLlava, prefixes: Prefixes): Named {
  return [...languageTensors(host, prefixes), ...visionTensors(host, prefixes.vision)];
}

function languageTensors({ language, projector }: HostLlava, prefixes: Prefixes): Named {
  const layers = language.layers.flatMap((layer, i): Named => {
    const prefix = `${prefixes.language}.layers.${i}`;
    return [
      [`${prefix}.input_layernorm.weight`, layer.attentionNorm],
      ...affine(`${prefix}.self_attn.q_proj`, layer.query),
      ...affine(`${prefix}.self_attn.k_proj`, layer.key),
      ...affine(`${prefix}.self_attn.v_proj`, layer.value),
      ...affine(`${prefix}.self_attn.o_proj`, layer.output),
      [`${prefix}.post_attention_layernorm.weight`, layer.mlpNorm],
      ...affine(`${prefix}.mlp.gate_proj`, layer.gate),
      ...affine(`${prefix}.mlp.up_proj`, layer.up),
      ...affine(`${prefix}.mlp.down_proj`, layer.down),
    ];
  });
  return [
    [`${prefixes.language}.embed_tokens.weight`, language.tokenEmbedding],
    ...layers,
    [`${prefixes.language}.norm.weight`, language.norm],
    ...affine(prefixes.head, language.head),
    ...affine(prefixes.projector[0], projector.linear1),
    ...affine(prefixes.projector[1], projector.linear2),
  ];
}

function visionTensors({ vision }: HostLlava, prefix: string): Named {
  const { hiddenSize: C, patchSize: p } = visionConfig;
  const layers = vision.layers.flatMap((layer, i): Named => {
    const name = `${prefix}.encoder.layers.${i}`;
    return [
      ...affine(`${name}.layer_norm1`, layer.attentionNorm),
      ...affine(`${name}.self_attn.q_proj`, layer.attention.query),
      ...affine(`${name}.self_attn.k_proj`, layer.attention.key),
      ...affine(`${name}.self_attn.v_proj`, layer.attention.value),
      ...affine(`${name}.self_attn.out_proj`, layer.attention.output),
      ...affine(`${name}.layer_norm2`, layer.mlpNorm),
      ...affine(`${name}.mlp.fc1`, layer.mlpIn),
      ...affine(`${name}.mlp.fc2`, layer.mlpOut),
    ];
  });
  const patches = { ...vision.patchEmbedding.weight, shape: [C, 3, p, p] };
  return [
    [`${prefix}.embeddings.class_embedding`, { ...vision.classEmbedding, shape: [C] }],
    [`${prefix}.embeddings.patch_embedding.weight`, patches],
    [`${prefix}.embeddings.position_embedding.weight`, vision.positionEmbedding],
    ...affine(`${prefix}.pre_layrnorm`, vision.preNorm),
    ...layers,
  ];
}
