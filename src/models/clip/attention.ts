// One pre-norm transformer layer of the CLIP vision encoder. SPEC M-4.3 (attention), M-4.4 (layer).
//
//   B images   N tokens: CLS, then the patches   C channels   H heads   D = C / H channels per head
//
// Besides its output a layer hands back its queries and keys: VisionZip reads the keys, and what CLS attends to follows
// from both. (transformers, CLIPAttention and CLIPEncoderLayer)

import {
  add,
  attention,
  dims,
  gelu,
  layerNorm,
  linear,
  permute,
  quickGelu,
  reshape,
  ShapeError,
  scale,
  type Tensor,
} from '../../tensor/index.ts';
import type { ClipVisionConfig } from '../checkpoint/config.ts';
import type { ClipAttentionWeights, ClipLayerWeights } from './weights.ts';

export interface ClipAttentionResult {
  readonly output: Tensor; //  [B, N, C]
  readonly queries: Tensor; // [B, H, N, D]  bias added, scaled by 1 / √D
  readonly keys: Tensor; //    [B, H, N, D]  bias added, not scaled
}

/** Full self-attention over x [B, N, C]. Throws ShapeError if C does not divide by the heads. */
export function selfAttention(
  x: Tensor,
  weights: ClipAttentionWeights,
  headCount: number,
): ClipAttentionResult {
  const unscaled = splitHeads(linear(x, weights.query), headCount); // [B, H, N, D]
  const { D } = dims(unscaled, 'queries [B, H, N, D]');
  const queries = scale(unscaled, 1 / Math.sqrt(D)); //                 [B, H, N, D]
  const keys = splitHeads(linear(x, weights.key), headCount); //        [B, H, N, D]
  const values = splitHeads(linear(x, weights.value), headCount); //    [B, H, N, D]
  const context = attention(queries, keys, values, { causal: false }); // [B, H, N, D]
  return { output: linear(mergeHeads(context), weights.output), queries, keys };
}

export interface ClipLayerResult {
  readonly hiddenStates: Tensor; // [B, N, C]
  readonly queries: Tensor; //      [B, H, N, D]  scaled
  readonly keys: Tensor; //         [B, H, N, D]
}

/** One layer over hiddenStates [B, N, C]: attention and MLP, each behind a layer norm and around a residual. */
export function clipLayer(
  hiddenStates: Tensor,
  weights: ClipLayerWeights,
  config: ClipVisionConfig,
): ClipLayerResult {
  const activation = { quick_gelu: quickGelu, gelu }[config.activation];
  const attentionIn = layerNorm(hiddenStates, weights.attentionNorm, config.normEps); // [B, N, C]
  const { output, queries, keys } = selfAttention(attentionIn, weights.attention, config.headCount);
  const attended = add(hiddenStates, output); //                                         [B, N, C]

  const mlpIn = layerNorm(attended, weights.mlpNorm, config.normEps); // [B, N, C]
  const mlpHidden = activation(linear(mlpIn, weights.mlpIn)); //         [B, N, intermediateSize]
  const mlpOut = linear(mlpHidden, weights.mlpOut); //                   [B, N, C]
  return { hiddenStates: add(attended, mlpOut), queries, keys };
}

/** [B, N, H · D] → [B, H, N, D]. Head h owns channels h · D to h · D + D − 1. */
export function splitHeads(x: Tensor, headCount: number): Tensor {
  const { B, N, C } = dims(x, 'x [B, N, C]');
  if (C % headCount !== 0) {
    throw new ShapeError(`splitHeads: expected C divisible by ${headCount} heads, got C=${C}`);
  }
  return permute(reshape(x, [B, N, headCount, C / headCount]), [0, 2, 1, 3]); // [B, H, N, D]
}

/** [B, H, N, D] → [B, N, H · D]. The inverse of splitHeads. */
export function mergeHeads(x: Tensor): Tensor {
  const { B, H, N, D } = dims(x, 'x [B, H, N, D]');
  return reshape(permute(x, [0, 2, 1, 3]), [B, N, H * D]); // [B, N, C]
}
