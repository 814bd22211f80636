// SPEC T-15 in f64, with the magnitudes Σ|x| / count that the error is measured against.

type Numbers = ArrayLike<number>;

/** x [B, S, C], group [B, S] → [B, groupCount, C] */
export function groupMean(
  x: Numbers,
  group: Numbers,
  { B, S, C }: { B: number; S: number; C: number },
  groupCount: number,
): { values: Float64Array; magnitudes: Float64Array } {
  const values = new Float64Array(B * groupCount * C);
  const magnitudes = new Float64Array(B * groupCount * C);
  for (let b = 0; b < B; b++) {
    for (let g = 0; g < groupCount; g++) {
      for (let c = 0; c < C; c++) {
        let count = 0;
        let sum = 0;
        let magnitude = 0;
        for (let s = 0; s < S; s++) {
          if (group[b * S + s] !== g) continue;
          count++;
          sum += x[(b * S + s) * C + c] as number;
          magnitude += Math.abs(x[(b * S + s) * C + c] as number);
        }
        if (count === 0) continue;
        values[(b * groupCount + g) * C + c] = sum / count;
        magnitudes[(b * groupCount + g) * C + c] = magnitude / count;
      }
    }
  }
  return { values, magnitudes };
}
