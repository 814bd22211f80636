// SPEC T-17: angles as products of f32 numbers, their cosines and sines in f64, rounded to f32.

type Numbers = ArrayLike<number>;

/** Scaled linearly, positions are divided by `factor` before anything else. */
export function angleOf(position: number, d: number, headSize: number, base: number, factor = 1): number {
  const exponent = Math.fround((2 * d) / headSize);
  const inverseFrequency = Math.fround(1 / Math.fround(base ** exponent));
  return Math.fround(Math.fround(position / Math.fround(factor)) * inverseFrequency);
}

/** x [R, T, D], row t at position first + t; with |x cos| + |x sin|, which the error is measured against */
export function rope(
  x: Numbers,
  { R, T, D }: { R: number; T: number; D: number },
  base: number,
  first: number,
  factor = 1,
): { values: Float64Array; magnitudes: Float64Array } {
  const values = new Float64Array(R * T * D);
  const magnitudes = new Float64Array(R * T * D);
  for (let r = 0; r < R; r++) {
    for (let t = 0; t < T; t++) {
      for (let d = 0; d < D / 2; d++) {
        const angle = angleOf(first + t, d, D, base, factor);
        const cos = Math.fround(Math.cos(angle));
        const sin = Math.fround(Math.sin(angle));
        const low = (r * T + t) * D + d;
        const high = low + D / 2;
        const [xLow, xHigh] = [x[low] as number, x[high] as number];
        values[low] = xLow * cos - xHigh * sin;
        values[high] = xHigh * cos + xLow * sin;
        magnitudes[low] = Math.abs(xLow * cos) + Math.abs(xHigh * sin);
        magnitudes[high] = Math.abs(xHigh * cos) + Math.abs(xLow * sin);
      }
    }
  }
  return { values, magnitudes };
}
