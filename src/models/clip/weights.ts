// Weights of the CLIP vision encoder, and their names in a checkpoint. SPEC M-4.
//
//   C channels   P patches   N = P + 1 tokens   p pixels along a patch

import type { Linear, Norm, Tensor } from '../../tensor/index.ts';
import type { ClipVisionConfig } from '../checkpoint/config.ts';
import type { Upload } from '../checkpoint/upload.ts';

export interface ClipAttentionWeights {
  readonly query: Linear; // each: weight [C, C], bias [C]
  readonly key: Linear;
  readonly value: Linear;
  readonly output: Linear;
}

export interface ClipLayerWeights {
  readonly attentionNorm: Norm;
  readonly attention: ClipAttentionWeights;
  readonly mlpNorm: Norm;
  readonly mlpIn: Linear; //  weight [intermediateSize, C]
  readonly mlpOut: Linear; // weight [C, intermediateSize]
}

export interface ClipWeights {
  readonly config: ClipVisionConfig;
  readonly patchEmbedding: Linear; //    weight [C, 3 · p · p], no bias
  readonly classEmbedding: Tensor; //    [1, C]
  readonly positionEmbedding: Tensor; // [N, C]
  readonly preNorm: Norm;
  readonly layers: readonly ClipLayerWeights[];
}

/** The tokens of an image: CLS and one for each patch. */
export function tokenCount({ imageSize, patchSize }: ClipVisionConfig): number {
  return 1 + (imageSize / patchSize) ** 2;
}

/**
 * Uploads the first `layerCount` layers and all that stands before them. `prefix` is what the names begin with, such as
 * `vision_tower.vision_model`. Throws FileError if a tensor is missing or of another shape.
 */
export async function loadClipWeights(
  upload: Upload,
  prefix: string,
  config: ClipVisionConfig,
  layerCount: number,
): Promise<ClipWeights> {
  const { hiddenSize: C, intermediateSize, patchSize: p } = config;
  const layers: ClipLayerWeights[] = [];
  for (let i = 0; i < layerCount; i++) {
    const layer = `${prefix}.encoder.layers.${i}`;
    layers.push({
      attentionNorm: await upload.norm(`${layer}.layer_norm1`, C),
      attention: {
        query: await upload.biasedLinear(`${layer}.self_attn.q_proj`, C, C),
        key: await upload.biasedLinear(`${layer}.self_attn.k_proj`, C, C),
        value: await upload.biasedLinear(`${layer}.self_attn.v_proj`, C, C),
        output: await upload.biasedLinear(`${layer}.self_attn.out_proj`, C, C),
      },
      mlpNorm: await upload.norm(`${layer}.layer_norm2`, C),
      mlpIn: await upload.biasedLinear(`${layer}.mlp.fc1`, intermediateSize, C),
      mlpOut: await upload.biasedLinear(`${layer}.mlp.fc2`, C, intermediateSize),
    });
  }
  const embeddings = `${prefix}.embeddings`;
  return {
    config,
    patchEmbedding: {
      weight: await upload.matrix(`${embeddings}.patch_embedding.weight`, [C, 3, p, p]),
    },
    classEmbedding: await upload.load(`${embeddings}.class_embedding`, [C], [1, C]),
    positionEmbedding: await upload.load(`${embeddings}.position_embedding.weight`, [tokenCount(config), C]),
    preNorm: await upload.norm(`${prefix}.pre_layrnorm`, C), // spelled so in every checkpoint
    layers,
  };
}
