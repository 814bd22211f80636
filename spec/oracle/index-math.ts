// SPEC T-13.

type Numbers = ArrayLike<number>;

/** held [B, K] → [B, N − K] */
export function complement(held: Numbers, { B, K }: { B: number; K: number }, N: number): number[] {
  const rest: number[] = [];
  for (let b = 0; b < B; b++) {
    for (let n = 0; n < N; n++) {
      let isHeld = false;
      for (let k = 0; k < K; k++) if (held[b * K + k] === n) isHeld = true;
      if (!isHeld) rest.push(n);
    }
  }
  return rest;
}

export function shiftIndices(x: Numbers, by: number): number[] {
  const y: number[] = [];
  for (let i = 0; i < x.length; i++) y.push((x[i] as number) + by);
  return y;
}

export function gridPositions(x: Numbers, columns: number): number[] {
  const y: number[] = [];
  for (let i = 0; i < x.length; i++) {
    y.push(Math.floor((x[i] as number) / columns));
    y.push((x[i] as number) % columns);
  }
  return y;
}

/** group [B, S] → [B, groupCount] */
export function countMembers(
  group: Numbers,
  { B, S }: { B: number; S: number },
  groupCount: number,
): number[] {
  const counts: number[] = [];
  for (let b = 0; b < B; b++) {
    for (let g = 0; g < groupCount; g++) {
      let count = 0;
      for (let s = 0; s < S; s++) if (group[b * S + s] === g) count++;
      counts.push(count);
    }
  }
  return counts;
}
