// Scaled dot-product attention. SPEC T-9.
//
//     y[h] = softmax(q[h] k[g]ᵀ) v[g]      g = ⌊h / (H / G)⌋: H query heads share G key heads
//
//   B sequences   H query heads   G key heads   T queries   L keys   D channels per head
//
// The queries come scaled. The plain form is three kernels: scores, softmax, weighted sum, for as many queries at a time
// as have scores that fit into a binding. attentionProbs hands out the rows that a caller reads, which VisionZip does with
// the CLS row; attention keeps none, and has a form that never holds them (streaming-attention.ts).

import type { Gpu } from '../gpu.ts';
import { tidy } from '../memory.ts';
import { dims, reshape, type Tensor } from '../tensor.ts';
import { type AttentionOptions, type AttentionSizes, checkAttention } from './attention-shapes.ts';
import { concat, slice } from './layout.ts';
import { matmul, matmulTransposed } from './matmul.ts';
import { causalSoftmax, softmax } from './softmax.ts';
import { canStream, streamingAttention } from './streaming-attention.ts';

/**
 * queries [B, H, T, D] (scaled), keys [B, G, L, D] → probabilities [B, H, T, keyCount]. Throws ShapeError if the shapes do
 * not fit, RangeError for a keyCount beyond L.
 */
export function attentionProbs(queries: Tensor, keys: Tensor, options: AttentionOptions): Tensor {
  const { B, H, T, D, G, L, keyCount } = checkAttention(queries, keys, options);
  return tidy(queries.gpu, () => {
    const flatQueries = reshape(queries, [B * H, T, D]); //   [B · H, T, D]
    const flatKeys = reshape(keys, [B * G, L, D]); //         [B · G, L, D]
    const scores = matmulTransposed(flatQueries, flatKeys, { rowCount: keyCount }); // [B · H, T, keyCount]
    const probs = options.causal ? causalSoftmax(scores) : softmax(scores); //         [B · H, T, keyCount]
    return reshape(probs, [B, H, T, keyCount]); //                                     [B, H, T, keyCount]
  });
}

/**
 * queries [B, H, T, D] (scaled), keys and values [B, G, L, D] → [B, H, T, D]. Throws ShapeError if the shapes do not fit,
 * RangeError for a keyCount beyond L.
 */
export function attention(queries: Tensor, keys: Tensor, values: Tensor, options: AttentionOptions): Tensor {
  const sizes = checkAttention(queries, keys, options);
  const { B, T, G, L, D, keyCount } = sizes;
  dims(values, 'values [B, G, L, D]', { B, G, L, D });
  const rows = rowsAtOnce(queries.gpu, sizes, options.causal);
  return tidy(queries.gpu, () => {
    if (rows === 0) return streamingAttention(queries, keys, values, options).output; // [B, H, T, D]
    if (rows >= T) return weightedSum(queries, keys, values, options);
    const parts: Tensor[] = [];
    for (let begin = 0; begin < T; begin += rows) {
      const end = Math.min(begin + rows, T);
      const part = slice(queries, 2, begin, end); // [B, H, rows, D]
      // The last of these queries sees the keys up to its own, so the others are left out.
      const seen = options.causal ? keyCount - T + end : keyCount;
      parts.push(weightedSum(part, keys, values, { causal: options.causal, keyCount: seen }));
    }
    return concat(parts as [Tensor, ...Tensor[]], 2); // [B, H, T, D]
  });
}

/** Three kernels: the scores of all queries at once. */
function weightedSum(queries: Tensor, keys: Tensor, values: Tensor, options: AttentionOptions): Tensor {
  const { B, H, T, D, G, L, keyCount } = checkAttention(queries, keys, options);
  return tidy(queries.gpu, () => {
    const probs = attentionProbs(queries, keys, options); //               [B, H, T, keyCount]
    const flatProbs = reshape(probs, [B * H, T, keyCount]); //             [B · H, T, keyCount]
    const flatValues = reshape(values, [B * G, L, D]); //                  [B · G, L, D]
    const context = matmul(flatProbs, flatValues, { rowCount: keyCount }); // [B · H, T, D]
    return reshape(context, [B, H, T, D]); //                              [B, H, T, D]
  });
}

const FEW_QUERIES = 8; //    would leave most of a streamed tile idle, and their scores are small
const CAUSAL_QUERIES = 128; // at a time: half of the scores of more are not seen. Measured on lavapipe

/**
 * How many queries the three kernels take at a time; 0: the streaming kernel. That one suits GPUs, by what others measured
 * there; on software adapters its barriers make it 4 to 7 times as slow.
 */
function rowsAtOnce(gpu: Gpu, { B, H, T, D, keyCount }: AttentionSizes, causal: boolean): number {
  if (!gpu.adapter.software && T > FEW_QUERIES && keyCount > 0 && canStream(D)) return 0;
  const rowBytes = 4 * Math.max(1, B * H * keyCount);
  const bindable = Math.floor(gpu.device.limits.maxStorageBufferBindingSize / SLACK / rowBytes);
  return Math.max(1, Math.min(bindable, causal ? CAUSAL_QUERIES : T));
}

const SLACK = 1.25; // a storage is rounded up to its size class
