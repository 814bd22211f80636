// SPEC T-14.

type Numbers = ArrayLike<number>;

/** x [B, N, C], indices [B, K] → [B, K, C] */
export function gatherRows(
  x: Numbers,
  indices: Numbers,
  { B, N, C, K }: { B: number; N: number; C: number; K: number },
): number[] {
  const y: number[] = [];
  for (let b = 0; b < B; b++) {
    for (let k = 0; k < K; k++) {
      const row = indices[b * K + k] as number;
      for (let c = 0; c < C; c++) y.push(x[(b * N + row) * C + c] as number);
    }
  }
  return y;
}

/** table [V, C], ids [I] → [I, C] */
export function lookup(table: Numbers, ids: Numbers, C: number): number[] {
  const y: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    for (let c = 0; c < C; c++) y.push(table[(ids[i] as number) * C + c] as number);
  }
  return y;
}
