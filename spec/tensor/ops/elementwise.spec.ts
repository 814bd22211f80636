import fc from 'fast-check';
import { describe, it } from 'vitest';
import { add, addRows, multiply, ShapeError, scale, tensor, tidy } from '../../../src/tensor/index.ts';
import * as oracle from '../../oracle/elementwise.ts';
import { expectExact, FLUSHED } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import { checkProperty } from '../../support/property.ts';
import { expand, lengths, recipes } from '../../support/recipe.ts';
import { expectAccepted, expectRejected } from '../../support/rejections.ts';

const gpu = await testGpu();
const pairs = fc.record({ rows: lengths(33), columns: lengths(257), a: recipes(), b: recipes() });

/** Where an argument is subnormal, the product may be 0. */
const vanishes = (...values: number[]): boolean => values.some((value) => Math.abs(value) < FLUSHED);

describe('T-5 elementwise', () => {
  it('T-5.1 add gives a[i] + b[i], rounded once', () =>
    checkProperty(gpu, {
      cases: pairs,
      data: ({ rows, columns, a, b }) => ({
        a: expand('a', a, [rows, columns]),
        b: expand('b', b, [rows, columns]),
      }),
      run: ({ a, b }) => [add(a, b), add(b, a)],
      judge: ([ab, ba], { a, b }) => {
        const sum = oracle.add(a.values, b.values);
        expectExact('add', ab, a.shape, sum);
        expectExact('add, the other way round', ba, a.shape, sum);
      },
    }));

  it('T-5.1 multiply gives a[i] · b[i], rounded once', () =>
    checkProperty(gpu, {
      cases: pairs,
      data: ({ rows, columns, a, b }) => ({
        a: expand('a', a, [rows, columns]),
        b: expand('b', b, [rows, columns]),
      }),
      run: ({ a, b }) => [multiply(a, b)],
      judge: ([y], { a, b }) => {
        const product = oracle.multiply(a.values, b.values);
        for (let i = 0; i < product.length; i++) {
          if (vanishes(a.values[i] as number, b.values[i] as number) && y.values[i] === 0) product[i] = 0;
        }
        expectExact('multiply', y, a.shape, product);
      },
    }));

  it('T-5.1 other shapes are rejected, even with as many elements', () =>
    tidy(gpu, () => {
      const a = tensor(gpu, new Float32Array(6), [2, 3]);
      const others = [[3, 2], [6], [1, 2, 3], [2, 4], [1, 3], [3]].map((shape) =>
        tensor(gpu, new Float32Array(shape.reduce((x, y) => x * y)), shape),
      );
      for (const op of [add, multiply]) {
        expectAccepted(gpu, () => op(a, a));
        for (const b of others) expectRejected(gpu, ShapeError, () => op(a, b));
        for (const b of others) expectRejected(gpu, ShapeError, () => op(b, a));
      }
    }));

  it('T-5.2 scale gives a[i] · s, rounded once, s rounded first', () =>
    checkProperty(gpu, {
      cases: fc.record({
        rows: lengths(33),
        columns: lengths(257),
        a: recipes('subnormal'),
        factor: fc.constantFrom(0, 1, -1, 0.5, 1 / 3, 0.1, 1 / 8, 1e-3, -7.3, 1 / Math.sqrt(64)),
      }),
      data: ({ rows, columns, a }) => ({ a: expand('a', a, [rows, columns]) }),
      run: ({ a }, { factor }) => [scale(a, factor)],
      judge: ([y], { a }, { factor }) => expectExact('scale', y, a.shape, oracle.scale(a.values, factor)),
    }));

  it('T-5.3 addRows adds b to every row of a', () =>
    checkProperty(gpu, {
      cases: fc.record({
        outer: lengths(17),
        middle: lengths(17),
        inner: lengths(129),
        axes: fc.integer({ min: 1, max: 3 }), // of b
        a: recipes(),
        b: recipes(),
      }),
      data: ({ outer, middle, inner, axes, a, b }) => ({
        a: expand('a', a, [outer, middle, inner]),
        b: expand('b', b, [outer, middle, inner].slice(3 - axes)),
      }),
      run: ({ a, b }) => [addRows(a, b)],
      judge: ([y], { a, b }) => expectExact('addRows', y, a.shape, oracle.addRows(a.values, b.values)),
    }));

  it('T-5.3 a b that is not the last axes of a is rejected', () =>
    tidy(gpu, () => {
      const a = tensor(gpu, new Float32Array(24), [2, 3, 4]);
      const shapes = [[3], [2], [1], [5], [4, 3], [2, 4], [1, 4], [8], [12], [1, 2, 3, 4]];
      for (const shape of [[4], [3, 4], [2, 3, 4]])
        expectAccepted(gpu, () =>
          addRows(a, tensor(gpu, new Float32Array(shape.reduce((x, y) => x * y)), shape)),
        );
      const others = shapes.map((shape) =>
        tensor(gpu, new Float32Array(shape.reduce((x, y) => x * y)), shape),
      );
      for (const b of others) expectRejected(gpu, ShapeError, () => addRows(a, b));
    }));
});
