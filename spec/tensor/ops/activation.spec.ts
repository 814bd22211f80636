import fc from 'fast-check';
import { describe, it } from 'vitest';
import {
  gatedSilu,
  gelu,
  quickGelu,
  ShapeError,
  silu,
  type Tensor,
  tensor,
  tidy,
} from '../../../src/tensor/index.ts';
import * as oracle from '../../oracle/activation.ts';
import { expectClose, FLUSHED, u } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import { checkProperty } from '../../support/property.ts';
import { expand, lengths, recipes } from '../../support/recipe.ts';
import { expectAccepted, expectRejected } from '../../support/rejections.ts';

const gpu = await testGpu();

interface Activation {
  readonly title: string;
  readonly label: string;
  readonly run: (x: Tensor) => Tensor;
  readonly expected: (x: ArrayLike<number>) => Float64Array;
  readonly bound: number;
  readonly lowest: number; // its least value
}

const activations: readonly Activation[] = [
  {
    title: 'T-6.1 gelu gives x/2 · (1 + erf(x/√2))',
    label: 'gelu',
    run: gelu,
    expected: oracle.gelu,
    bound: 5e-7,
    lowest: -0.1699712,
  },
  {
    title: 'T-6.2 quickGelu gives x / (1 + exp(−1.702 x))',
    label: 'quickGelu',
    run: quickGelu,
    expected: oracle.quickGelu,
    bound: 5e-7,
    lowest: -0.1636102,
  },
  {
    title: 'T-6.3 silu gives x / (1 + exp(−x))',
    label: 'silu',
    run: silu,
    expected: oracle.silu,
    bound: 5e-7,
    lowest: -0.2784645,
  },
];

describe('T-6 activations', () => {
  for (const { title, label, run, expected, bound } of activations) {
    it(title, () =>
      checkProperty(gpu, {
        cases: fc.record({ rows: lengths(17), columns: lengths(257), x: recipes() }),
        data: ({ rows, columns, x }) => ({ x: expand('x', x, [rows, columns]) }),
        run: ({ x }) => [run(x)],
        judge: ([y], { x }) => {
          const within = (i: number): number => bound * Math.max(1, Math.abs(x.values[i] as number));
          expectClose(label, y, x.shape, expected(x.values), within);
        },
      }),
    );

    it(`${title}, on a fine walk from −20 to 20 and far out`, () =>
      checkProperty(gpu, {
        cases: fc.constant(null),
        count: 1,
        data: () => ({ x: walk() }),
        run: ({ x }) => [run(x)],
        judge: ([y], { x }) => {
          const within = (i: number): number => bound * Math.max(1, Math.abs(x.values[i] as number));
          expectClose(label, y, x.shape, expected(x.values), within);
          // T-6 is loose far out, where these functions are x, or 0.
          const far = Array.from(x.values.keys()).filter((i) => Math.abs(x.values[i] as number) >= 20);
          const tails = { values: far.map((i) => y.values[i] as number), shape: [far.length] };
          const expectedTails = far.map((i) => Math.max(x.values[i] as number, 0));
          expectClose(`${label} far out`, tails, [far.length], expectedTails, (i) =>
            Math.max(8 * u * (expectedTails[i] as number), 1e-7),
          );
        },
      }));
  }

  for (const { title, label, run, lowest } of activations) {
    it(`${title}; P-18 f(x) − f(−x) = x, f(0) = 0, f(x) = x far out, and the least value is the known one`, () =>
      checkProperty(gpu, {
        cases: fc.record({ count: lengths(577), x: recipes(), from: fc.integer({ min: 0, max: 99 }) }),
        data: ({ count, x, from }) => {
          const positive = expand('x', x, [count]);
          const valley = Float32Array.from({ length: 300 }, (_, i) => -3 + (i + from / 100) / 100);
          return {
            x: positive,
            minus: { values: positive.values.map((value) => -value), shape: [count] },
            valley: { values: valley, shape: [300] },
            extremes: { values: Float32Array.of(0, -0, 20, 64, 1e4, 3e38), shape: [6] },
          };
        },
        run: ({ x, minus, valley, extremes }) => [run(x), run(minus), run(valley), run(extremes)],
        judge: ([y, yOfMinus, bottom, extremes], { x, extremes: at }) => {
          const difference = Float64Array.from(
            y.values,
            (value, i) => value - (yOfMinus.values[i] as number),
          );
          const got = { values: difference, shape: x.shape };
          expectClose(`${label}(x) − ${label}(−x)`, got, x.shape, x.values, (i) =>
            Math.max(FLUSHED, 4e-6 * Math.abs(x.values[i] as number)),
          );
          const within = (i: number): number => 8 * u * (at.values[i] as number);
          expectClose(`${label} of 0 and far out`, extremes, at.shape, at.values, within);
          const least = bottom.values.reduce((smaller, value) => Math.min(smaller, value));
          // Between steps of 0.01 the bottom lies no deeper than 3e-5.
          if (!(least >= lowest - 5e-7 && least <= lowest + 3e-5))
            throw new Error(`expected ${lowest} as the least value, got ${least}`);
        },
      }));
  }

  it('T-6.4 gatedSilu gives silu(x) · g', () =>
    checkProperty(gpu, {
      cases: fc.record({ rows: lengths(17), columns: lengths(257), x: recipes(), g: recipes() }),
      data: ({ rows, columns, x, g }) => ({
        x: expand('x', x, [rows, columns]),
        g: expand('g', g, [rows, columns]),
      }),
      run: ({ x, g }) => [gatedSilu(x, g)],
      judge: ([y], { x, g }) => {
        const silus = oracle.silu(x.values);
        const expected = silus.map((value, i) => value * (g.values[i] as number));
        const within = (i: number): number => {
          const gate = Math.abs(g.values[i] as number);
          const ofSilu = 5e-7 * Math.max(1, Math.abs(x.values[i] as number)) + FLUSHED;
          return ofSilu * gate + 2 * u * Math.abs(expected[i] as number) + FLUSHED;
        };
        expectClose('gatedSilu', y, x.shape, expected, within);
      },
    }));

  it('T-6.4 gatedSilu of different shapes is rejected', () =>
    tidy(gpu, () => {
      const zeros = (...shape: number[]): Tensor => tensor(gpu, new Float32Array(6), shape);
      const [x, same, other] = [zeros(2, 3), zeros(2, 3), zeros(3, 2)];
      expectAccepted(gpu, () => gatedSilu(x, same));
      expectRejected(gpu, ShapeError, () => gatedSilu(x, other));
    }));
});

function walk(): { values: Float32Array; shape: number[] } {
  const values = new Float32Array(4001 + 40);
  for (let i = 0; i <= 4000; i++) values[i] = (i - 2000) / 100;
  for (let i = 0; i < 20; i++) {
    values[4001 + 2 * i] = 20 * 1.8 ** i;
    values[4002 + 2 * i] = -20 * 1.8 ** i;
  }
  return { values, shape: [values.length] };
}
