// SPEC T-9 in f64. The probabilities come with the scores and Σ|q||k|, which bound the error of the scores.

type Numbers = ArrayLike<number>;

export interface AttentionSizes {
  readonly B: number; // sequences
  readonly H: number; // query heads
  readonly G: number; // key heads
  readonly T: number; // queries
  readonly L: number; // keys
  readonly D: number; // channels per head
  readonly causal: boolean;
}

export interface Probs {
  readonly probs: Float64Array; //      [B, H, T, L]
  readonly scores: Float64Array; //     [B, H, T, L]
  readonly magnitudes: Float64Array; // [B, H, T, L]  Σ |q| |k|
}

/** queries [B, H, T, D], keys [B, G, L, D] → [B, H, T, L] */
export function attentionProbs(queries: Numbers, keys: Numbers, sizes: AttentionSizes): Probs {
  const { B, H, G, T, L, D, causal } = sizes;
  const probs = new Float64Array(B * H * T * L);
  const scores = new Float64Array(B * H * T * L);
  const magnitudes = new Float64Array(B * H * T * L);
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < H; h++) {
      const g = Math.floor((h * G) / H);
      for (let t = 0; t < T; t++) {
        const row = ((b * H + h) * T + t) * L;
        const seen = causal ? L - T + t + 1 : L;
        let largest = Number.NEGATIVE_INFINITY;
        for (let l = 0; l < L; l++) {
          let score = 0;
          let magnitude = 0;
          for (let d = 0; d < D; d++) {
            const query = queries[((b * H + h) * T + t) * D + d] as number;
            const key = keys[((b * G + g) * L + l) * D + d] as number;
            score += query * key;
            magnitude += Math.abs(query * key);
          }
          scores[row + l] = score;
          magnitudes[row + l] = magnitude;
          if (l < seen) largest = Math.max(largest, score);
        }
        let sum = 0;
        for (let l = 0; l < seen; l++) sum += Math.exp((scores[row + l] as number) - largest);
        for (let l = 0; l < seen; l++) probs[row + l] = Math.exp((scores[row + l] as number) - largest) / sum;
      }
    }
  }
  return { probs, scores, magnitudes };
}

/** weights [B, H, T, L] times values [B, G, L, D] → [B, H, T, D] */
export function weightedSum(weights: Numbers, values: Numbers, sizes: AttentionSizes): Float64Array {
  const { B, H, G, T, L, D } = sizes;
  const y = new Float64Array(B * H * T * D);
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < H; h++) {
      const g = Math.floor((h * G) / H);
      for (let t = 0; t < T; t++) {
        for (let d = 0; d < D; d++) {
          let sum = 0;
          for (let l = 0; l < L; l++) {
            const weight = weights[((b * H + h) * T + t) * L + l] as number;
            sum += weight * (values[((b * G + g) * L + l) * D + d] as number);
          }
          y[((b * H + h) * T + t) * D + d] = sum;
        }
      }
    }
  }
  return y;
}
