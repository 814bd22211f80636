// The CLIP vision encoder up to the layer that is asked for. SPEC M-4.1 (embedding), M-4.2, M-4.5 (what is returned).
//
//   B images   N tokens: CLS, then the patches row by row   C channels   H heads   D channels per head

import {
  addRows,
  attentionProbs,
  concat,
  dims,
  dispose,
  layerNorm,
  patchConvolution,
  repeatRows,
  reshape,
  ShapeError,
  slice,
  type Tensor,
  tidy,
} from '../../tensor/index.ts';
import { clipLayer } from './attention.ts';
import type { ClipWeights } from './weights.ts';

export interface ClipEncoding {
  readonly hiddenStates: Tensor; // [B, N, C]     output of the last layer that was run
  readonly clsAttention: Tensor; // [B, H, N]     how CLS spreads its attention in that layer
  readonly keys: Tensor; //         [B, H, N, D]  of that layer, bias added, not scaled
}

/**
 * Encodes pixelValues [B, 3, S, S] with all the layers of `weights`, which has as many as the caller wants run (at least
 * one; RangeError otherwise). No post-layernorm. Throws ShapeError for pixels of another size.
 * (transformers, CLIPVisionTransformer)
 */
export function encodeClip(weights: ClipWeights, pixelValues: Tensor): ClipEncoding {
  const { config, layers } = weights;
  const { imageSize: S } = config;
  dims(pixelValues, 'pixelValues [B, channels, S, S]', { channels: 3, S });
  if (config.hiddenSize % config.headCount !== 0) {
    throw new ShapeError(
      `encodeClip: expected channels divisible by ${config.headCount} heads, got ${config.hiddenSize}`,
    );
  }
  if (layers.length === 0) throw new RangeError('encodeClip: expected at least one layer, got none');

  const { gpu } = pixelValues;
  let hiddenStates = embedPatches(weights, pixelValues); // [B, N, C]
  for (const layer of layers.slice(0, -1)) {
    const input = hiddenStates;
    hiddenStates = tidy(gpu, () => clipLayer(input, layer, config).hiddenStates); // [B, N, C]
    dispose(input);
  }
  const input = hiddenStates;
  const encoding = tidy(gpu, () => {
    const last = clipLayer(input, layers[layers.length - 1] as (typeof layers)[number], config);
    const clsQueries = slice(last.queries, 2, 0, 1); //                           [B, H, 1, D]
    const probs = attentionProbs(clsQueries, last.keys, { causal: false }); //     [B, H, 1, N]
    const { B, H, N } = dims(probs, 'clsAttention [B, H, one, N]', { one: 1 });
    return { hiddenStates: last.hiddenStates, clsAttention: reshape(probs, [B, H, N]), keys: last.keys };
  });
  dispose(input);
  return encoding;
}

/** Patches, CLS in front of them, positions added, normalised: pixelValues [B, 3, S, S] → [B, N, C]. */
export function embedPatches(weights: ClipWeights, pixelValues: Tensor): Tensor {
  const { B } = dims(pixelValues, 'pixelValues [B, channels, height, width]');
  return tidy(pixelValues.gpu, () => {
    const patches = patchConvolution(pixelValues, weights.patchEmbedding, weights.config.patchSize); // [B, P, C]
    const cls = repeatRows(weights.classEmbedding, B); //         [B, 1, C]
    const tokens = concat([cls, patches], 1); //                  [B, N, C]
    const placed = addRows(tokens, weights.positionEmbedding); // [B, N, C]
    return layerNorm(placed, weights.preNorm, weights.config.normEps);
  });
}
