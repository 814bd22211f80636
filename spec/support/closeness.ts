// Comparing what a kernel gave with what the oracle says. Everything here throws with the first bad place, both values
// and the tolerance, and never lets a NaN pass.

import type { Host } from './recipe.ts';

/** Half a unit in the last place of f32, relative: the largest error of one rounding. */
export const u: number = 2 ** -24;

/** WGSL may take 0 for a number below 2^−126, in an argument as well as in a result. */
export const FLUSHED: number = 2 ** -125;

type Numbers = ArrayLike<number>;

/** Largest error / tolerance that each label has shown, for docs/numerics.md. */
export const largestRatios: Map<string, number> = new Map();

function checkShape(
  label: string,
  got: Host<Numbers>,
  shape: readonly number[],
  expectedLength: number,
): void {
  const sameShape =
    got.shape.length === shape.length && shape.every((length, axis) => length === got.shape[axis]);
  if (!sameShape)
    throw new Error(`${label}: expected shape [${shape.join(', ')}], got [${got.shape.join(', ')}]`);
  if (got.values.length !== expectedLength) {
    throw new Error(`${label}: expected ${expectedLength} elements, got ${got.values.length}`);
  }
}

/** The place of element `i` of a row-major shape, as `[1, 0, 7]`. */
export function placeOf(i: number, shape: readonly number[]): string {
  const place: number[] = [];
  let rest = i;
  for (const length of shape.toReversed()) {
    place.unshift(rest % length);
    rest = Math.floor(rest / length);
  }
  return `[${place.join(', ')}]`;
}

/** Each element within its tolerance of an f64 value: |got − expected| ≤ tolerance(i). */
export function expectClose(
  label: string,
  got: Host<Numbers>,
  shape: readonly number[],
  expected: Numbers,
  tolerance: (i: number) => number,
): void {
  checkShape(label, got, shape, expected.length);
  let wrong = 0;
  let first = -1;
  let largest = largestRatios.get(label) ?? 0;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs((got.values[i] as number) - (expected[i] as number));
    if (error <= tolerance(i)) {
      if (error > 0) largest = Math.max(largest, error / tolerance(i));
      continue;
    }
    wrong++;
    if (first < 0) first = i;
  }
  largestRatios.set(label, largest);
  if (first < 0) return;
  const [value, wanted] = [got.values[first] as number, expected[first] as number];
  throw new Error(
    `${label} at ${placeOf(first, shape)} of [${shape.join(', ')}]: expected ${wanted} within ${tolerance(first)}, ` +
      `got ${value}, off by ${Math.abs(value - wanted)}; ${wrong} of ${expected.length} elements are wrong`,
  );
}

/** Each element the f64 value rounded once to f32; −0 is 0, and a subnormal may be 0. */
export function expectExact(
  label: string,
  got: Host<Numbers>,
  shape: readonly number[],
  expected: Numbers,
): void {
  const rounded = Float64Array.from(expected, Math.fround);
  const tiny = (i: number): boolean => Math.abs(rounded[i] as number) < FLUSHED;
  expectClose(label, got, shape, rounded, (i) => (tiny(i) ? FLUSHED : 0));
}

/** The same bits, whatever they mean. */
export function expectBits(
  label: string,
  got: Host<Float32Array | Uint32Array>,
  shape: readonly number[],
  expected: Float32Array | Uint32Array,
): void {
  checkShape(label, got, shape, expected.length);
  const gotBits = new Uint32Array(got.values.buffer, got.values.byteOffset, got.values.length);
  const expectedBits = new Uint32Array(expected.buffer, expected.byteOffset, expected.length);
  const first = gotBits.findIndex((bits, i) => bits !== expectedBits[i]);
  if (first < 0) return;
  const hex = (bits: number | undefined): string => `0x${(bits ?? 0).toString(16).padStart(8, '0')}`;
  throw new Error(
    `${label} at ${placeOf(first, shape)} of [${shape.join(', ')}]: expected ${expected[first]} ` +
      `(${hex(expectedBits[first])}), got ${got.values[first]} (${hex(gotBits[first])})`,
  );
}

/** The same integers. */
export function expectIndices(
  label: string,
  got: Host<Uint32Array>,
  shape: readonly number[],
  expected: Numbers,
): void {
  expectBits(label, got, shape, Uint32Array.from(expected));
}
