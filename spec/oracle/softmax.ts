// SPEC T-8 in f64.

type Numbers = ArrayLike<number>;

/** x [R, L] → [R, L] */
export function softmax(x: Numbers, { R, L }: { R: number; L: number }): Float64Array {
  const y = new Float64Array(R * L);
  for (let r = 0; r < R; r++) {
    let largest = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < L; i++) largest = Math.max(largest, x[r * L + i] as number);
    let sum = 0;
    for (let i = 0; i < L; i++) sum += Math.exp((x[r * L + i] as number) - largest);
    for (let i = 0; i < L; i++) y[r * L + i] = Math.exp((x[r * L + i] as number) - largest) / sum;
  }
  return y;
}

/** scores [R, T, L] → [R, T, L]; row t sees the first L − T + t + 1 entries */
export function causalSoftmax(
  scores: Numbers,
  { R, T, L }: { R: number; T: number; L: number },
): Float64Array {
  const y = new Float64Array(R * T * L);
  for (let r = 0; r < R; r++) {
    for (let t = 0; t < T; t++) {
      const first = (r * T + t) * L;
      const seen = L - T + t + 1;
      let largest = Number.NEGATIVE_INFINITY;
      for (let i = 0; i < seen; i++) largest = Math.max(largest, scores[first + i] as number);
      let sum = 0;
      for (let i = 0; i < seen; i++) sum += Math.exp((scores[first + i] as number) - largest);
      for (let i = 0; i < seen; i++) y[first + i] = Math.exp((scores[first + i] as number) - largest) / sum;
    }
  }
  return y;
}
