// Scaled dot-product attention. SPEC T-9.
//
//     y[h] = softmax(q[h] k[g]ᵀ) v[g]      g = ⌊h / (H / G)⌋: H query heads share G key heads
//
//   B sequences   H query heads   G key heads   T queries   L keys   D channels per head
//
// The queries come scaled. Three kernels: scores, softmax, weighted sum. attentionProbs hands out the rows that a
// caller reads, which VisionZip does with the CLS row; attention keeps none.

import { ShapeError } from '../errors.ts';
import { tidy } from '../memory.ts';
import { dims, reshape, type Tensor } from '../tensor.ts';
import { matmul, matmulTransposed } from './matmul.ts';
import { causalSoftmax, softmax } from './softmax.ts';

export interface AttentionOptions {
  /** Query t of T sees only the keys up to its own place, L − T + t. */
  readonly causal: boolean;
  /** So many of the keys and values count, those in front; the others are room for more. By default all. */
  readonly keyCount?: number;
}

/**
 * queries [B, H, T, D] (scaled), keys [B, G, L, D] → probabilities [B, H, T, keyCount]. Throws ShapeError if the shapes do
 * not fit, RangeError for a keyCount beyond L.
 */
export function attentionProbs(queries: Tensor, keys: Tensor, options: AttentionOptions): Tensor {
  const { B, H, T, D } = dims(queries, 'queries [B, H, T, D]');
  const { G, L } = dims(keys, 'keys [B, G, L, D]', { B, D });
  const keyCount = options.keyCount ?? L;
  checkHeads(H, G, options.causal ? T : 0, keyCount);
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
  const { B, H, T, D } = dims(queries, 'queries [B, H, T, D]');
  const { G, L } = dims(keys, 'keys [B, G, L, D]', { B, D });
  dims(values, 'values [B, G, L, D]', { B, G, L, D });
  const keyCount = options.keyCount ?? L;
  checkHeads(H, G, options.causal ? T : 0, keyCount);
  return tidy(queries.gpu, () => {
    const probs = attentionProbs(queries, keys, options); //                   [B, H, T, keyCount]
    const flatProbs = reshape(probs, [B * H, T, keyCount]); //                 [B · H, T, keyCount]
    const flatValues = reshape(values, [B * G, L, D]); //                      [B · G, L, D]
    const context = matmul(flatProbs, flatValues, { rowCount: keyCount }); // [B · H, T, D]
    return reshape(context, [B, H, T, D]); //                                 [B, H, T, D]
  });
}

function checkHeads(H: number, G: number, T: number, L: number): void {
  if (H > 0 && (G === 0 || H % G !== 0)) {
    throw new ShapeError(`attention: expected query heads to be a multiple of key heads, got ${H} and ${G}`);
  }
  if (T > L)
    throw new ShapeError(`attention: expected at most as many causal queries as keys, got ${T} and ${L}`);
}
