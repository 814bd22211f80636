import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addRows,
  causalSoftmax,
  dispose,
  reshape,
  ShapeError,
  slice,
  softmax,
  tensor,
  tidy,
} from '../../../src/tensor/index.ts';
import * as oracle from '../../oracle/softmax.ts';
import { softmaxTolerance } from '../../support/bounds.ts';
import { expectBits, expectClose, u } from '../../support/closeness.ts';
import { bothGpus } from '../../support/gpu.ts';
import { checkProperty } from '../../support/property.ts';
import { expand, lengths, type Recipe, recipes } from '../../support/recipe.ts';
import { expectAccepted, expectRejected } from '../../support/rejections.ts';

const gpus = await bothGpus();
const rowCases = fc.record({ rows: lengths(17), columns: lengths(577), x: recipes() });

/** T-8.1's absolute bound and the finer one of docs/numerics.md, whichever is smaller. */
function within(x: ArrayLike<number>, p: Float64Array, L: number): (i: number) => number {
  const largest = new Map<number, number>();
  for (let i = 0; i < p.length; i++) {
    const row = Math.floor(i / L);
    if ((p[i] as number) > 0) largest.set(row, Math.max(largest.get(row) ?? -Infinity, x[i] as number));
  }
  return (i) => {
    const d = (largest.get(Math.floor(i / L)) as number) - (x[i] as number);
    return Math.min(4e-6, softmaxTolerance(L, p[i] as number, d));
  };
}

function expectRowsToSumTo1(values: Float32Array, L: number): void {
  for (let first = 0; first < values.length; first += L) {
    const row = values.subarray(first, first + L);
    const sum = row.reduce((total, p) => total + p, 0);
    if (!(Math.abs(sum - 1) <= 1e-5))
      throw new Error(`expected rows that sum to 1, got ${sum} in row ${first / L}`);
    // 1 is e⁰ / e⁰, a division with an error of 2.5 ulp.
    if (!row.every((p) => p >= 0 && p <= 1 + 5 * u))
      throw new Error(`expected shares from 0 to 1, got another one in row ${first / L}`);
  }
}

describe.each(gpus)('T-8 softmax, by %s', (_, gpu) => {
  it('T-8.1 P-10 softmax gives exp(x[i] − max x) / Σⱼ exp(x[j] − max x): shares that sum to 1', () =>
    checkProperty(gpu, {
      cases: rowCases,
      count: 250,
      data: ({ rows, columns, x }) => ({ x: expand('x', x, [rows, columns]) }),
      run: ({ x }) => [softmax(x)],
      judge: ([y], { x }, { rows: R, columns: L }) => {
        const p = oracle.softmax(x.values, { R, L });
        expectClose('softmax', y, x.shape, p, within(x.values, p, L));
        if (L > 0) expectRowsToSumTo1(y.values, L);
      },
    }));

  it('T-8.1 rows are those of the last axis, whatever stands before it', () =>
    checkProperty(gpu, {
      cases: fc.constantFrom([5], [1, 5], [2, 3, 5], [2, 1, 3, 5]),
      count: 20,
      data: (shape) => ({ x: expand('x', { dist: 'grid', seed: 1, exp: 2 }, shape) }),
      run: ({ x }) => [softmax(x)],
      judge: ([y], { x }) => {
        const p = oracle.softmax(x.values, { R: x.values.length / 5, L: 5 });
        expectClose('softmax', y, x.shape, p, within(x.values, p, 5));
      },
    }));

  it('T-8.1 P-9 a constant added to a row changes nothing, to the bit on the grid', () =>
    checkProperty(gpu, {
      cases: fc.record({
        rows: lengths(9),
        columns: lengths(257, 1),
        seed: fc.integer({ min: 0, max: 99 }),
        shift: fc.integer({ min: -1000, max: 1000 }),
      }),
      data: ({ rows, columns, seed, shift }) => ({
        x: expand('x', { dist: 'grid', seed, exp: 2 }, [rows, columns]),
        shift: { values: new Float32Array(columns).fill(shift), shape: [columns] },
      }),
      run: ({ x, shift }) => [softmax(x), softmax(addRows(x, shift))],
      judge: ([y, shifted]) => expectBits('softmax of a shifted row', shifted, y.shape, y.values),
    }));

  it('T-8.1 P-11 equal elements get equal shares, larger ones no smaller shares', () =>
    checkProperty(gpu, {
      cases: fc.record({ columns: lengths(257, 1), x: recipes('subnormal') }),
      data: ({ columns, x }) => ({ x: expand('x', x, [columns]) }),
      run: ({ x }) => [softmax(x)],
      judge: ([y], { x }) => {
        const places = Array.from(x.values.keys()).sort(
          (i, j) => (x.values[i] as number) - (x.values[j] as number),
        );
        for (let n = 1; n < places.length; n++) {
          const [low, high] = [places[n - 1] as number, places[n] as number];
          const [p, q] = [y.values[low] as number, y.values[high] as number];
          const ordered = x.values[low] === x.values[high] ? p === q : q >= p * (1 - 2 ** -22);
          if (!ordered)
            throw new Error(`expected shares in the order of [${low}] and [${high}], got ${p} and ${q}`);
        }
      },
    }));

  it('T-8.1 P-9 a constant added to a row changes shares as far as the sums are rounded', () =>
    checkProperty(gpu, {
      cases: fc.record({
        rows: lengths(9),
        columns: lengths(257, 1),
        x: recipes('huge'),
        shift: fc.constantFrom(-1000, -7.3, -1 / 3, 1e-3, 0.1, 64, 777.7),
      }),
      data: ({ rows, columns, x, shift }) => ({
        x: expand('x', x, [rows, columns]),
        shift: { values: new Float32Array(columns).fill(shift), shape: [columns] },
      }),
      run: ({ x, shift }) => [softmax(x), softmax(addRows(x, shift))],
      judge: ([y, shifted], { x, shift }, { rows: R, columns: L }) => {
        const p = oracle.softmax(x.values, { R, L });
        const own = within(x.values, p, L);
        const size = x.values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
        const moved = u * (size + Math.abs(shift.values[0] as number));
        expectClose('softmax of a shifted row', shifted, y.shape, y.values, (i) => {
          return (p[i] as number) * Math.expm1(2 * moved) + 2 * (1 + 2 * moved) * own(i);
        });
      },
    }));

  it('T-8.1 P-13 numbers of ±10,000 give shares, and n equal ones 1/n each', () =>
    checkProperty(gpu, {
      cases: fc.record({
        rows: lengths(5, 1),
        columns: lengths(577, 1),
        signs: recipes(),
        equal: fc.constantFrom(-1e4, -1, -0, 1 / 3, 1e4),
      }),
      data: ({ rows, columns, signs, equal }) => {
        const x = expand('x', signs, [rows, columns]);
        return {
          x: { ...x, values: x.values.map((value) => 1e4 * Math.sign(value)) },
          equal: { values: new Float32Array(columns).fill(equal), shape: [columns] },
        };
      },
      run: ({ x, equal }) => [softmax(x), softmax(equal)],
      judge: ([y, shares], { x }, { rows: R, columns: L }) => {
        const p = oracle.softmax(x.values, { R, L });
        expectClose('softmax of ±10,000', y, x.shape, p, within(x.values, p, L));
        // 1/n is one division, with an error of 2.5 ulp.
        expectClose('equal shares', shares, [L], new Float64Array(L).fill(1 / L), () => (5 * u) / L);
      },
    }));

  it('T-8.1 a tensor without axes is rejected', () =>
    tidy(gpu, () => {
      expectAccepted(gpu, () => softmax(tensor(gpu, new Float32Array(1), [1])));
      const scalar = tensor(gpu, new Float32Array(1), []);
      expectRejected(gpu, ShapeError, () => softmax(scalar));
    }));
});

interface CausalCase {
  readonly R: number;
  readonly T: number;
  readonly earlier: number; // keys before the first query
  readonly x: Recipe;
}

describe.each(gpus)('T-8 causal softmax, by %s', (_, gpu) => {
  const cases: fc.Arbitrary<CausalCase> = fc.oneof(
    fc.record({ R: lengths(4), T: lengths(17), earlier: lengths(65), x: recipes() }),
    fc.record({ R: fc.constant(1), T: lengths(65), earlier: lengths(2), x: recipes() }),
    fc.record({ R: lengths(3), T: fc.constant(1), earlier: lengths(577), x: recipes() }),
  );

  it('T-8.2 causalSoftmax is the softmax of the first L − T + t + 1 entries of row t, exactly 0 behind them', () =>
    checkProperty(gpu, {
      cases,
      count: 250,
      data: ({ R, T, earlier, x }) => ({ scores: expand('x', x, [R, T, earlier + T]) }),
      run: ({ scores }) => [causalSoftmax(scores)],
      judge: ([y], { scores }, { R, T, earlier }) => {
        const L = earlier + T;
        const p = oracle.causalSoftmax(scores.values, { R, T, L });
        expectClose('causalSoftmax', y, [R, T, L], p, within(scores.values, p, L));
        expectRowsToSumTo1(y.values, L);
        for (let row = 0; row < R * T; row++) {
          const hidden = y.values.subarray(row * L + earlier + (row % T) + 1, (row + 1) * L);
          if (hidden.some((p) => p !== 0))
            throw new Error(`expected zeros behind the diagonal, row ${row}: ${hidden}`);
        }
      },
    }));

  it('T-8.2 what stands behind the diagonal has no influence', () =>
    checkProperty(gpu, {
      cases,
      data: ({ R, T, earlier, x }) => {
        const L = earlier + T;
        const scores = expand('x', x, [R, T, L]);
        const seen = (i: number): boolean => i % L <= earlier + (Math.floor(i / L) % T);
        return { scores, other: { ...scores, values: scores.values.map((s, i) => (seen(i) ? s : 3e38)) } };
      },
      run: ({ scores, other }) => [causalSoftmax(scores), causalSoftmax(other)],
      judge: ([y, z]) => expectBits('causalSoftmax', z, y.shape, y.values),
    }));

  it('T-8.2 P-12 a row is the softmax of what it sees, to the bit, and exactly 0 behind', () =>
    checkProperty(gpu, {
      cases: fc.record({
        T: lengths(33, 1),
        earlier: lengths(257),
        row: fc.integer({ min: 0, max: 32 }),
        x: recipes(),
      }),
      data: ({ T, earlier, x }) => ({ scores: expand('x', x, [T, earlier + T]) }),
      run: ({ scores }, { T, earlier, row }) => {
        const t = row % T;
        const seen = earlier + t + 1;
        const compact = slice(reshape(slice(scores, 0, t, t + 1), [earlier + T]), 0, 0, seen);
        return [slice(causalSoftmax(scores), 0, t, t + 1), softmax(compact)];
      },
      judge: ([whole, compact], _, { T, earlier }) => {
        const expected = new Float32Array(earlier + T);
        expected.set(compact.values);
        expectBits('a masked row', whole, [1, earlier + T], expected);
      },
    }));

  it('T-8.2 more queries than keys, or fewer than two axes, are rejected', () =>
    tidy(gpu, () => {
      const zeros = (...shape: number[]) =>
        tensor(gpu, new Float32Array(shape.reduce((x, y) => x * y, 1)), shape);
      for (const shape of [
        [2, 3],
        [3, 3],
        [2, 2, 3, 3],
      ])
        expectAccepted(gpu, () => causalSoftmax(zeros(...shape)));
      for (const scores of [zeros(4, 3), zeros(1, 4, 3), zeros(3), zeros()])
        expectRejected(gpu, ShapeError, () => causalSoftmax(scores));
    }));

  it('T-22.2 rows combine over a subgroup on software adapters with 8 lanes, in a tree elsewhere', () => {
    dispose(tidy(gpu, () => softmax(tensor(gpu, new Float32Array(4), [2, 2]))));
    const forms = [...gpu.commands.pipelines.keys()].filter(({ name }) => /^softmax/.test(name));
    const bySubgroup = gpu.adapter.software && gpu.subgroupSize === 8;
    expect(forms.map(({ code }) => code.includes('enable subgroups'))).toEqual([bySubgroup]);
  });
});
