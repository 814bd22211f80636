// Writes a LLaVA-1.5 checkpoint in llava-hf's layout: F16 shards with an index, every name as the real ones have it. The weights are
// random, or zeros, which take no room on the disk.

import { closeSync, copyFileSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const RANDOM_WORDS = 1 << 22;

/** The widths of LLaVA-1.5-7B with fewer layers. */
export const SEVEN_B = {
  text: {
    hidden_size: 4096,
    intermediate_size: 11008,
    num_hidden_layers: 4,
    num_attention_heads: 32,
    vocab_size: 32064,
  },
  vision: {
    hidden_size: 1024,
    intermediate_size: 4096,
    num_hidden_layers: 3,
    num_attention_heads: 16,
    image_size: 336,
    patch_size: 14,
  },
};

/** Enough decoder that holding every tensor is seen, and little else. */
export const SMALL = {
  text: {
    hidden_size: 2048,
    intermediate_size: 5504,
    num_hidden_layers: 4,
    num_attention_heads: 16,
    vocab_size: 514,
  },
  vision: {
    hidden_size: 64,
    intermediate_size: 128,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    image_size: 28,
    patch_size: 14,
  },
};

/** Writes the files into `folder`, which exists; returns the bytes of the largest tensor and of all. */
export function writeCheckpoint(folder, { text, vision }, { random, shardBytes = 500_000_000 }) {
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
    copyFileSync(join(import.meta.dirname, '../../golden/tiny-llava', name), join(folder, name));
  }
  const write = (name, json) => writeFileSync(join(folder, name), JSON.stringify(json));
  write('preprocessor_config.json', { size: vision.image_size, crop_size: vision.image_size });
  write('config.json', {
    model_type: 'llava',
    architectures: ['LlavaForConditionalGeneration'],
    image_token_index: 512,
    vision_feature_layer: -2,
    text_config: { model_type: 'llama', ...text },
    vision_config: { model_type: 'clip_vision_model', ...vision },
  });

  const shards = [[]];
  let inShard = 0;
  for (const tensor of tensors(text, vision)) {
    if (inShard > 0 && inShard + tensor.bytes > shardBytes) inShard = shards.push([]) && 0;
    shards.at(-1).push(tensor);
    inShard += tensor.bytes;
  }
  const weight_map = {};
  shards.forEach((shard, i) => {
    const file = `model-${fiveDigits(i + 1)}-of-${fiveDigits(shards.length)}.safetensors`;
    writeShard(join(folder, file), shard, random);
    for (const { name } of shard) weight_map[name] = file;
  });
  const sizes = shards.flat().map(({ bytes }) => bytes);
  const total = sizes.reduce((sum, bytes) => sum + bytes, 0);
  write('model.safetensors.index.json', { metadata: { total_size: total }, weight_map });
  return { largest: Math.max(...sizes), total, shards: shards.length };
}

function writeShard(path, shard, random) {
  let end = 0;
  const entries = shard.map(({ name, shape, bytes }) => {
    const begin = end;
    end += bytes;
    return [name, { dtype: 'F16', shape, data_offsets: [begin, end] }];
  });
  const json = JSON.stringify(Object.fromEntries(entries));
  const header = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = openSync(path, 'w');
  writeSync(file, length);
  writeSync(file, header);
  if (random) for (const tensor of shard) writeRandom(file, tensor);
  else ftruncateSync(file, 8 + header.length + end);
  closeSync(file);
}

function writeRandom(file, { name, bytes }) {
  const isNorm = /norm/.test(name) && name.endsWith('weight');
  for (let done = 0; done < bytes; ) {
    const halves = isNorm ? new Uint16Array(bytes / 2).fill(0x3c00) : noise();
    done += writeSync(file, halves, 0, Math.min(halves.byteLength, bytes - done));
  }
}

let state = 1;
const pool = new Uint16Array(2 * RANDOM_WORDS);

/** 16 MB of halves of either sign and of 2^-7 to 2^-5, no two calls alike. */
function noise() {
  for (let i = 0; i < pool.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    pool[i] = ((state >>> 16) & 0x83ff) | ((8 + ((state >>> 14) & 1)) << 10);
  }
  return pool;
}

function fiveDigits(n) {
  return String(n).padStart(5, '0');
}

function tensors(text, vision) {
  const { hidden_size: E, intermediate_size: F, vocab_size: V } = text;
  const { hidden_size: C, intermediate_size: G, patch_size: p } = vision;
  const positions = (vision.image_size / p) ** 2 + 1;
  const affine = (name, ...shape) => [
    [`${name}.weight`, shape],
    [`${name}.bias`, [shape[0]]],
  ];
  const tower = 'vision_tower.vision_model';
  const model = 'language_model.model';
  const encoder = layers(vision, `${tower}.encoder`).flatMap((layer) => [
    ...['q_proj', 'k_proj', 'v_proj', 'out_proj'].flatMap((name) =>
      affine(`${layer}.self_attn.${name}`, C, C),
    ),
    ...['layer_norm1', 'layer_norm2'].flatMap((name) => affine(`${layer}.${name}`, C)),
    ...affine(`${layer}.mlp.fc1`, G, C),
    ...affine(`${layer}.mlp.fc2`, C, G),
  ]);
  const decoder = layers(text, model).flatMap((layer) => [
    ...['q_proj', 'k_proj', 'v_proj', 'o_proj'].map((name) => [`${layer}.self_attn.${name}.weight`, [E, E]]),
    ...['input_layernorm', 'post_attention_layernorm'].map((name) => [`${layer}.${name}.weight`, [E]]),
    ...['gate_proj', 'up_proj'].map((name) => [`${layer}.mlp.${name}.weight`, [F, E]]),
    [`${layer}.mlp.down_proj.weight`, [E, F]],
  ]);
  const all = [
    [`${tower}.embeddings.class_embedding`, [C]],
    [`${tower}.embeddings.patch_embedding.weight`, [C, 3, p, p]],
    [`${tower}.embeddings.position_embedding.weight`, [positions, C]],
    ...affine(`${tower}.pre_layrnorm`, C),
    ...encoder,
    ...affine(`${tower}.post_layernorm`, C),
    ...affine('multi_modal_projector.linear_1', E, C),
    ...affine('multi_modal_projector.linear_2', E, E),
    [`${model}.embed_tokens.weight`, [V, E]],
    ...decoder,
    [`${model}.norm.weight`, [E]],
    ['language_model.lm_head.weight', [V, E]],
  ];
  return all.map(([name, shape]) => ({
    name,
    shape,
    bytes: 2 * shape.reduce((product, n) => product * n, 1),
  }));
}

function layers({ num_hidden_layers }, prefix) {
  return Array.from({ length: num_hidden_layers }, (_, i) => `${prefix}.layers.${i}`);
}
