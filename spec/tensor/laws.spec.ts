// What holds for every operation, whatever it computes: where it writes, what it may depend on, and that rows do not
// meet. SPEC T-3.

import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type AnyTensor,
  add,
  addRows,
  argmax,
  attentionProbs,
  causalSoftmax,
  complement,
  concat,
  dispose,
  type Gpu,
  gatherRows,
  gelu,
  groupMean,
  type IndexTensor,
  indexTensor,
  layerNorm,
  linear,
  matmul,
  matmulTransposed,
  meanAxis,
  multiply,
  normalizeRows,
  patches,
  permute,
  quickGelu,
  repeatRows,
  reshape,
  rmsNorm,
  scale,
  silu,
  slice,
  softmax,
  sumAxis,
  type Tensor,
  topKIndices,
  topTwoGap,
} from '../../src/tensor/index.ts';
import { wrap } from '../../src/tensor/tensor.ts';
import * as oracle from '../oracle/matmul.ts';
import { productTolerance } from '../support/bounds.ts';
import { expectBits, expectClose, expectExact, expectIndices } from '../support/closeness.ts';
import { portableGpu, testGpu } from '../support/gpu.ts';
import { checkProperty } from '../support/property.ts';
import { distinct, expand, isSystematic, lengths, recipes } from '../support/recipe.ts';

let gpu: Gpu;

interface Operands {
  readonly x: Tensor; //           [2, R, C]
  readonly y: Tensor; //           [2, R, C]
  readonly square: Tensor; //      [2, C, R]
  readonly row: Tensor; //         [C]
  readonly matrix: Tensor; //      [R, C]
  readonly places: IndexTensor; // [2, R]  each a permutation
  readonly half: IndexTensor; //   [2, ⌊R / 2⌋]
  readonly R: number;
  readonly C: number;
}

const operations = {
  add: ({ x, y }) => add(x, y),
  multiply: ({ x, y }) => multiply(x, y),
  scale: ({ x }) => scale(x, 1 / 3),
  addRows: ({ x, row }) => addRows(x, row),
  gelu: ({ x }) => gelu(x),
  quickGelu: ({ x }) => quickGelu(x),
  silu: ({ x }) => silu(x),
  matmul: ({ x, square }) => matmul(x, square),
  matmulTransposed: ({ x, y }) => matmulTransposed(x, y),
  linear: ({ x, matrix }) => linear(x, { weight: matrix }),
  softmax: ({ x }) => softmax(x),
  causalSoftmax: ({ x, R, C }) => causalSoftmax(R <= C ? x : permute(x, [0, 2, 1])),
  attentionProbs: ({ x, y, R, C }) => {
    const shape = [1, 2, R, C];
    return attentionProbs(reshape(x, shape), reshape(y, shape), { causal: true });
  },
  layerNorm: ({ x, row }) => layerNorm(x, { weight: row, bias: row }, 1e-5),
  rmsNorm: ({ x, row }) => rmsNorm(x, row, 1e-5),
  normalizeRows: ({ x }) => normalizeRows(x),
  sumAxis: ({ x }) => sumAxis(x, 1),
  meanAxis: ({ x }) => meanAxis(x, 0),
  argmax: ({ x }) => argmax(x),
  topTwoGap: ({ x }) => topTwoGap(x),
  topK: ({ matrix, C }) => topKIndices(matrix, Math.ceil(C / 2), 'position'),
  complement: ({ half, R }) => complement(half, R),
  gatherRows: ({ x, places }) => gatherRows(x, places),
  groupMean: ({ x, places, R }) => groupMean(x, places, R),
  permute: ({ x }) => permute(x, [1, 2, 0]),
  concat: ({ x, y }) => concat([x, y], 1),
  slice: ({ x, R }) => slice(x, 1, 0, Math.ceil(R / 2)),
  repeatRows: ({ matrix }) => repeatRows(matrix, 3),
  patches: ({ x, R, C }) => patches(reshape(x, [1, 2, R, C]), Math.min(2, R, C)),
} satisfies Readonly<Record<string, (operands: Operands) => AnyTensor>>;

type Name = keyof typeof operations;
const names = Object.keys(operations) as Name[];

/** Those whose invocations own four neighbours fill the last four, which are never read. */
const QUADS: readonly Name[] = ['add', 'multiply', 'scale', 'gelu', 'quickGelu', 'silu'];
/** Multiples of four, as tiled kernels ask, whose squares leave room in their buffers. */
const lengthsWithSlack = fc.constantFrom(12, 20, 28, 36, 44, 60);
const POISON = 0x7fc0beef; // a NaN
const ONE = 0x3f800000;

/** Buffers of a size, full of one word, lie on top of the pool afterwards. */
function fillPool(capacity: number, word: number): Set<number> {
  const words = new Uint32Array(capacity / 4).fill(word);
  const filled = Array.from({ length: 3 }, () => indexTensor(gpu, words, [words.length]));
  dispose(...filled);
  return new Set(filled.map(({ storage }) => storage.id));
}

describe.each([
  ['the fastest kernels here', testGpu],
  ['kernels for every adapter', portableGpu],
] as const)('T-3 laws of all operations, by %s', (_, open) => {
  beforeAll(async () => {
    gpu = await open();
  });

  it('T-3.3 P-6 P-7 the same inputs give the same bits on a poisoned buffer, and nothing behind them is touched', () =>
    checkProperty(gpu, {
      cases: fc.record({
        name: fc.constantFrom(...names),
        R: fc.oneof(lengths(65, 1), lengthsWithSlack),
        C: fc.oneof(lengths(68, 1), lengthsWithSlack),
        x: recipes(),
        y: recipes(),
        seed: fc.integer({ min: 0, max: 9999 }),
      }),
      count: 580, // 20 of each
      data: ({ R, C, x, y, seed }) => {
        const places = distinct('places', seed, 2, R, R);
        const half = distinct('half', seed, 2, Math.floor(R / 2), R);
        return {
          x: expand('x', x, [2, R, C]),
          y: expand('y', y, [2, R, C]),
          square: expand('square', y, [2, C, R]),
          row: expand('row', y, [C]),
          matrix: expand('matrix', x, [R, C]),
          places,
          half,
        };
      },
      run: (inputs, { name, R, C }) => {
        const probe = operations[name]({ ...inputs, R, C });
        const { capacity } = probe.storage;
        dispose(probe);
        fillPool(capacity, ONE);
        const first = operations[name]({ ...inputs, R, C });
        const poisoned = fillPool(capacity, POISON);
        const second = operations[name]({ ...inputs, R, C });
        expect(poisoned, `${name} on a poisoned buffer`).toContain(second.storage.id);
        return [first, wrap(gpu, 'u32', [second.storage.capacity / 4], second.storage)];
      },
      judge: ([first, words], _, { name }) => {
        const count = first.values.length;
        const again = { values: words.values.subarray(0, count), shape: first.shape };
        expectBits(`${name} again`, again, first.shape, first.values);
        const written = QUADS.includes(name) ? Math.ceil(count / 4) * 4 : count;
        const behind = words.values.subarray(written);
        const guard = { values: behind, shape: [behind.length] };
        expectBits(`behind ${name}`, guard, guard.shape, new Uint32Array(behind.length).fill(POISON));
      },
    }));

  it('T-3.3 P-8 a row alone gives the bits that it gives among others', () =>
    checkProperty(gpu, {
      cases: fc.record({
        R: lengths(33, 1),
        C: lengths(577, 1),
        at: fc.integer({ min: 0, max: 32 }),
        x: recipes(),
        w: recipes(),
      }),
      data: ({ R, C, x, w }) => ({ x: expand('x', x, [R, C]), w: expand('w', w, [C]) }),
      run: ({ x, w }, { R, C, at }) => {
        const rowwise = (one: Tensor): readonly [Tensor, ...Tensor[]] => [
          softmax(one),
          layerNorm(one, { weight: w, bias: w }, 1e-5),
          rmsNorm(one, w, 1e-5),
          normalizeRows(one),
          reshape(topTwoGap(one), [one.shape[0] as number, 1]),
          addRows(one, w),
        ];
        const row = at % R;
        const alone = rowwise(slice(x, 0, row, row + 1));
        const among = slice(concat(rowwise(x), 1), 0, row, row + 1);
        return [
          concat(alone, 1),
          among,
          topKIndices(slice(x, 0, row, row + 1), C, 'score'),
          topKIndices(x, C, 'score'),
        ];
      },
      judge: ([alone, among, order, orders], _, { R, C, at }) => {
        expectBits('a row among others', among, alone.shape, alone.values);
        const row = at % R;
        expectIndices('order in a row', order, [1, C], orders.values.subarray(row * C, (row + 1) * C));
      },
    }));

  it('T-7.4 P-8 rows of a product agree whichever kernel takes them, to the bit on the grid', () =>
    checkProperty(gpu, {
      cases: fc.record({
        M: lengths(65, 9),
        K: lengths(132, 1),
        N: lengths(68, 1),
        at: fc.integer({ min: 0, max: 64 }),
        a: recipes(),
        b: recipes(),
      }),
      data: ({ M, K, N, a, b }) => ({ a: expand('a', a, [1, M, K]), b: expand('b', b, [1, K, N]) }),
      run: ({ a, b }, { M, at }) => {
        const row = at % M;
        const bT = permute(b, [0, 2, 1]);
        const one = slice(a, 1, row, row + 1); // few rows: the plain kernels
        return [
          slice(matmul(a, b), 1, row, row + 1),
          matmul(one, b),
          slice(matmulTransposed(a, bT), 1, row, row + 1),
          matmulTransposed(one, bT),
        ];
      },
      judge: ([first, ...others], { a, b }, { M, K, N, at, ...drawn }) => {
        const row = a.values.subarray((at % M) * K, ((at % M) + 1) * K);
        const { values, magnitudes } = oracle.matmul(row, b.values, { A: 1, B: 1, M: 1, K, N });
        const systematic = isSystematic(drawn.a, drawn.b);
        const within = (i: number): number =>
          2 * productTolerance(K, magnitudes[i] as number, values[i] as number, systematic);
        const onGrid = drawn.a.dist === 'grid' && drawn.b.dist === 'grid';
        for (const other of others) {
          if (onGrid) expectExact('a row of the grid', other, first.shape, first.values);
          else expectClose('a row by another kernel', other, first.shape, first.values, within);
        }
      },
    }));
});
