// Values measured against the root mean square of what is expected: the tolerance of whole models. SPEC M-5.6.

import { expectClose } from './closeness.ts';
import type { Host } from './recipe.ts';

export function rms(values: ArrayLike<number>): number {
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += (values[i] as number) ** 2;
  return Math.sqrt(squares / Math.max(1, values.length));
}

/** Every element within `tolerance` times the root mean square of the f64 values. */
export function expectRelative(
  label: string,
  got: Host<Float32Array>,
  shape: readonly number[],
  expected: ArrayLike<number>,
  tolerance = 1e-4,
): void {
  const bound = tolerance * rms(expected);
  expectClose(label, got, shape, expected, () => bound);
}
