import fc from 'fast-check';
import { describe, it } from 'vitest';
import {
  complement,
  countMembers,
  gridPositions,
  indexTensor,
  ShapeError,
  shiftIndices,
  tidy,
} from '../../../src/tensor/index.ts';
import * as oracle from '../../oracle/index-math.ts';
import { expectIndices } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import { checkProperty } from '../../support/property.ts';
import { distinct, integers, lengths } from '../../support/recipe.ts';
import { expectAccepted, expectRejected } from '../../support/rejections.ts';

const gpu = await testGpu();
const seed = fc.integer({ min: 0, max: 9999 });
const indices = (...shape: number[]) =>
  indexTensor(gpu, new Uint32Array(shape.reduce((x, y) => x * y, 1)), shape);

describe('T-13 indices', () => {
  it('T-13.1 complement gives the numbers below N that a row does not hold, ascending', () =>
    checkProperty(gpu, {
      cases: fc.record({ B: lengths(4), N: lengths(577), eighths: fc.integer({ min: 0, max: 8 }), seed }),
      data: ({ B, N, eighths, seed }) => ({
        held: distinct('held', seed, B, Math.ceil((N * eighths) / 8), N),
      }),
      run: ({ held }, { N }) => [complement(held, N)],
      judge: ([y], { held }, { B, N }) => {
        const K = held.shape[1] as number;
        expectIndices('complement', y, [B, N - K], oracle.complement(held.values, { B, K }, N));
      },
    }));

  it('T-13.1 P-24 a row and its complement part the numbers below N; the complement of that is the row, ascending', () =>
    checkProperty(gpu, {
      cases: fc.record({ N: lengths(577), eighths: fc.integer({ min: 0, max: 8 }), seed }),
      data: ({ N, eighths, seed }) => ({ held: distinct('held', seed, 2, Math.floor((N * eighths) / 8), N) }),
      run: ({ held }, { N }) => {
        const rest = complement(held, N);
        return [rest, complement(rest, N)];
      },
      judge: ([rest, again], { held }, { N }) => {
        const K = held.shape[1] as number;
        const rows = [held.values.slice(0, K).sort(), held.values.slice(K).sort()];
        expectIndices(
          'complement twice',
          again,
          held.shape,
          rows.flatMap((row) => [...row]),
        );
        for (const [row, kept] of rows.entries()) {
          const left = rest.values.subarray(row * (N - K), (row + 1) * (N - K));
          expectIndices('order of the rest', { values: left.slice().sort(), shape: [N - K] }, [N - K], left);
          const all = Uint32Array.of(...kept, ...left).sort();
          expectIndices('both parts', { values: all, shape: [N] }, [N], [...Array(N).keys()]);
        }
      },
    }));

  it('T-13.1 more indices than numbers, or other than two axes, are rejected', () =>
    tidy(gpu, () => {
      const held = indexTensor(gpu, Uint32Array.of(0, 1, 2, 2, 1, 0), [2, 3]);
      for (const N of [3, 4]) expectAccepted(gpu, () => complement(held, N));
      for (const N of [2, -1, 3.5, Number.NaN]) expectRejected(gpu, RangeError, () => complement(held, N));
      for (const other of [indices(3), indices(1, 1, 3), indices()])
        expectRejected(gpu, ShapeError, () => complement(other, 5));
    }));

  it('T-13.2 shiftIndices adds a constant to each index', () =>
    checkProperty(gpu, {
      cases: fc.record({ rows: lengths(9), columns: lengths(257), by: lengths(577), seed }),
      data: ({ rows, columns, seed }) => ({ x: integers('x', seed, [rows, columns], 60000) }),
      run: ({ x }, { by }) => [shiftIndices(x, by)],
      judge: ([y], { x }, { by }) =>
        expectIndices('shiftIndices', y, x.shape, oracle.shiftIndices(x.values, by)),
    }));

  it('T-13.2 a shift that is not a non-negative integer is rejected', () =>
    tidy(gpu, () => {
      const x = indices(3);
      for (const by of [0, 1]) expectAccepted(gpu, () => shiftIndices(x, by));
      for (const by of [-1, 0.5, Number.NaN, 2 ** 32])
        expectRejected(gpu, RangeError, () => shiftIndices(x, by));
    }));

  it('T-13.3 gridPositions gives (⌊i / columns⌋, i mod columns)', () =>
    checkProperty(gpu, {
      cases: fc.record({ B: lengths(4), K: lengths(257), columns: lengths(129, 1), seed }),
      data: ({ B, K, seed }) => ({ x: integers('x', seed, [B, K], 60000) }),
      run: ({ x }, { columns }) => [gridPositions(x, columns)],
      judge: ([y], { x }, { B, K, columns }) =>
        expectIndices('gridPositions', y, [B, K, 2], oracle.gridPositions(x.values, columns)),
    }));

  it('T-13.3 a number of columns that is not a positive integer is rejected', () =>
    tidy(gpu, () => {
      const x = indices(3);
      expectAccepted(gpu, () => gridPositions(x, 1));
      for (const columns of [0, -1, 1.5, Number.NaN])
        expectRejected(gpu, RangeError, () => gridPositions(x, columns));
    }));

  it('T-13.4 countMembers counts how often each number below groupCount occurs in a row', () =>
    checkProperty(gpu, {
      cases: fc.record({ B: lengths(4), S: lengths(577), groupCount: lengths(65, 1), seed }),
      data: ({ B, S, groupCount, seed }) => ({ group: integers('group', seed, [B, S], groupCount) }),
      run: ({ group }, { groupCount }) => [countMembers(group, groupCount)],
      judge: ([y], { group }, { B, S, groupCount }) =>
        expectIndices(
          'countMembers',
          y,
          [B, groupCount],
          oracle.countMembers(group.values, { B, S }, groupCount),
        ),
    }));

  it('T-13.4 a groupCount that is not a count, or other than two axes, are rejected', () =>
    tidy(gpu, () => {
      const group = indices(2, 3);
      for (const count of [1, 2]) expectAccepted(gpu, () => countMembers(group, count));
      for (const count of [-1, 1.5, Number.NaN])
        expectRejected(gpu, RangeError, () => countMembers(group, count));
      for (const other of [indices(3), indices(1, 2, 3), indices()])
        expectRejected(gpu, ShapeError, () => countMembers(other, 2));
    }));
});
