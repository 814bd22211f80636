import fc from 'fast-check';
import { describe, it } from 'vitest';
import {
  gatherIndices,
  gatherRows,
  indexTensor,
  lookup,
  ShapeError,
  type Tensor,
  tensor,
  tidy,
} from '../../../src/tensor/index.ts';
import * as oracle from '../../oracle/gather.ts';
import { expectBits, expectIndices } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import { checkProperty } from '../../support/property.ts';
import { distinct, expand, integers, lengths, recipes } from '../../support/recipe.ts';
import { expectAccepted, expectRejected } from '../../support/rejections.ts';

const gpu = await testGpu();
const zeros = (...shape: number[]): Tensor =>
  tensor(gpu, new Float32Array(shape.reduce((x, y) => x * y, 1)), shape);
const indices = (...shape: number[]) =>
  indexTensor(gpu, new Uint32Array(shape.reduce((x, y) => x * y, 1)), shape);
const seed = fc.integer({ min: 0, max: 9999 });

describe('T-14 gathering', () => {
  it('T-14.1 gatherRows copies the bits of row indices[b, k] of x[b]', () =>
    checkProperty(gpu, {
      cases: fc.record({
        B: lengths(4),
        N: lengths(129, 1),
        C: lengths(65),
        K: lengths(65),
        x: recipes(),
        seed,
      }),
      data: ({ B, N, C, K, x, seed }) => ({
        x: expand('x', x, [B, N, C]),
        indices: integers('indices', seed, [B, K], N),
      }),
      run: ({ x, indices }) => [gatherRows(x, indices)],
      judge: ([y], { x, indices }, { B, N, C, K }) => {
        const rows = oracle.gatherRows(x.values, indices.values, { B, N, C, K });
        expectBits('gatherRows', y, [B, K, C], Float32Array.from(rows));
      },
    }));

  it('T-14.1 −0, subnormal and the largest numbers keep their bits', () =>
    checkProperty(gpu, {
      cases: fc.constant(null),
      count: 1,
      data: () => ({
        x: {
          values: Float32Array.of(-0, 2 ** -149, -3.4028234663852886e38, 0, 2 ** -126, -1),
          shape: [1, 6, 1],
        },
        table: {
          values: Float32Array.of(-0, 2 ** -149, -3.4028234663852886e38, 0, 2 ** -126, -1),
          shape: [6, 1],
        },
        order: { values: Uint32Array.of(5, 4, 3, 2, 1, 0), shape: [1, 6] },
      }),
      run: ({ x, table, order }) => [gatherRows(x, order), lookup(table, order)],
      judge: ([y, z], { x }) => {
        expectBits('gatherRows', y, [1, 6, 1], x.values.toReversed());
        expectBits('lookup', z, [1, 6, 1], x.values.toReversed());
      },
    }));

  it('T-14.1 P-20 gathering by a permutation and then by its inverse gives x', () =>
    checkProperty(gpu, {
      cases: fc.record({ N: lengths(129), C: lengths(33), x: recipes(), seed }),
      data: ({ N, C, x, seed }) => {
        const order = distinct('order', seed, 1, N, N);
        const inverse = new Uint32Array(N);
        order.values.forEach((place, i) => {
          inverse[place] = i;
        });
        return { x: expand('x', x, [1, N, C]), order, inverse: { values: inverse, shape: [1, N] } };
      },
      run: ({ x, order, inverse }) => [gatherRows(gatherRows(x, order), inverse)],
      judge: ([y], { x }) => expectBits('there and back', y, x.shape, x.values),
    }));

  it('T-14.1 gatherIndices copies entry indices[b, k] of row b', () =>
    checkProperty(gpu, {
      cases: fc.record({ B: lengths(4), N: lengths(257, 1), K: lengths(257), seed }),
      data: ({ B, N, K, seed }) => ({
        x: integers('x', seed, [B, N], 65025),
        indices: integers('indices', seed, [B, K], N),
      }),
      run: ({ x, indices }) => [gatherIndices(x, indices)],
      judge: ([y], { x, indices }, { B, N, K }) =>
        expectIndices(
          'gatherIndices',
          y,
          [B, K],
          oracle.gatherRows(x.values, indices.values, { B, N, C: 1, K }),
        ),
    }));

  it('T-14.1 shapes that do not fit are rejected', () =>
    tidy(gpu, () => {
      const [x, picked] = [zeros(2, 3, 4), indices(2, 5)];
      expectAccepted(gpu, () => gatherRows(x, picked));
      for (const other of [zeros(1, 3, 4), zeros(3, 3, 4), zeros(3, 4), zeros(1, 2, 3, 4)])
        expectRejected(gpu, ShapeError, () => gatherRows(other, picked));
      for (const other of [indices(1, 5), indices(3, 5), indices(5), indices(2, 5, 1)])
        expectRejected(gpu, ShapeError, () => gatherRows(x, other));
      const numbers = indices(2, 3);
      expectAccepted(gpu, () => gatherIndices(numbers, picked));
      for (const other of [indices(1, 3), indices(3), indices(2, 3, 1)])
        expectRejected(gpu, ShapeError, () => gatherIndices(other, picked));
      for (const other of [indices(1, 5), indices(5), indices(2, 5, 1)])
        expectRejected(gpu, ShapeError, () => gatherIndices(numbers, other));
    }));

  it('T-14.2 lookup copies row ids[...] of a table', () =>
    checkProperty(gpu, {
      cases: fc.record({
        V: lengths(577, 1),
        C: lengths(33),
        shape: fc.constantFrom([], [0], [1], [17], [2, 33], [2, 3, 4]),
        table: recipes(),
        seed,
      }),
      data: ({ V, C, shape, table, seed }) => ({
        table: expand('table', table, [V, C]),
        ids: integers('ids', seed, shape, V),
      }),
      run: ({ table, ids }) => [lookup(table, ids)],
      judge: ([y], { table, ids }, { C, shape }) =>
        expectBits('lookup', y, [...shape, C], Float32Array.from(oracle.lookup(table.values, ids.values, C))),
    }));

  it('T-14.2 a table of other than two axes is rejected', () =>
    tidy(gpu, () => {
      const ids = indices(3);
      expectAccepted(gpu, () => lookup(zeros(2, 4), ids));
      for (const table of [zeros(4), zeros(1, 2, 4), zeros()])
        expectRejected(gpu, ShapeError, () => lookup(table, ids));
    }));
});
