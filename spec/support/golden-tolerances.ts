// What a tolerance of a golden has to be, given its evidence. SPEC G-1.5.

import { expect } from 'vitest';
import type { Manifest, StageTolerance } from './golden.ts';

/** There are at least sixteen ways, no two alike, at each precision. */
export function expectEnsemble({ group, ensemble }: Manifest): void {
  for (const { evaluations } of [ensemble.f32, ensemble.f16]) {
    expect(new Set(evaluations).size, group).toBe(evaluations.length);
    expect(evaluations.length, group).toBeGreaterThanOrEqual(16);
  }
}

/** Computed from the ensemble, wider than what was held out, and narrower than the weakest planted bug that shows there first. */
export function expectFromEnsemble(stage: string, tolerance: StageTolerance): void {
  const { value, legitMax, heldOutMax = 0, mutantMin = Number.POSITIVE_INFINITY, f16 } = tolerance;
  expect(value, stage).toBe(Math.max(4 * legitMax, 2 ** -20));
  expect(heldOutMax, stage).toBeLessThanOrEqual(value);
  expect(mutantMin, stage).toBeGreaterThan(value);
  if (f16 === undefined) return;
  expect(f16.value, stage).toBe(Math.max(3 * f16.legitMax, 2 ** -10));
  expect(f16.heldOutMax ?? 0, stage).toBeLessThanOrEqual(f16.value);
}
