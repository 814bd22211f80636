import fc from 'fast-check';
import { describe, it } from 'vitest';
import {
  type Gpu,
  layerNorm,
  normalizeRows,
  rmsNorm,
  ShapeError,
  type Tensor,
  tensor,
  tidy,
} from '../../../src/tensor/index.ts';
import * as oracle from '../../oracle/normalize.ts';
import { normTolerance } from '../../support/bounds.ts';
import { expectBits, expectClose, FLUSHED, u } from '../../support/closeness.ts';
import { bothGpus } from '../../support/gpu.ts';
import { checkProperty } from '../../support/property.ts';
import { exactRecipes, expand, type Host, lengths, recipes } from '../../support/recipe.ts';
import { expectAccepted, expectRejected } from '../../support/rejections.ts';

const gpus = await bothGpus();
const zerosOn =
  (gpu: Gpu) =>
  (...shape: number[]): Tensor =>
    tensor(gpu, new Float32Array(shape.reduce((x, y) => x * y, 1)), shape);
const epsilons = fc.constantFrom(1e-5, 1e-6, 1e-12, 0.1);
const EPS = 1e-12; // far below the variance of a row of different whole numbers
type FourTensors = [Tensor, Tensor, Tensor, Tensor];

/** Powers of two from 2^−3 to 2^3, of either sign: they divide without rounding. */
function powersOfTwo(seed: number, count: number): Host<Float32Array> {
  const { values, shape } = expand('powers', { dist: 'grid', seed, exp: 7 }, [count]);
  return { values: values.map((q) => (q < 0 ? -1 : 1) * 2 ** ((Math.abs(q) % 7) - 3)), shape };
}

/** Cancellation in x − μ leaves an error of the order of u · mean|x| / σ in every element, and its square in σ. */
function layerNormWithin(
  x: Host<Float32Array>,
  weight: Float32Array,
  bias: Float32Array,
  eps: number,
  expected: Float64Array,
  C: number,
): (i: number) => number {
  return (i) => {
    const row = Math.floor(i / C);
    const { mean, meanMagnitude, deviation } = oracle.moments(x.values, row, C, eps);
    const standard = Math.abs((x.values[i] as number) - mean) / deviation;
    const c = (16 + 2 * Math.sqrt(C)) * u;
    const lost = (c * meanMagnitude) / deviation;
    const w = Math.abs(weight[i % C] as number);
    return (
      w * (lost + standard * (lost * lost + c) + FLUSHED / deviation) +
      2 * u * (Math.abs(bias[i % C] as number) + Math.abs(expected[i] as number)) +
      FLUSHED
    );
  };
}

describe.each(gpus)('T-10 layer norm, by %s', (_, gpu) => {
  const zeros = zerosOn(gpu);
  const cases = fc.record({
    rows: lengths(17),
    columns: lengths(577),
    x: recipes(),
    weight: recipes('huge', 'subnormal'),
    bias: recipes('huge', 'subnormal'),
    eps: epsilons,
  });

  it('T-10.1 layerNorm gives (x − μ) / √(σ² + ε) · weight + bias, σ² biased and of centred values', () =>
    checkProperty(gpu, {
      cases,
      count: 250,
      data: ({ rows, columns, x, weight, bias }) => ({
        x: expand('x', x, [rows, columns]),
        weight: expand('w', weight, [columns]),
        bias: expand('b', bias, [columns]),
      }),
      run: ({ x, weight, bias }, { eps }) => [layerNorm(x, { weight, bias }, eps)],
      judge: ([y], { x, weight, bias }, { rows: R, columns: C, eps }) => {
        const expected = oracle.layerNorm(x.values, weight.values, bias.values, eps, { R, C });
        const within = layerNormWithin(x, weight.values, bias.values, eps, expected, C);
        expectClose('layerNorm', y, x.shape, expected, within);
      },
    }));

  it('T-10.1 a constant row becomes the bias, ε decides how far a small variance is stretched', () =>
    checkProperty(gpu, {
      cases: fc.record({ columns: lengths(257, 2), seed: fc.integer({ min: 0, max: 99 }), eps: epsilons }),
      data: ({ columns, seed }) => {
        const values = new Float32Array(2 * columns).fill(3);
        for (let i = 0; i < columns; i++) values[i] = i % 2 === 0 ? 2 ** -10 : -(2 ** -10);
        return {
          x: { values, shape: [2, columns] },
          weight: { values: new Float32Array(columns).fill(1), shape: [columns] },
          bias: expand('b', { dist: 'grid', seed, exp: 0 }, [columns]),
        };
      },
      run: ({ x, weight, bias }, { eps }) => [layerNorm(x, { weight, bias }, eps)],
      judge: ([y], { x, weight, bias }, { columns: C, eps }) => {
        const expected = oracle.layerNorm(x.values, weight.values, bias.values, eps, { R: 2, C });
        const within = (): number => 2e-6 * Math.max(1, 2 ** -10 / Math.sqrt(eps));
        expectClose('layerNorm of small variance', y, x.shape, expected, within);
        const constant = { values: y.values.subarray(C), shape: [C] };
        expectBits('layerNorm of a constant row', constant, [C], bias.values);
      },
    }));

  it('T-10.1 P-14 a constant or a power of two on all of a row changes nothing, a constant row is the bias', () =>
    checkProperty(gpu, {
      cases: fc.record({
        rows: lengths(9),
        columns: lengths(257, 2),
        x: exactRecipes(fc.constant(7)),
        weight: recipes('huge', 'subnormal'),
        bias: recipes('huge', 'subnormal'),
        shift: fc.integer({ min: -1000, max: 1000 }),
        exp: fc.integer({ min: 1, max: 12 }),
      }),
      data: ({ rows, columns, x: drawn, weight, bias, shift, exp }) => {
        const x = expand('x', drawn, [rows, columns]);
        return {
          x,
          shifted: { ...x, values: x.values.map((value) => value + shift) },
          scaled: { ...x, values: x.values.map((value) => value * 2 ** exp) },
          constant: { values: new Float32Array(columns).fill(shift), shape: [columns] },
          weight: expand('w', weight, [columns]),
          bias: expand('b', bias, [columns]),
        };
      },
      run: ({ x, shifted, scaled, constant, weight, bias }) =>
        [x, shifted, scaled, constant].map((one) => layerNorm(one, { weight, bias }, EPS)) as FourTensors,
      judge: ([y, ofShifted, ofScaled, ofConstant], { x, shifted, scaled, weight, bias }, { columns: C }) => {
        const R = x.shape[0] as number;
        const bound = (one: Host<Float32Array>): ((i: number) => number) => {
          const expected = oracle.layerNorm(one.values, weight.values, bias.values, EPS, { R, C });
          return layerNormWithin(one, weight.values, bias.values, EPS, expected, C);
        };
        const own = bound(x);
        const [shiftedBound, scaledBound] = [bound(shifted), bound(scaled)];
        expectClose('layerNorm of x + c', ofShifted, y.shape, y.values, (i) => own(i) + shiftedBound(i));
        expectClose('layerNorm of 2ⁿ x', ofScaled, y.shape, y.values, (i) => own(i) + scaledBound(i));
        expectBits('layerNorm of a constant row', ofConstant, [C], bias.values);
      },
    }));

  it('T-10.1 P-15 without its weight and bias a row has mean 0 and variance σ² / (σ² + ε)', () =>
    checkProperty(gpu, {
      cases: fc.record({
        rows: lengths(9),
        columns: lengths(257, 1),
        x: recipes(),
        weight: fc.integer({ min: 0, max: 9999 }),
        bias: recipes('huge', 'subnormal'),
        eps: epsilons,
      }),
      data: ({ rows, columns, x, weight, bias }) => ({
        x: expand('x', x, [rows, columns]),
        weight: powersOfTwo(weight, columns),
        bias: expand('b', bias, [columns]),
      }),
      run: ({ x, weight, bias }, { eps }) => [layerNorm(x, { weight, bias }, eps)],
      judge: ([y], { x, weight, bias }, { rows: R, columns: C, eps }) => {
        const expected = oracle.layerNorm(x.values, weight.values, bias.values, eps, { R, C });
        const within = layerNormWithin(x, weight.values, bias.values, eps, expected, C);
        for (let row = 0; row < R; row++) {
          const { deviation } = oracle.moments(x.values, row, C, eps);
          const sums = { mean: 0, meanBound: 0, variance: 0, varianceBound: 0 };
          for (let i = row * C; i < (row + 1) * C; i++) {
            const w = weight.values[i % C] as number;
            const z = ((y.values[i] as number) - (bias.values[i % C] as number)) / w;
            const bound = within(i) / Math.abs(w);
            sums.mean += z / C;
            sums.meanBound += bound / C;
            sums.variance += (z * z) / C;
            sums.varianceBound += (2 * Math.abs(z) * bound + bound * bound) / C;
          }
          const share = 1 - eps / deviation ** 2;
          const got = { values: [sums.mean, sums.variance], shape: [2] };
          const bounds = [sums.meanBound, sums.varianceBound + 4 * u];
          expectClose('mean and variance', got, [2], [0, share], (i) => bounds[i] as number);
        }
      },
    }));

  it('T-10.1 P-17 a row of variance v is stretched to √(v / (v + ε))', () =>
    checkProperty(gpu, {
      cases: fc.record({
        pairs: lengths(129, 1),
        exp: fc.integer({ min: -20, max: 3 }), // of √v
        mean: fc.constantFrom(0, 1, -8),
        eps: epsilons,
      }),
      data: ({ pairs, exp, mean }) => ({
        x: {
          values: Float32Array.from(
            { length: 2 * pairs },
            (_, i) => mean + (i % 2 === 0 ? 1 : -1) * 2 ** exp,
          ),
          shape: [2 * pairs],
        },
        one: { values: new Float32Array(2 * pairs).fill(1), shape: [2 * pairs] },
        zero: { values: new Float32Array(2 * pairs), shape: [2 * pairs] },
      }),
      run: ({ x, one, zero }, { eps }) => [layerNorm(x, { weight: one, bias: zero }, eps)],
      judge: ([y], { x, one, zero }, { pairs, exp, eps }) => {
        const v = 4 ** exp;
        const expected = Float64Array.from(
          y.values,
          (_, i) => (i % 2 === 0 ? 1 : -1) * Math.sqrt(v / (v + eps)),
        );
        const within = layerNormWithin(x, one.values, zero.values, eps, expected, 2 * pairs);
        expectClose('√(v / (v + ε))', y, x.shape, expected, within);
      },
    }));

  it('T-10.1 powers of two pass through weight and bias exactly', () =>
    checkProperty(gpu, {
      cases: fc.record({
        rows: lengths(9),
        columns: lengths(129),
        x: recipes('subnormal'),
        exp: fc.integer({ min: -8, max: 8 }),
      }),
      count: 50,
      data: ({ rows, columns, x, exp }) => ({
        x: expand('x', x, [rows, columns]),
        one: { values: new Float32Array(columns).fill(1), shape: [columns] },
        weight: { values: new Float32Array(columns).fill(2 ** exp), shape: [columns] },
        bias: { values: new Float32Array(columns), shape: [columns] },
      }),
      run: ({ x, one, weight, bias }) => [
        layerNorm(x, { weight: one, bias }, 1e-5),
        layerNorm(x, { weight, bias }, 1e-5),
      ],
      judge: ([y, scaled], _, { exp }) =>
        expectBits(
          'scaled layerNorm',
          scaled,
          y.shape,
          y.values.map((value) => value * 2 ** exp),
        ),
    }));

  it('T-10.1 weights or bias of another length are rejected', () =>
    tidy(gpu, () => {
      const [x, weight, bias] = [zeros(2, 3), zeros(3), zeros(3)];
      expectAccepted(gpu, () => layerNorm(x, { weight, bias }, 1e-5));
      for (const other of [zeros(2), zeros(4), zeros(1), zeros(1, 3), zeros()]) {
        expectRejected(gpu, ShapeError, () => layerNorm(x, { weight: other, bias }, 1e-5));
        expectRejected(gpu, ShapeError, () => layerNorm(x, { weight, bias: other }, 1e-5));
      }
      const scalar = zeros();
      expectRejected(gpu, ShapeError, () => layerNorm(scalar, { weight, bias }, 1e-5));
    }));
});

describe.each(gpus)('T-10 RMS norm, by %s', (_, gpu) => {
  const zeros = zerosOn(gpu);
  it('T-10.2 rmsNorm gives x / √(mean x² + ε) · weight', () =>
    checkProperty(gpu, {
      cases: fc.record({
        rows: lengths(17),
        columns: lengths(577),
        x: recipes(),
        weight: recipes('huge', 'subnormal'),
        eps: epsilons,
      }),
      count: 250,
      data: ({ rows, columns, x, weight }) => ({
        x: expand('x', x, [rows, columns]),
        weight: expand('w', weight, [columns]),
      }),
      run: ({ x, weight }, { eps }) => [rmsNorm(x, weight, eps)],
      judge: ([y], { x, weight }, { rows: R, columns: C, eps }) => {
        const expected = oracle.rmsNorm(x.values, weight.values, eps, { R, C });
        const within = (i: number): number =>
          normTolerance(C, expected[i] as number) +
          (Math.abs(x.values[i] as number) < FLUSHED ? Math.abs(expected[i] as number) : 0);
        expectClose('rmsNorm', y, x.shape, expected, within);
      },
    }));

  it('T-10.2 P-16 −x gives the negative, to the bit; 2ⁿ x the same; a shift does not pass unseen', () =>
    checkProperty(gpu, {
      cases: fc.record({
        columns: lengths(257, 2),
        x: recipes('huge', 'subnormal'),
        weight: recipes('huge', 'subnormal', 'zero_rows'),
        exp: fc.integer({ min: -12, max: 12 }),
      }),
      data: ({ columns, x: drawn, weight, exp }) => {
        const x = expand('x', drawn, [columns]);
        return {
          x,
          minus: { ...x, values: x.values.map((value) => -value) },
          scaled: { ...x, values: x.values.map((value) => value * 2 ** exp) },
          shifted: { ...x, values: x.values.map((value) => value + 4) },
          weight: expand('w', weight, [columns]),
        };
      },
      run: ({ x, minus, scaled, shifted, weight }) =>
        [x, minus, scaled, shifted].map((one) => rmsNorm(one, weight, 1e-30)) as FourTensors,
      judge: ([y, minus, scaled, shifted], _, { columns: C, x, weight }) => {
        const negative = y.values.map((value) => -value);
        expectBits('rmsNorm of −x', minus, y.shape, negative);
        expectClose(
          'rmsNorm of 2ⁿ x',
          scaled,
          y.shape,
          y.values,
          (i) => 2 * normTolerance(C, y.values[i] as number),
        );
        const isUneven = x.dist === 'grid' && weight.dist !== 'one_hot';
        if (isUneven && y.values.every((value, i) => value === shifted.values[i]))
          throw new Error('expected a shift to show');
      },
    }));

  it('T-10.2 a weight of another length is rejected', () =>
    tidy(gpu, () => {
      const x = zeros(2, 3);
      expectAccepted(gpu, () => rmsNorm(x, zeros(3), 1e-5));
      for (const other of [zeros(2), zeros(4), zeros(1), zeros(1, 3), zeros()])
        expectRejected(gpu, ShapeError, () => rmsNorm(x, other, 1e-5));
    }));
});

describe.each(gpus)('T-10 rows of length 1, by %s', (_, gpu) => {
  const zeros = zerosOn(gpu);
  it('T-10.3 normalizeRows divides a row by its L2 norm, a row of zeros stays zero', () =>
    checkProperty(gpu, {
      cases: fc.record({ rows: lengths(33), columns: lengths(577), x: recipes('subnormal') }),
      count: 250,
      data: ({ rows, columns, x }) => ({ x: expand('x', x, [rows, columns]) }),
      run: ({ x }) => [normalizeRows(x)],
      judge: ([y], { x }, { rows: R, columns: C }) => {
        const expected = oracle.normalizeRows(x.values, { R, C });
        expectClose('normalizeRows', y, x.shape, expected, (i) => normTolerance(C, expected[i] as number));
        if (x.values.every((value) => value === 0))
          expectBits('a row of zeros', y, x.shape, new Float32Array(R * C));
      },
    }));

  it('T-10.3 a power of two in front of a row changes no bit; there is no epsilon', () =>
    checkProperty(gpu, {
      cases: fc.record({
        columns: lengths(257),
        seed: fc.integer({ min: 0, max: 99 }),
        exp: fc.integer({ min: -40, max: 40 }),
      }),
      count: 100,
      data: ({ columns, seed, exp }) => ({
        x: expand('x', { dist: 'grid', seed, exp: 0 }, [3, columns]),
        scaled: expand('x', { dist: 'grid', seed, exp }, [3, columns]),
      }),
      run: ({ x, scaled }) => [normalizeRows(x), normalizeRows(scaled)],
      judge: ([y, scaled]) => expectBits('normalizeRows of 2ⁿ x', scaled, y.shape, y.values),
    }));

  it('T-10.3 a tensor without axes is rejected', () =>
    tidy(gpu, () => {
      expectAccepted(gpu, () => normalizeRows(zeros(1)));
      const scalar = zeros();
      expectRejected(gpu, ShapeError, () => normalizeRows(scalar));
    }));
});
