// Drawn cases of VisionZip. SPEC VZ.

import fc from 'fast-check';
import type { Image } from '../oracle/vision-zip.ts';
import { expand, type Host, type Recipe, recipes } from './recipe.ts';

export interface ZipCase {
  readonly B: number;
  readonly N: number;
  readonly H: number;
  readonly D: number;
  readonly C: number;
  readonly K: number;
  readonly M: number;
  readonly hidden: Recipe;
  readonly attention: Recipe;
  readonly keys: Recipe;
}

export type ZipData = Readonly<Record<'hiddenStates' | 'clsAttention' | 'keys', Host<Float32Array>>>;

/** Budgets that fit, by construction. */
const budgets = ['any', 'K = 1', 'M = 1', 'R = M', 'R = M + 1', 'R = 0', 'M = 0'] as const;

function budgetOf(kind: (typeof budgets)[number], N: number, k: number, m: number): { K: number; M: number } {
  const K = 1 + (k % N);
  const R = N - K;
  switch (kind) {
    case 'any':
      return { K, M: m % (R + 1) };
    case 'K = 1':
      return { K: 1, M: m % N };
    case 'M = 1':
      return { K, M: Math.min(1, R) };
    case 'R = M':
      return { K, M: R };
    case 'R = M + 1':
      return { K, M: Math.max(0, R - 1) };
    case 'R = 0':
      return { K: N, M: 0 };
    case 'M = 0':
      return { K, M: 0 };
  }
}

/** Sizes up to `maxTokens` tokens; keys of all kinds, parallel, opposite, of length zero and of very different lengths. */
export function zipCases(maxTokens: number): fc.Arbitrary<ZipCase> {
  return fc
    .record({
      B: fc.integer({ min: 1, max: 3 }),
      N: fc.integer({ min: 1, max: maxTokens }),
      H: fc.integer({ min: 1, max: 4 }),
      D: fc.integer({ min: 1, max: 9 }),
      C: fc.integer({ min: 1, max: 9 }),
      kind: fc.oneof(fc.constant('any' as const), fc.constantFrom(...budgets)),
      k: fc.nat({ max: 999 }),
      m: fc.nat({ max: 999 }),
      hidden: recipes('subnormal'),
      attention: recipes('subnormal', 'huge'),
      keys: recipes('subnormal', 'huge'),
    })
    .map(({ kind, k, m, ...sizes }) => ({ ...sizes, ...budgetOf(kind, sizes.N, k, m) }));
}

export function zipData({ B, N, H, D, C, hidden, attention, keys }: ZipCase): ZipData {
  const probs = expand('attention', attention, [B, H, N]);
  return {
    hiddenStates: expand('hidden', hidden, [B, N, C]),
    clsAttention: { ...probs, values: probs.values.map(Math.abs) },
    keys: expand('keys', keys, [B, H, N, D]),
  };
}

/** The data of each image, as the oracle takes it. */
export function imagesOf({ hiddenStates, clsAttention, keys }: ZipData): Image[] {
  const [B, N] = hiddenStates.shape as [number, number];
  const H = clsAttention.shape[1] as number;
  const hidden = rowsOf(hiddenStates);
  const attention = rowsOf(clsAttention);
  const keyRows = rowsOf(keys);
  return Array.from({ length: B }, (_, b) => ({
    hidden: hidden.slice(b * N, (b + 1) * N),
    attention: attention.slice(b * H, (b + 1) * H),
    keys: Array.from({ length: H }, (_, h) => keyRows.slice((b * H + h) * N, (b * H + h + 1) * N)),
  }));
}

/** The rows along the last axis. */
export function rowsOf<A extends Float32Array | Uint32Array>({ values, shape }: Host<A>): A[] {
  const width = shape.at(-1) ?? 1;
  const count = shape.slice(0, -1).reduce((product, length) => product * length, 1);
  return Array.from({ length: count }, (_, row) => values.subarray(row * width, (row + 1) * width) as A);
}
