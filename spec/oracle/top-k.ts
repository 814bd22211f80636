// SPEC T-12.

type Numbers = ArrayLike<number>;

/** x [R, L] → [R, k]; takes the largest remaining element k times, the lowest place of equals */
export function topKIndices(
  x: Numbers,
  { R, L }: { R: number; L: number },
  k: number,
  order: 'score' | 'position',
): number[] {
  const places: number[] = [];
  for (let r = 0; r < R; r++) {
    const chosen: number[] = [];
    const taken = new Array<boolean>(L).fill(false);
    for (let n = 0; n < k; n++) {
      let best = -1;
      for (let i = 0; i < L; i++) {
        if (taken[i]) continue;
        if (best < 0 || (x[r * L + i] as number) > (x[r * L + best] as number)) best = i;
      }
      taken[best] = true;
      chosen.push(best);
    }
    if (order === 'position') chosen.sort((a, b) => a - b);
    places.push(...chosen);
  }
  return places;
}
