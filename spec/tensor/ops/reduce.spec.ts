import fc from 'fast-check';
import { describe, it } from 'vitest';
import {
  argmax,
  meanAxis,
  ShapeError,
  scale,
  sumAxis,
  type Tensor,
  tensor,
  tidy,
  topKIndices,
  topTwoGap,
} from '../../../src/tensor/index.ts';
import * as oracle from '../../oracle/reduce.ts';
import { productTolerance } from '../../support/bounds.ts';
import { expectBits, expectClose, expectExact, expectIndices, FLUSHED, u } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import { checkProperty } from '../../support/property.ts';
import { distinct, expand, isSystematic, lengths, type Recipe, recipes } from '../../support/recipe.ts';
import { expectAccepted, expectRejected } from '../../support/rejections.ts';

const gpu = await testGpu();
const zeros = (...shape: number[]): Tensor =>
  tensor(gpu, new Float32Array(shape.reduce((x, y) => x * y, 1)), shape);

interface AxisCase {
  readonly O: number;
  readonly A: number;
  readonly I: number;
  readonly form: 'first' | 'middle' | 'last';
  readonly x: Recipe;
}

function axes(x: fc.Arbitrary<Recipe>, least: number): fc.Arbitrary<AxisCase> {
  const form = fc.constantFrom<AxisCase['form'][]>('first', 'middle', 'last');
  return fc.oneof(
    fc.record({ O: lengths(9), A: lengths(17, least), I: lengths(33), form, x }),
    fc.record({ O: lengths(3), A: lengths(577, least), I: lengths(9), form, x }),
    fc.record({ O: lengths(3), A: lengths(9, least), I: lengths(257), form, x }),
  );
}

/** [A, I], [O, A, I] or [O, A]: the axis to sum is the first, the middle or the last one. */
function formed({ O, A, I, form }: AxisCase): {
  sizes: { O: number; A: number; I: number };
  shape: number[];
  axis: number;
} {
  if (form === 'first') return { sizes: { O: 1, A, I }, shape: [A, I], axis: 0 };
  if (form === 'last') return { sizes: { O, A, I: 1 }, shape: [O, A], axis: 1 };
  return { sizes: { O, A, I }, shape: [O, A, I], axis: 1 };
}

/** What an adapter that takes 0 for subnormal numbers reads. */
function flushed(values: Float32Array): Float32Array {
  return values.map((value) => (Math.abs(value) < 2 ** -126 ? 0 : value));
}

describe('T-11 sums and means', () => {
  it('T-11.1 sumAxis gives the sum over the named axis, 0 over an empty one', () =>
    checkProperty(gpu, {
      cases: axes(recipes(), 0),
      count: 250,
      data: (drawn) => ({ x: expand('x', drawn.x, formed(drawn).shape) }),
      run: ({ x }, drawn) => [sumAxis(x, formed(drawn).axis)],
      judge: ([y], { x }, drawn) => {
        const { sizes, shape, axis } = formed(drawn);
        const { values, magnitudes } = oracle.sumAxis(x.values, sizes);
        const within = (i: number): number =>
          productTolerance(sizes.A, magnitudes[i] as number, values[i] as number, isSystematic(drawn.x));
        expectClose('sumAxis', y, shape.toSpliced(axis, 1), values, within);
        if (drawn.x.dist === 'grid') expectExact('sumAxis of the grid', y, y.shape, values);
      },
    }));

  it('T-11.2 meanAxis gives the mean over the named axis', () =>
    checkProperty(gpu, {
      cases: axes(recipes(), 1),
      count: 250,
      data: (drawn) => ({ x: expand('x', drawn.x, formed(drawn).shape) }),
      run: ({ x }, drawn) => [meanAxis(x, formed(drawn).axis)],
      judge: ([y], { x }, drawn) => {
        const { sizes, shape, axis } = formed(drawn);
        const { values, magnitudes } = oracle.sumAxis(x.values, sizes);
        const mean = values.map((value) => value / sizes.A);
        const within = (i: number): number =>
          productTolerance(
            sizes.A,
            (magnitudes[i] as number) / sizes.A,
            mean[i] as number,
            isSystematic(drawn.x),
          ) +
          5 * u * Math.abs(mean[i] as number);
        expectClose('meanAxis', y, shape.toSpliced(axis, 1), mean, within);
        if (drawn.x.dist === 'grid') {
          const exact = (i: number): number => 5 * u * Math.abs(mean[i] as number) + FLUSHED;
          expectClose('meanAxis of the grid', y, y.shape, mean, exact);
        }
      },
    }));

  it('T-11.1 T-11.2 an axis that is not there is rejected', () =>
    tidy(gpu, () => {
      const x = zeros(2, 3, 4);
      for (const op of [sumAxis, meanAxis]) {
        for (const axis of [0, 1, 2]) expectAccepted(gpu, () => op(x, axis));
        for (const axis of [-1, 3, 0.5, Number.NaN]) expectRejected(gpu, ShapeError, () => op(x, axis));
      }
    }));

  it('T-11.2 the mean of nothing is rejected', () =>
    tidy(gpu, () => {
      const x = zeros(2, 0, 4);
      expectAccepted(gpu, () => sumAxis(x, 1));
      expectAccepted(gpu, () => meanAxis(x, 0));
      expectAccepted(gpu, () => meanAxis(x, 2));
      expectRejected(gpu, ShapeError, () => meanAxis(x, 1));
    }));
});

describe('T-11 largest elements', () => {
  const rows = fc.record({ R: lengths(33), L: lengths(577, 1), x: recipes() });

  it('T-11.3 P-23 argmax gives the place of the largest element of each row, the lowest of equals', () =>
    checkProperty(gpu, {
      cases: rows,
      count: 250,
      data: ({ R, L, x }) => ({ x: expand('x', x, [R, L]) }),
      run: ({ x }) => [argmax(x)],
      judge: ([y], { x }, { R, L }) => {
        const asFlushed = oracle.argmax(flushed(x.values), { R, L });
        const matchesFlushed = asFlushed.every((place, r) => place === y.values[r]);
        expectIndices('argmax', y, [R], matchesFlushed ? asFlushed : oracle.argmax(x.values, { R, L }));
      },
    }));

  it('T-11.3 P-23 it is the first of the top k, the same for 2ⁿ x, and moves with numbers that differ', () =>
    checkProperty(gpu, {
      cases: fc.record({
        R: lengths(9),
        L: lengths(577, 1),
        x: recipes('subnormal'),
        seed: fc.integer({ min: 0, max: 9999 }),
        exp: fc.integer({ min: -8, max: 8 }),
      }),
      data: ({ R, L, x, seed }) => {
        const different = Float32Array.from(distinct('x', seed, 1, L, L).values, (q) => (q - L / 3) / 7);
        const order = distinct('order', seed, 1, L, L).values;
        return {
          x: expand('x', x, [R, L]),
          different: { values: different, shape: [L] },
          moved: { values: Float32Array.from(order, (place) => different[place] as number), shape: [L] },
          order: { values: order, shape: [L] },
        };
      },
      run: ({ x, different, moved }, { exp }) => [
        argmax(x),
        topKIndices(x, 1, 'score'),
        argmax(scale(x, 2 ** exp)),
        argmax(different),
        argmax(moved),
      ],
      judge: ([y, first, scaled, place, ofMoved], { order }, { R }) => {
        expectIndices('first of the top k', first, [R, 1], y.values);
        expectIndices('argmax of 2ⁿ x', scaled, y.shape, y.values);
        expectIndices(
          'argmax of moved numbers',
          place,
          [],
          [order.values[ofMoved.values[0] as number] as number],
        );
      },
    }));

  it('T-11.3 T-11.4 −0 and 0 are equal', () =>
    checkProperty(gpu, {
      cases: fc.constant(null),
      count: 1,
      data: () => ({ x: { values: Float32Array.of(-1, -0, 0, 0, -0, -1), shape: [2, 3] } }),
      run: ({ x }) => [argmax(x), topTwoGap(x)],
      judge: ([place, gap]) => {
        expectIndices('argmax', place, [2], [1, 0]);
        expectExact('topTwoGap', gap, [2], [0, 0]);
      },
    }));

  it('T-11.4 topTwoGap gives the largest minus the second largest element, 0 for a tie, itself in a row of one', () =>
    checkProperty(gpu, {
      cases: rows,
      count: 250,
      data: ({ R, L, x }) => ({ x: expand('x', x, [R, L]) }),
      run: ({ x }) => [topTwoGap(x)],
      judge: ([y], { x }, { R, L }) => expectExact('topTwoGap', y, [R], oracle.topTwoGap(x.values, { R, L })),
    }));

  it('T-11.3 T-11.4 rows are those of the last axis, whatever stands before it', () =>
    checkProperty(gpu, {
      cases: fc.constantFrom([5], [1, 5], [2, 3, 5], [2, 1, 3, 5], [0, 5]),
      count: 20,
      data: (shape) => ({ x: expand('x', { dist: 'grid', seed: 1, exp: 2 }, shape) }),
      run: ({ x }) => [argmax(x), topTwoGap(x)],
      judge: ([place, gap], { x }) => {
        const sizes = { R: x.values.length / 5, L: 5 };
        expectIndices('argmax', place, x.shape.slice(0, -1), oracle.argmax(x.values, sizes));
        expectExact('topTwoGap', gap, x.shape.slice(0, -1), oracle.topTwoGap(x.values, sizes));
      },
    }));

  it('T-11.3 T-11.4 numbers as low as they go are still found', () =>
    checkProperty(gpu, {
      cases: fc.record({ L: lengths(257, 2), at: fc.integer({ min: 0, max: 256 }) }),
      data: ({ L, at }) => {
        const values = new Float32Array(L).fill(-3.4028234663852886e38);
        values[at % L] = -3e38;
        return { x: { values, shape: [L] } };
      },
      run: ({ x }) => [argmax(x), topTwoGap(x)],
      judge: ([place, gap], { x }, { L, at }) => {
        expectIndices('argmax', place, [], [at % L]);
        expectBits('topTwoGap', gap, [], Float32Array.from(oracle.topTwoGap(x.values, { R: 1, L })));
      },
    }));

  it('T-11.3 T-11.4 an empty row is rejected', () =>
    tidy(gpu, () => {
      const [one, none, scalar] = [zeros(2, 1), zeros(2, 0), zeros()];
      for (const op of [argmax, topTwoGap]) {
        expectAccepted(gpu, () => op(one));
        expectRejected(gpu, ShapeError, () => op(none));
        expectRejected(gpu, ShapeError, () => op(scalar));
      }
    }));
});
