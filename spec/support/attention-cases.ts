// Drawn cases of attention, and how close its results have to come. docs/numerics.md.

import fc from 'fast-check';
import * as oracle from '../oracle/attention.ts';
import { productTolerance, softmaxTolerance } from './bounds.ts';
import { expand, type Host, lengths, type Recipe, recipes } from './recipe.ts';

export interface AttentionCase {
  readonly B: number;
  readonly G: number;
  readonly share: number; // query heads for each key head
  readonly T: number;
  readonly earlier: number; // keys beyond the queries
  readonly D: number;
  readonly causal: boolean;
  readonly q: Recipe;
  readonly k: Recipe;
  readonly v: Recipe;
}

/** Scores of a moderate size: errors of huge ones decide everything. */
export const moderate = (): fc.Arbitrary<Recipe> =>
  recipes('huge', 'heavy_tail').map((r) => ({ ...r, exp: r.exp / 2 - 2 }));

const head = {
  B: fc.integer({ min: 0, max: 2 }),
  G: fc.integer({ min: 1, max: 3 }),
  share: fc.integer({ min: 1, max: 3 }),
  causal: fc.boolean(),
  q: moderate(),
  k: moderate(),
  v: recipes('huge'),
};
export const attentionCases: fc.Arbitrary<AttentionCase> = fc.oneof(
  fc.record({ ...head, T: lengths(9), earlier: lengths(9), D: lengths(17) }),
  fc.record({ ...head, B: fc.constant(1), T: fc.constant(1), earlier: lengths(257), D: lengths(17, 1) }),
  fc.record({ ...head, G: fc.constant(1), T: lengths(33), earlier: lengths(17), D: lengths(33) }),
  fc.record({
    ...head,
    share: fc.constant(1),
    B: fc.constant(1),
    T: lengths(65),
    earlier: lengths(2),
    D: fc.constant(16),
  }),
);

export const sizesOf = ({ B, G, share, T, earlier, D, causal }: AttentionCase): oracle.AttentionSizes => ({
  B,
  G,
  T,
  D,
  causal,
  H: G * share,
  L: T + earlier,
});

export function dataOf(drawn: AttentionCase): Record<'queries' | 'keys' | 'values', Host<Float32Array>> {
  const { B, H, G, T, L, D } = sizesOf(drawn);
  return {
    queries: expand('q', drawn.q, [B, H, T, D]),
    keys: expand('k', drawn.k, [B, G, L, D]),
    values: expand('v', drawn.v, [B, G, L, D]),
  };
}

/** An error e of every score changes a share by a factor of exp(2e) at most; to it comes the error of the softmax. */
export function probTolerances(
  expected: oracle.Probs,
  { H, B, T, L, D }: oracle.AttentionSizes,
  systematic: boolean,
): Float64Array {
  const { probs, scores, magnitudes } = expected;
  const tolerances = new Float64Array(probs.length);
  for (let row = 0; row < B * H * T; row++) {
    let largest = Number.NEGATIVE_INFINITY;
    let scoreError = 0;
    for (let i = row * L; i < (row + 1) * L; i++) {
      const score = scores[i] as number;
      if ((probs[i] as number) > 0) largest = Math.max(largest, score);
      scoreError = Math.max(scoreError, productTolerance(D, magnitudes[i] as number, score, systematic));
    }
    for (let i = row * L; i < (row + 1) * L; i++) {
      const p = probs[i] as number;
      const d = largest - (scores[i] as number);
      tolerances[i] = p * Math.expm1(2 * scoreError) + softmaxTolerance(L, p, d);
    }
  }
  return tolerances;
}

export function expectedOutput(
  values: Host<Float32Array>,
  expected: oracle.Probs,
  sizes: oracle.AttentionSizes,
  systematic: boolean,
): Record<'output' | 'magnitudes' | 'inherited', Float64Array> {
  const absolute = Float64Array.from(values.values, Math.abs);
  return {
    output: oracle.weightedSum(expected.probs, values.values, sizes),
    magnitudes: oracle.weightedSum(expected.probs, absolute, sizes),
    inherited: oracle.weightedSum(probTolerances(expected, sizes, systematic), absolute, sizes),
  };
}
