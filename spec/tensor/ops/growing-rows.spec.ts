import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  appendRows,
  concat,
  type GrowingRows,
  growingRows,
  growingRowsOf,
  rowsOf,
  ShapeError,
  type Tensor,
  tensor,
  tidy,
} from '../../../src/tensor/index.ts';
import { expectBits } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import { checkProperty } from '../../support/property.ts';
import { expand, lengths, recipes } from '../../support/recipe.ts';
import { expectAccepted, expectRejected } from '../../support/rejections.ts';

const gpu = await testGpu();
const zeros = (...shape: number[]): Tensor =>
  tensor(gpu, new Float32Array(shape.reduce((x, y) => x * y, 1)), shape);

describe('T-27 rows that grow in place', () => {
  const cases = fc.record({
    A: fc.integer({ min: 0, max: 3 }),
    D: lengths(17),
    capacity: lengths(12),
    first: lengths(5),
    left: lengths(5),
    right: lengths(5),
    x: recipes(),
  });

  it('T-27.1 P-82 what is appended stands behind what was there, and no value changes when others grow out of it', () =>
    checkProperty(gpu, {
      cases,
      count: 250,
      data: ({ A, D, first, left, right, x }) => ({
        first: expand('first', x, [A, first, D]),
        left: expand('left', x, [A, left, D]),
        right: expand('right', x, [A, right, D]),
      }),
      run: (rows, { A, D, capacity }) => {
        const root = appendRows(growingRows(gpu, [A, capacity, D]), rows.first);
        const left = appendRows(root, rows.left, capacity); //  in the same room, if there is any
        const right = appendRows(root, rows.right, capacity); // a second one from the same root
        const further = appendRows(left, rows.right);
        const both = concat([rows.first, rows.left], 1);
        return [
          ...[rowsOf(root), rows.first],
          ...[rowsOf(left), both],
          ...[rowsOf(right), concat([rows.first, rows.right], 1)],
          ...[rowsOf(further), concat([both, rows.right], 1)],
        ];
      },
      judge: (outputs) => {
        for (let i = 0; i < outputs.length; i += 2) {
          const [got, expected] = outputs.slice(i, i + 2);
          if (got === undefined || expected === undefined) throw new Error('expected pairs');
          expectBits(`value ${i / 2}`, got, expected.shape, expected.values);
        }
      },
    }));

  it('T-27.2 rows are copied only where the room is full, or another value has grown into it', () => {
    tidy(gpu, () => {
      const none = growingRows(gpu, [2, 4, 3]);
      const two = appendRows(none, zeros(2, 2, 3));
      const three = appendRows(two, zeros(2, 1, 3));
      const other = appendRows(two, zeros(2, 1, 3));
      const sharesRoom = (a: GrowingRows, b: GrowingRows): boolean => a.room.storage === b.room.storage;
      expect(sharesRoom(none, three)).toBe(true);
      expect(sharesRoom(other, three)).toBe(false);
      expect(other.room.shape).toEqual([2, 3, 3]);
      const five = appendRows(three, zeros(2, 2, 3), 8);
      expect(sharesRoom(five, three)).toBe(false);
      expect(five.room.shape).toEqual([2, 8, 3]);
      expect(sharesRoom(appendRows(five, zeros(2, 3, 3)), five)).toBe(true);
    });
  });

  it('T-27.3 other sizes are rejected', () => {
    tidy(gpu, () => {
      const past = growingRows(gpu, [2, 4, 3]);
      expectAccepted(gpu, () => appendRows(past, zeros(2, 1, 3)));
      for (const rows of [zeros(1, 1, 3), zeros(2, 1, 4), zeros(1, 3), zeros(1, 2, 1, 3)])
        expectRejected(gpu, ShapeError, () => appendRows(past, rows));
      expectRejected(gpu, ShapeError, () => growingRows(gpu, [3]));
      expectRejected(gpu, ShapeError, () => growingRowsOf(zeros(3)));
      expectAccepted(gpu, () => growingRowsOf(zeros(2, 3), 2));
      for (const length of [3, -1, 0.5, Number.NaN])
        expectRejected(gpu, RangeError, () => growingRowsOf(zeros(2, 3), length));
    });
  });
});
