import fc from 'fast-check';
import { describe, it } from 'vitest';
import { ShapeError, scale, type Tensor, tensor, tidy, topKIndices } from '../../../src/tensor/index.ts';
import * as oracle from '../../oracle/top-k.ts';
import { expectIndices } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import { checkProperty } from '../../support/property.ts';
import { distinct, expand, lengths, type Recipe, recipes } from '../../support/recipe.ts';
import { expectAccepted, expectRejected } from '../../support/rejections.ts';

const gpu = await testGpu();
const zeros = (...shape: number[]): Tensor =>
  tensor(gpu, new Float32Array(shape.reduce((x, y) => x * y, 1)), shape);
const seed = fc.integer({ min: 0, max: 9999 });

interface Case {
  readonly R: number;
  readonly L: number;
  readonly eighths: number; // of L
  readonly beyond: number;
  readonly x: Recipe;
}

const cases: fc.Arbitrary<Case> = fc.record({
  R: lengths(9),
  L: lengths(577),
  eighths: fc.integer({ min: 0, max: 8 }),
  beyond: fc.integer({ min: -1, max: 1 }),
  x: recipes('subnormal'),
});

const kOf = ({ L, eighths, beyond }: Case): number =>
  Math.min(L, Math.max(0, Math.round((L * eighths) / 8) + beyond));
const dataOf = ({ R, L, x }: Case) => ({ x: expand('x', x, [R, L]) });

describe('T-12 top k', () => {
  it('T-12.1 T-12.2 P-22 by score: the k largest in descending order, the lower place first among equals', () =>
    checkProperty(gpu, {
      cases,
      count: 250,
      data: dataOf,
      run: ({ x }, drawn) => [topKIndices(x, kOf(drawn), 'score')],
      judge: ([y], { x }, drawn) => {
        const k = kOf(drawn);
        expectIndices('topKIndices', y, [drawn.R, k], oracle.topKIndices(x.values, drawn, k, 'score'));
      },
    }));

  it('T-12.1 T-12.2 by position: the same ones, ascending by place', () =>
    checkProperty(gpu, {
      cases,
      count: 250,
      data: dataOf,
      run: ({ x }, drawn) => [topKIndices(x, kOf(drawn), 'position')],
      judge: ([y], { x }, drawn) => {
        const k = kOf(drawn);
        expectIndices('topKIndices', y, [drawn.R, k], oracle.topKIndices(x.values, drawn, k, 'position'));
      },
    }));

  it('T-12.1 P-22 the k largest are the first k of the k + 1 largest; a power of two in front changes nothing', () =>
    checkProperty(gpu, {
      cases,
      data: dataOf,
      run: ({ x }, drawn) => {
        const k = kOf(drawn);
        const more = Math.min(drawn.L, k + 1);
        return [
          topKIndices(x, k, 'score'),
          topKIndices(x, more, 'score'),
          topKIndices(scale(x, 0.25), k, 'score'),
        ];
      },
      judge: ([y, larger, scaled], _, drawn) => {
        const [k, more] = [y.shape[1] as number, larger.shape[1] as number];
        const first = Array.from({ length: drawn.R * k }, (_, i) => {
          return larger.values[Math.floor(i / k) * more + (i % k)] as number;
        });
        expectIndices('first k of k + 1', y, [drawn.R, k], first);
        expectIndices('of the quarters', scaled, y.shape, y.values);
      },
    }));

  it('T-12.1 T-12.2 P-22 where scores differ, moved scores give moved places', () =>
    checkProperty(gpu, {
      cases: fc.record({ L: lengths(577, 1), eighths: fc.integer({ min: 0, max: 8 }), seed }),
      data: ({ L, seed }) => {
        const scores = Float32Array.from(distinct('x', seed, 1, L, L).values, (q) => (q - L / 3) / 7);
        const order = distinct('order', seed, 1, L, L).values;
        return {
          x: { values: scores, shape: [1, L] },
          moved: { values: Float32Array.from(order, (place) => scores[place] as number), shape: [1, L] },
          order: { values: order, shape: [L] },
        };
      },
      run: ({ x, moved }, { L, eighths }) => {
        const k = Math.floor((L * eighths) / 8);
        return [
          topKIndices(x, k, 'score'),
          topKIndices(moved, k, 'score'),
          topKIndices(moved, k, 'position'),
        ];
      },
      judge: ([y, moved, byPosition], { order }) => {
        const back = Uint32Array.from(moved.values, (place) => order.values[place] as number);
        expectIndices('places moved back', { ...moved, values: back }, y.shape, y.values);
        expectIndices('by position', byPosition, y.shape, moved.values.slice().sort());
      },
    }));

  it('T-12.1 in a row of equals the first k are chosen', () =>
    checkProperty(gpu, {
      cases: fc.record({
        L: lengths(577),
        eighths: fc.integer({ min: 0, max: 8 }),
        value: fc.constantFrom(0, -1, 7, 3e38),
      }),
      count: 60,
      data: ({ L, value }) => ({ x: { values: new Float32Array(L).fill(value), shape: [1, L] } }),
      run: ({ x }, { L, eighths }) => {
        const k = Math.floor((L * eighths) / 8);
        return [topKIndices(x, k, 'score'), topKIndices(x, k, 'position')];
      },
      judge: ([byScore, byPosition]) => {
        const k = byScore.shape[1] as number;
        expectIndices('by score', byScore, [1, k], [...Array(k).keys()]);
        expectIndices('by position', byPosition, [1, k], [...Array(k).keys()]);
      },
    }));

  it('T-12.3 k outside 0 … L, and other than two axes, are rejected', () =>
    tidy(gpu, () => {
      const x = zeros(2, 5);
      for (const order of ['score', 'position'] as const) {
        for (const k of [0, 1, 5]) expectAccepted(gpu, () => topKIndices(x, k, order));
        for (const k of [-1, 6, 1.5, Number.NaN, Number.POSITIVE_INFINITY])
          expectRejected(gpu, RangeError, () => topKIndices(x, k, order));
        for (const other of [zeros(5), zeros(1, 2, 5), zeros()])
          expectRejected(gpu, ShapeError, () => topKIndices(other, 1, order));
      }
    }));
});
