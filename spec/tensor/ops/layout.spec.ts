import fc from 'fast-check';
import { describe, it } from 'vitest';
import {
  concat,
  indexTensor,
  permute,
  repeatRows,
  ShapeError,
  slice,
  type Tensor,
  tensor,
  tidy,
} from '../../../src/tensor/index.ts';
import * as oracle from '../../oracle/layout.ts';
import { expectBits, expectIndices } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import { checkProperty } from '../../support/property.ts';
import { expand, integers, lengths, recipes } from '../../support/recipe.ts';
import { expectAccepted, expectRejected } from '../../support/rejections.ts';

const gpu = await testGpu();
const zeros = (...shape: number[]): Tensor =>
  tensor(gpu, new Float32Array(shape.reduce((x, y) => x * y, 1)), shape);

/** Shapes of one to four axes, one of which may be long; `axis` is one of them. */
const shapes = {
  rank: fc.integer({ min: 1, max: 4 }),
  lengths: fc.oneof(
    fc.tuple(lengths(4), lengths(9), lengths(9), lengths(33)),
    fc.tuple(lengths(3), lengths(129), lengths(3), lengths(9)),
    fc.tuple(lengths(257), lengths(2), lengths(4), lengths(3)),
    fc.tuple(lengths(2), lengths(2), lengths(3), lengths(577)),
  ),
  axis: fc.integer({ min: 0, max: 3 }),
  x: recipes(),
};
const shapeOf = (drawn: { rank: number; lengths: readonly number[] }): number[] =>
  drawn.lengths.slice(4 - drawn.rank);
const axisOf = (drawn: { rank: number; axis: number }): number => drawn.axis % drawn.rank;

function permutation(rank: number, number: number): number[] {
  const left = [...Array(rank).keys()];
  return Array.from(
    { length: rank },
    (_, i) => left.splice(Math.floor(number / (i + 1)) % left.length, 1)[0] as number,
  );
}

describe('T-16 moving', () => {
  it('T-16.1 concat places its inputs one behind the other along an axis', () =>
    checkProperty(gpu, {
      cases: fc.record({ ...shapes, second: lengths(17), third: lengths(9) }),
      data: (drawn) => {
        const along = (length: number): number[] => shapeOf(drawn).with(axisOf(drawn), length);
        return {
          a: expand('a', drawn.x, shapeOf(drawn)),
          b: expand('b', drawn.x, along(drawn.second)),
          c: expand('c', drawn.x, along(drawn.third)),
        };
      },
      run: ({ a, b, c }, drawn) => [concat([a, b, c], axisOf(drawn)), concat([a], axisOf(drawn))],
      judge: ([y, alone], { a, b, c }, drawn) => {
        const expected = oracle.concat([a, b, c], axisOf(drawn));
        expectBits('concat', y, expected.shape, Float32Array.from(expected.values));
        expectBits('concat of one', alone, a.shape, a.values);
      },
    }));

  it('T-16.1 other axes that differ, or an axis that is not there, are rejected', () =>
    tidy(gpu, () => {
      const x = zeros(2, 3, 4);
      expectAccepted(gpu, () => concat([x, zeros(2, 5, 4)], 1));
      expectAccepted(gpu, () => concat([x, zeros(2, 0, 4)], 1));
      for (const other of [
        zeros(1, 3, 4),
        zeros(3, 3, 4),
        zeros(2, 3, 3),
        zeros(2, 3),
        zeros(2, 3, 4, 1),
        zeros(24),
      ])
        expectRejected(gpu, ShapeError, () => concat([x, other], 1));
      for (const axis of [-1, 3, 0.5, Number.NaN])
        expectRejected(gpu, ShapeError, () => concat([x, x], axis));
    }));

  it('T-16.2 slice gives the part from begin up to end of an axis', () =>
    checkProperty(gpu, {
      cases: fc.record({
        ...shapes,
        from: fc.integer({ min: 0, max: 8 }),
        to: fc.integer({ min: 0, max: 8 }),
      }),
      data: (drawn) => ({ x: expand('x', drawn.x, shapeOf(drawn)) }),
      run: ({ x }, drawn) => [slice(x, axisOf(drawn), ...boundsOf(drawn))],
      judge: ([y], { x }, drawn) => {
        const expected = oracle.slice(x.values, x.shape, axisOf(drawn), ...boundsOf(drawn));
        expectBits('slice', y, expected.shape, Float32Array.from(expected.values));
      },
    }));

  it('T-16.1 T-16.2 the parts of a tensor, put together, are the tensor', () =>
    checkProperty(gpu, {
      cases: fc.record({
        ...shapes,
        from: fc.integer({ min: 0, max: 8 }),
        to: fc.integer({ min: 0, max: 8 }),
      }),
      count: 60,
      data: (drawn) => ({ x: expand('x', drawn.x, shapeOf(drawn)) }),
      run: ({ x }, drawn) => {
        const axis = axisOf(drawn);
        const [begin, end] = boundsOf(drawn);
        const length = x.shape[axis] as number;
        return [
          concat([slice(x, axis, 0, begin), slice(x, axis, begin, end), slice(x, axis, end, length)], axis),
        ];
      },
      judge: ([y], { x }) => expectBits('parts', y, x.shape, x.values),
    }));

  it('T-16.2 bounds outside the axis, and an axis that is not there, are rejected', () =>
    tidy(gpu, () => {
      const x = zeros(2, 3, 4);
      for (const [begin, end] of [
        [0, 3],
        [0, 0],
        [3, 3],
        [1, 2],
      ] as const)
        expectAccepted(gpu, () => slice(x, 1, begin, end));
      for (const [begin, end] of [
        [0, 4],
        [-1, 2],
        [2, 1],
        [4, 4],
        [0.5, 2],
        [0, 1.5],
        [Number.NaN, 2],
        [0, Number.NaN],
      ] as const)
        expectRejected(gpu, RangeError, () => slice(x, 1, begin, end));
      for (const axis of [-1, 3, 0.5]) expectRejected(gpu, ShapeError, () => slice(x, axis, 0, 1));
    }));

  it('T-16.3 permute makes axis order[i] of x axis i of the result', () =>
    checkProperty(gpu, {
      cases: fc.record({ ...shapes, number: fc.integer({ min: 0, max: 23 }) }),
      count: 250,
      data: (drawn) => ({ x: expand('x', drawn.x, shapeOf(drawn)) }),
      run: ({ x }, { rank, number }) => [permute(x, permutation(rank, number))],
      judge: ([y], { x }, { rank, number }) => {
        const expected = oracle.permute(x.values, x.shape, permutation(rank, number));
        expectBits('permute', y, expected.shape, Float32Array.from(expected.values));
      },
    }));

  it('T-16.3 the inverse order undoes a permutation', () =>
    checkProperty(gpu, {
      cases: fc.record({ ...shapes, number: fc.integer({ min: 0, max: 23 }) }),
      count: 60,
      data: (drawn) => ({ x: expand('x', drawn.x, shapeOf(drawn)) }),
      run: ({ x }, { rank, number }) => {
        const order = permutation(rank, number);
        return [
          permute(
            permute(x, order),
            order.map((_, axis) => order.indexOf(axis)),
          ),
        ];
      },
      judge: ([y], { x }) => expectBits('there and back', y, x.shape, x.values),
    }));

  it('T-16.3 an order that does not name each axis once, and more than four axes, are rejected', () =>
    tidy(gpu, () => {
      const x = zeros(2, 3, 4);
      expectAccepted(gpu, () => permute(x, [2, 0, 1]));
      for (const order of [[0, 1], [0, 1, 1], [0, 1, 3], [-1, 0, 1], [0, 1, 2, 3], [0, 1, 1.5], []])
        expectRejected(gpu, RangeError, () => permute(x, order));
      expectAccepted(gpu, () => permute(zeros(1, 2, 1, 2), [3, 2, 1, 0]));
      const five = zeros(1, 2, 1, 2, 1);
      expectRejected(gpu, ShapeError, () => permute(five, [4, 3, 2, 1, 0]));
    }));

  it('T-16.4 repeatRows gives copies along a new first axis', () =>
    checkProperty(gpu, {
      cases: fc.record({ ...shapes, copies: lengths(9) }),
      data: (drawn) => ({ x: expand('x', drawn.x, shapeOf(drawn)) }),
      run: ({ x }, { copies }) => [repeatRows(x, copies)],
      judge: ([y], { x }, { copies }) => {
        const expected = oracle.repeatRows(x.values, x.shape, copies);
        expectBits('repeatRows', y, expected.shape, Float32Array.from(expected.values));
      },
    }));

  it('T-16.4 a number of copies that is not a count is rejected', () =>
    tidy(gpu, () => {
      const x = zeros(2);
      for (const copies of [0, 1, 3]) expectAccepted(gpu, () => repeatRows(x, copies));
      for (const copies of [-1, 1.5, Number.NaN])
        expectRejected(gpu, RangeError, () => repeatRows(x, copies));
    }));

  it('T-16.1 T-16.2 T-16.3 T-16.4 indices move like values', () =>
    checkProperty(gpu, {
      cases: fc.record({ rows: lengths(17), columns: lengths(33), seed: fc.integer({ min: 0, max: 99 }) }),
      data: ({ rows, columns, seed }) => {
        const x = integers('x', seed, [rows, columns], 65025);
        return { x: { ...x, values: x.values.map((value) => value * 65521) } }; // any bits
      },
      run: ({ x }) => [
        concat([x, x], 1),
        slice(x, 0, 0, x.shape[0] as number),
        permute(x, [1, 0]),
        repeatRows(x, 2),
      ],
      judge: ([joined, part, turned, twice], { x }) => {
        const moves = [oracle.concat([x, x], 1), x, oracle.permute(x.values, x.shape, [1, 0])];
        for (const [i, y] of [joined, part, turned].entries()) {
          const { values, shape } = moves[i] as { values: ArrayLike<number>; shape: readonly number[] };
          expectIndices('indices', y, shape, values);
        }
        const repeated = oracle.repeatRows(x.values, x.shape, 2);
        expectIndices('repeatRows', twice, repeated.shape, repeated.values);
      },
    }));

  it('T-16.1 T-16.3 −0 and subnormal numbers keep their bits', () =>
    checkProperty(gpu, {
      cases: fc.constant(null),
      count: 1,
      data: () => ({ x: { values: Float32Array.of(-0, 2 ** -149, 1, -(2 ** -130)), shape: [2, 2] } }),
      run: ({ x }) => [concat([x], 0), permute(x, [1, 0]), slice(x, 0, 0, 2), repeatRows(x, 1)],
      judge: ([joined, turned, part, copy], { x }) => {
        expectBits('concat', joined, [2, 2], x.values);
        expectBits('permute', turned, [2, 2], Float32Array.of(-0, 1, 2 ** -149, -(2 ** -130)));
        expectBits('slice', part, [2, 2], x.values);
        expectBits('repeatRows', copy, [1, 2, 2], x.values);
      },
    }));

  it('T-16.1 T-16.2 an index tensor without elements moves, too', () =>
    tidy(gpu, () => {
      const none = indexTensor(gpu, new Uint32Array(0), [0, 3]);
      expectAccepted(gpu, () => concat([none, none], 0));
      expectAccepted(gpu, () => slice(none, 1, 1, 2));
    }));
});

function boundsOf(drawn: {
  rank: number;
  lengths: readonly number[];
  axis: number;
  from: number;
  to: number;
}): [number, number] {
  const length = shapeOf(drawn)[axisOf(drawn)] as number;
  const [begin, end] = [drawn.from, drawn.to].map((eighths) => Math.round((length * eighths) / 8)) as [
    number,
    number,
  ];
  return [Math.min(begin, end), Math.max(begin, end)];
}
