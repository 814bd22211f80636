// Weights of the Llama decoder, and their names in a checkpoint. SPEC M-5.
//
//   C channels   H query heads   G key heads   D channels per head   V vocabulary

import type { Linear, Matrix, Tensor } from '../../tensor/index.ts';
import type { LlamaConfig } from '../checkpoint/config.ts';
import type { Upload } from '../checkpoint/upload.ts';

export interface LlamaLayerWeights {
  readonly attentionNorm: Tensor; // [C]
  readonly query: Linear; //         weight [H · D, C]; no layer has a bias
  readonly key: Linear; //           weight [G · D, C]
  readonly value: Linear; //         weight [G · D, C]
  readonly output: Linear; //        weight [C, H · D]
  readonly mlpNorm: Tensor; //       [C]
  readonly gate: Linear; //          weight [intermediateSize, C]
  readonly up: Linear; //            weight [intermediateSize, C]
  readonly down: Linear; //          weight [C, intermediateSize]
}

export interface LlamaWeights {
  readonly config: LlamaConfig;
  readonly tokenEmbedding: Matrix; // [V, C]
  readonly layers: readonly LlamaLayerWeights[];
  readonly norm: Tensor; //           [C]
  readonly head: Linear; //           weight [V, C]
}

/**
 * Uploads a decoder. `prefix` is what the names begin with, such as `language_model.model`; `headName` is that of the
 * output weights, which may be the embedding's. Throws FileError if a tensor is missing or of another shape.
 */
export async function loadLlamaWeights(
  upload: Upload,
  prefix: string,
  headName: string,
  config: LlamaConfig,
): Promise<LlamaWeights> {
  const {
    hiddenSize: C,
    intermediateSize,
    vocabSize: V,
    headCount: H,
    keyValueHeadCount: G,
    headSize: D,
  } = config;
  const layers: LlamaLayerWeights[] = [];
  for (let i = 0; i < config.layerCount; i++) {
    const layer = `${prefix}.layers.${i}`;
    layers.push({
      attentionNorm: await upload.load(`${layer}.input_layernorm.weight`, [C]),
      query: await upload.linear(`${layer}.self_attn.q_proj`, H * D, C),
      key: await upload.linear(`${layer}.self_attn.k_proj`, G * D, C),
      value: await upload.linear(`${layer}.self_attn.v_proj`, G * D, C),
      output: await upload.linear(`${layer}.self_attn.o_proj`, C, H * D),
      mlpNorm: await upload.load(`${layer}.post_attention_layernorm.weight`, [C]),
      gate: await upload.linear(`${layer}.mlp.gate_proj`, intermediateSize, C),
      up: await upload.linear(`${layer}.mlp.up_proj`, intermediateSize, C),
      down: await upload.linear(`${layer}.mlp.down_proj`, C, intermediateSize),
    });
  }
  const tokenEmbedding = await upload.matrix(`${prefix}.embed_tokens.weight`, [V, C]);
  const tied = headName === `${prefix}.embed_tokens`;
  return {
    config,
    tokenEmbedding,
    layers,
    norm: await upload.load(`${prefix}.norm.weight`, [C]),
    head: tied ? { weight: tokenEmbedding } : await upload.linear(headName, V, C),
  };
}
