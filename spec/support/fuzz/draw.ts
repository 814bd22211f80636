// Random choices, seeded: a mutation is known by the seed of the run, its target and its number.

export interface Draw {
  /** A whole number below `n`. */
  below(n: number): number;
  pick<T>(list: readonly T[]): T;
  /** True once in `n` times. */
  oneIn(n: number): boolean;
}

/** The choices of one mutation. (mulberry32, begun with FNV-1a of the names) */
export function drawFor(seed: number, target: string, mutation: number): Draw {
  let state = 0x811c9dc5;
  for (const letter of `${seed} ${target} ${mutation}`) {
    state = Math.imul(state ^ letter.charCodeAt(0), 0x01000193);
  }
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (n: number): number => Math.floor(next() * n);
  return {
    below,
    pick: (list) => list[below(list.length)] as (typeof list)[number],
    oneIn: (n) => below(n) === 0,
  };
}
