// Tensors as four small values: {shape, dist, seed, exp}. fast-check draws and shrinks these instead of floats, a
// counterexample prints in one line, and the values are the same in every language (grid8).
//
// Half of what is drawn is adversarial: uniform noise never ties, cancels or vanishes.

import fc from 'fast-check';
import { grid8 } from './grid8.ts';

export const distributions = [
  'grid', //               q · 2^(exp − 7), q from −127 to 127
  'const', //              one value
  'one_hot', //            one element of each row
  'ramp', //               rising along a row
  'two_level', //          two values
  'heavy_tail', //         the grid times powers of two from 2^−12 to 2^12
  'near_tie', //           a value and the next float
  'duplicate_rows', //     three rows, repeated
  'anti_parallel_rows', // one row and its negative
  'tiny_variance', //      1 plus a grid of 2^−20
  'huge', //               the grid times 2^40
  'subnormal', //          multiples of 2^−149
  'zero_rows', //          every other row is zero
] as const;

export type Distribution = (typeof distributions)[number];

export interface Recipe {
  readonly dist: Distribution;
  readonly seed: number;
  readonly exp: number;
}

/** Values and their shape on the host. */
export interface Host<A> {
  readonly values: A;
  readonly shape: readonly number[];
}

const SYSTEMATIC: readonly Distribution[] = ['const', 'ramp', 'two_level', 'near_tie', 'tiny_variance'];

/** Whether sums over products of such values may round the same way at every step. */
export function isSystematic(...factors: readonly Recipe[]): boolean {
  return factors.every(({ dist }) => SYSTEMATIC.includes(dist));
}

/** Recipes of all distributions but those `without`. Half of them are 'grid'. */
export function recipes(...without: readonly Distribution[]): fc.Arbitrary<Recipe> {
  const adversarial = distributions.filter((dist) => dist !== 'grid' && !without.includes(dist));
  return fc.record({
    dist: fc.oneof(fc.constant<Distribution>('grid'), fc.constantFrom(...adversarial)),
    seed: fc.integer({ min: 0, max: 9999 }),
    exp: fc.integer({ min: -4, max: 4 }),
  });
}

/** Recipes of whole numbers from −127 to 127 times 2^(exp − 7): a sum of up to 1,040 of their products is exact. */
export function exactRecipes(
  exp: fc.Arbitrary<number> = fc.integer({ min: -4, max: 4 }),
): fc.Arbitrary<Recipe> {
  return fc.record({
    dist: fc.oneof(
      fc.constant<Distribution>('grid'),
      fc.constantFrom<Distribution[]>('one_hot', 'duplicate_rows', 'anti_parallel_rows', 'zero_rows'),
    ),
    seed: fc.integer({ min: 0, max: 9999 }),
    exp,
  });
}

const EDGES = [0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 577];

/** Lengths of axes from `min` to `max`, mostly at the edges of tiles and workgroups. Shrinks towards `min`. */
export function lengths(max: number, min = 0): fc.Arbitrary<number> {
  const edges = EDGES.filter((length) => length >= min && length <= max);
  return fc.oneof(
    { weight: 1, arbitrary: fc.integer({ min, max }) },
    { weight: 5, arbitrary: fc.constantFrom(...edges) },
  );
}

/** The values of a recipe in a shape, row-major. A row is the last axis. `name` sets tensors of one case apart. */
export function expand(
  name: string,
  { dist, seed, exp }: Recipe,
  shape: readonly number[],
): Host<Float32Array> {
  const count = shape.reduce((product, length) => product * length, 1);
  const width = Math.max(1, shape.at(-1) ?? 1);
  const values = new Float32Array(count);
  const q = grid8(`${seed}:${name}`, Math.max(count, 3 * width, 2));
  const unit = 2 ** (exp - 7);
  const element = elementOf(dist, q, width);
  for (let i = 0; i < count; i++) values[i] = element(i, Math.floor(i / width), i % width) * unit;
  return { values, shape };
}

type ElementOf = (i: number, row: number, column: number) => number;

function elementOf(dist: Distribution, q: Int8Array, width: number): ElementOf {
  const at = (i: number): number => q[i] as number;
  const first = at(0) || 1;
  const fine = Math.fround(first * (1 + 0x155555 / 2 ** 22)); // a significand of 24 bits
  const nextFloat = fine + 2 ** (Math.floor(Math.log2(Math.abs(fine))) - 23);
  const elements: Readonly<Record<Distribution, ElementOf>> = {
    grid: at,
    const: () => fine,
    one_hot: (_, row, column) => ((at(row) + 127) % width === column ? first : 0),
    ramp: (_, row, column) => (column % 255) - 127 + at(row) / 128,
    two_level: (i) => (at(i) > 0 ? fine : -at(1)),
    heavy_tail: (i) => at(i) * 2 ** ((at((i * 7 + 3) % q.length) + 127) % 25) * 2 ** -12,
    near_tie: (i) => (at(i) % 2 === 0 ? fine : nextFloat),
    duplicate_rows: (_, row, column) => at(((at(row) + 127) % 3) * width + column),
    anti_parallel_rows: (_, row, column) => (row % 2 === 0 ? 1 : -1) * at(column),
    tiny_variance: (i) => 1 + at(i) * 2 ** -20,
    huge: (i) => at(i) * 2 ** 40,
    subnormal: (i) => at(i) * 2 ** -142,
    zero_rows: (i, row) => (row % 2 === 0 ? 0 : at(i)),
  };
  return elements[dist];
}

/** `count` integers from 0 to `below` − 1. */
export function integers(
  name: string,
  seed: number,
  shape: readonly number[],
  below: number,
): Host<Uint32Array> {
  const count = shape.reduce((product, length) => product * length, 1);
  const q = grid8(`${seed}:${name}`, 2 * count);
  const values = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    values[i] = (((q[2 * i] as number) + 127) * 255 + (q[2 * i + 1] as number) + 127) % below;
  }
  return { values, shape };
}

/** For each of `rows` rows, `count` different numbers below `below`, in no order. */
export function distinct(
  name: string,
  seed: number,
  rows: number,
  count: number,
  below: number,
): Host<Uint32Array> {
  const draws = integers(name, seed, [rows, below], 65025).values;
  const values = new Uint32Array(rows * count);
  for (let row = 0; row < rows; row++) {
    const places = Array.from({ length: below }, (_, place) => place);
    const key = (place: number): number => draws[row * below + place] as number;
    places.sort((a, b) => key(a) - key(b) || a - b);
    for (let i = 0; i < count; i++) values[row * count + i] = places[i] as number;
  }
  return { values, shape: [rows, count] };
}
