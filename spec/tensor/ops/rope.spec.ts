import fc from 'fast-check';
import { describe, it } from 'vitest';
import { rope, ropeTable, ShapeError, type Tensor, tensor, tidy } from '../../../src/tensor/index.ts';
import * as oracle from '../../oracle/rope.ts';
import { expectBits, expectClose, FLUSHED, u } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import { checkProperty } from '../../support/property.ts';
import { expand, lengths, recipes } from '../../support/recipe.ts';
import { expectAccepted, expectRejected } from '../../support/rejections.ts';

const gpu = await testGpu();
const zeros = (...shape: number[]): Tensor =>
  tensor(gpu, new Float32Array(shape.reduce((x, y) => x * y, 1)), shape);

describe('T-17 RoPE', () => {
  const cases = fc.record({
    B: lengths(2),
    H: lengths(4),
    T: lengths(17),
    half: lengths(33, 1),
    first: lengths(65),
    base: fc.constantFrom(10_000, 500_000, 2),
    x: recipes(),
  });

  it('T-17.1 rope turns the pair (d, d + D/2) at position p by the angle p · base^(−2d/D)', () =>
    checkProperty(gpu, {
      cases,
      data: ({ B, H, T, half, x }) => ({ x: expand('x', x, [B, H, T, 2 * half]) }),
      run: ({ x }, { T, half, first, base }) => [rope(x, ropeTable(gpu, first + T, 2 * half, base), first)],
      judge: ([y], { x }, { B, H, T, half, first, base }) => {
        const { values, magnitudes } = oracle.rope(x.values, { R: B * H, T, D: 2 * half }, base, first);
        const within = (i: number): number => 4 * u * (magnitudes[i] as number) + FLUSHED;
        expectClose('rope', y, x.shape, values, within);
      },
    }));

  it('T-17.1 positions in the thousands keep their accuracy', () =>
    checkProperty(gpu, {
      cases: fc.record({ first: fc.constantFrom(2047, 4000, 4095), x: recipes('subnormal') }),
      count: 12,
      data: ({ x }) => ({ x: expand('x', x, [1, 2, 3, 128]) }),
      run: ({ x }, { first }) => [rope(x, ropeTable(gpu, first + 3, 128, 10_000), first)],
      judge: ([y], { x }, { first }) => {
        const { values, magnitudes } = oracle.rope(x.values, { R: 2, T: 3, D: 128 }, 10_000, first);
        expectClose('rope', y, x.shape, values, (i) => 4 * u * (magnitudes[i] as number));
      },
    }));

  it('T-17.1 position 0 changes no bit, and lengths of pairs stay', () =>
    checkProperty(gpu, {
      cases: fc.record({ half: lengths(33, 1), x: recipes('subnormal') }),
      count: 60,
      data: ({ half, x }) => ({ x: expand('x', x, [1, 1, 9, 2 * half]) }),
      run: ({ x }, { half }) => [rope(x, ropeTable(gpu, 9, 2 * half, 10_000), 0)],
      judge: ([y], { x }, { half }) => {
        const first = { values: y.values.subarray(0, 2 * half).map((value) => value + 0), shape: [2 * half] };
        expectBits('position 0', first, [2 * half], x.values.subarray(0, 2 * half));
        const lengthsOf = (values: Float32Array): Float64Array =>
          Float64Array.from(values, (value, i) =>
            Math.hypot(value, values[i % (2 * half) < half ? i + half : i - half] as number),
          );
        const expected = lengthsOf(x.values);
        const got = { values: lengthsOf(y.values), shape: y.shape };
        expectClose('length of a pair', got, x.shape, expected, (i) => 8 * u * (expected[i] as number));
      },
    }));

  it('T-17.1 P-70 products of turned rows depend on their distance only, and turning twice is turning by the sum', () =>
    checkProperty(gpu, {
      cases: fc.record({
        half: lengths(17, 1),
        i: lengths(65),
        j: lengths(65),
        shift: lengths(65, 1),
        base: fc.constantFrom(10_000, 500_000, 2),
        q: recipes('huge', 'subnormal'),
        k: recipes('huge', 'subnormal'),
      }),
      data: ({ half, q, k }) => ({
        q: expand('q', q, [1, 1, 1, 2 * half]),
        k: expand('k', k, [1, 1, 1, 2 * half]),
      }),
      run: ({ q, k }, { half, i, j, shift, base }) => {
        const table = ropeTable(gpu, 131, 2 * half, base);
        const near = [rope(q, table, i), rope(k, table, j)] as const;
        const far = [rope(q, table, i + shift), rope(k, table, j + shift)] as const;
        return [...near, ...far, rope(near[0], table, shift), rope(q, table, 0)];
      },
      judge: ([nearQ, nearK, farQ, farK, twice, unturned], { q, k }, { i, j, shift }) => {
        // An angle is rounded once, by u of itself; a turn once or twice in each product and once in the sum.
        const angles = i + j + 2 * shift;
        const bound = (2 * angles + 24) * u * norm(q.values) * norm(k.values) + FLUSHED;
        const expected = [dot(nearQ.values, nearK.values)];
        const got = { values: [dot(farQ.values, farK.values)], shape: [1] };
        expectClose('product of turned rows', got, [1], expected, () => bound);
        const within = (2 * angles + 24) * u * norm(q.values) + FLUSHED;
        expectClose('turned twice', twice, farQ.shape, farQ.values, () => within);
        const kept = { values: [norm(farQ.values)], shape: [1] };
        expectClose('norm', kept, [1], [norm(q.values)], () => 8 * u * norm(q.values) + FLUSHED);
        const zeroless = { ...unturned, values: unturned.values.map((value) => value + 0) };
        expectBits(
          'position 0',
          zeroless,
          q.shape,
          q.values.map((value) => value + 0),
        );
      },
    }));

  it('T-17.1 a longer table gives the same bits', () =>
    checkProperty(gpu, {
      cases,
      count: 40,
      data: ({ B, H, T, half, x }) => ({ x: expand('x', x, [B, H, T, 2 * half]) }),
      run: ({ x }, { T, half, first, base }) => [
        rope(x, ropeTable(gpu, first + T, 2 * half, base), first),
        rope(x, ropeTable(gpu, first + T + 50, 2 * half, base), first),
      ],
      judge: ([y, z]) => expectBits('rope', z, y.shape, y.values),
    }));

  it('T-17.3 a factor divides the positions, to the bit of f32', () =>
    checkProperty(gpu, {
      cases: fc.record({
        T: lengths(9),
        half: lengths(17, 1),
        first: lengths(4095),
        factor: fc.constantFrom(1, 1.5, 2, 2.5, 3, 8, 4096),
        base: fc.constantFrom(10_000, 2),
        x: recipes(),
      }),
      data: ({ T, half, x }) => ({ x: expand('x', x, [1, 2, T, 2 * half]) }),
      run: ({ x }, { T, half, first, base, factor }) => [
        rope(x, ropeTable(gpu, first + T, 2 * half, base, factor), first),
      ],
      judge: ([y], { x }, { T, half, first, base, factor }) => {
        const sizes = { R: 2, T, D: 2 * half };
        const { values, magnitudes } = oracle.rope(x.values, sizes, base, first, factor);
        expectClose('rope', y, x.shape, values, (i) => 4 * u * (magnitudes[i] as number) + FLUSHED);
      },
    }));

  it('T-17.3 position 2p of a table with factor 2 is position p of one without', () =>
    checkProperty(gpu, {
      cases: fc.record({ half: lengths(17, 1), p: lengths(65), x: recipes() }),
      count: 60,
      data: ({ half, x }) => ({ x: expand('x', x, [1, 2, 1, 2 * half]) }),
      run: ({ x }, { half, p }) => [
        rope(x, ropeTable(gpu, 2 * p + 1, 2 * half, 10_000, 2), 2 * p),
        rope(x, ropeTable(gpu, p + 1, 2 * half, 10_000), p),
      ],
      judge: ([y, z]) => expectBits('rope', z, y.shape, y.values),
    }));

  it('T-17.3 a factor below 1, or none that is finite, is rejected', () =>
    tidy(gpu, () => {
      for (const factor of [1, 1.5, 4096]) expectAccepted(gpu, () => ropeTable(gpu, 10, 8, 10_000, factor));
      for (const factor of [0.5, 0, -2, Number.NaN, Number.POSITIVE_INFINITY])
        expectRejected(gpu, RangeError, () => ropeTable(gpu, 10, 8, 10_000, factor));
    }));

  it('T-17.2 positions that the table does not hold are rejected', () =>
    tidy(gpu, () => {
      const [x, table] = [zeros(1, 2, 3, 8), ropeTable(gpu, 10, 8, 10_000)];
      for (const first of [0, 1, 7]) expectAccepted(gpu, () => rope(x, table, first));
      for (const first of [8, 10, -1, 0.5, Number.NaN])
        expectRejected(gpu, RangeError, () => rope(x, table, first));
    }));

  it('T-17.1 heads of another size, and other than four axes, are rejected', () =>
    tidy(gpu, () => {
      const table = ropeTable(gpu, 10, 8, 10_000);
      expectAccepted(gpu, () => rope(zeros(1, 2, 3, 8), table, 0));
      for (const x of [
        zeros(1, 2, 3, 6),
        zeros(1, 2, 3, 10),
        zeros(1, 2, 3, 4),
        zeros(2, 3, 8),
        zeros(1, 1, 2, 3, 8),
      ])
        expectRejected(gpu, ShapeError, () => rope(x, table, 0));
    }));

  it('T-17.1 an odd head size, and a number of positions that is not a count, are rejected', () =>
    tidy(gpu, () => {
      expectAccepted(gpu, () => ropeTable(gpu, 10, 8, 10_000));
      for (const headSize of [7, -2, 2.5, Number.NaN])
        expectRejected(gpu, RangeError, () => ropeTable(gpu, 10, headSize, 10_000));
      for (const positions of [-1, 1.5, Number.NaN])
        expectRejected(gpu, RangeError, () => ropeTable(gpu, positions, 8, 10_000));
    }));
});

function dot(x: Float32Array, y: Float32Array): number {
  return x.reduce((sum, value, d) => sum + value * (y[d] as number), 0);
}

function norm(x: Float32Array): number {
  return Math.sqrt(dot(x, x));
}
