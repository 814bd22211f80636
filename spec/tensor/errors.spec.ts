// T-1 across all operations: one call of each that is in order, and what breaks one rule of it.

import { describe, expect, it } from 'vitest';
import * as library from '../../src/tensor/index.ts';
import {
  add,
  addRows,
  argmax,
  attention,
  attentionProbs,
  causalSoftmax,
  complement,
  concat,
  countMembers,
  FileError,
  GpuError,
  gatherIndices,
  gatherRows,
  gridPositions,
  groupMean,
  type IndexTensor,
  indexTensor,
  layerNorm,
  linear,
  lookup,
  matmul,
  matmulTransposed,
  meanAxis,
  multiply,
  normalizeRows,
  patchConvolution,
  patches,
  permute,
  repeatRows,
  reshape,
  rmsNorm,
  rope,
  ropeTable,
  ShapeError,
  shiftIndices,
  slice,
  softmax,
  sumAxis,
  type Tensor,
  tensor,
  tidy,
  topKIndices,
  topTwoGap,
} from '../../src/tensor/index.ts';
import { testGpu } from '../support/gpu.ts';
import { expectAccepted, expectRejected } from '../support/rejections.ts';

const gpu = await testGpu();
const t = (...shape: number[]): Tensor =>
  tensor(gpu, new Float32Array(shape.reduce((x, y) => x * y, 1)), shape);
const i = (...shape: number[]): IndexTensor =>
  indexTensor(gpu, new Uint32Array(shape.reduce((x, y) => x * y, 1)), shape);

interface Misuse {
  readonly good: () => unknown;
  readonly shape?: () => unknown; //   breaks a rank or an axis
  readonly counts?: (n: number) => unknown; // n is a count, an index or an option
}

/** Tensors are made before the calls, so that a rejected call cannot hide behind an upload. */
function misuses(): Readonly<Record<string, Misuse>> {
  const [row, matrix, cube, other] = [t(3), t(2, 3), t(2, 3, 4), t(5, 7)];
  const [none, four, scalar] = [t(2, 0), t(2, 2, 3, 4), t()];
  const [ids, numbers, pair, table] = [i(2, 3), i(3), i(1, 1), ropeTable(gpu, 5, 4, 10_000)];
  const [factor, tall] = [t(1, 4, 2), i(3, 2)];
  const plain = { causal: false };
  const weights = { weight: t(8, 3), bias: t(8) };
  const patchWeights = { weight: t(5, 8), bias: t(5) };
  return {
    add: { good: () => add(matrix, matrix), shape: () => add(matrix, other) },
    multiply: { good: () => multiply(matrix, matrix), shape: () => multiply(matrix, row) },
    addRows: { good: () => addRows(matrix, row), shape: () => addRows(matrix, other) },
    linear: { good: () => linear(matrix, weights), shape: () => linear(other, weights) },
    matmul: { good: () => matmul(cube, factor), shape: () => matmul(cube, cube) },
    matmulTransposed: {
      good: () => matmulTransposed(cube, cube),
      shape: () => matmulTransposed(cube, matrix),
    },
    softmax: { good: () => softmax(matrix), shape: () => softmax(scalar) },
    causalSoftmax: { good: () => causalSoftmax(matrix), shape: () => causalSoftmax(row) },
    attentionProbs: {
      good: () => attentionProbs(four, four, plain),
      shape: () => attentionProbs(four, cube, plain),
    },
    attention: {
      good: () => attention(four, four, four, plain),
      shape: () => attention(four, four, cube, plain),
    },
    layerNorm: {
      good: () => layerNorm(matrix, { weight: row, bias: row }, 1e-5),
      shape: () => layerNorm(other, { weight: row, bias: row }, 1e-5),
    },
    rmsNorm: { good: () => rmsNorm(matrix, row, 1e-5), shape: () => rmsNorm(other, row, 1e-5) },
    normalizeRows: { good: () => normalizeRows(matrix), shape: () => normalizeRows(scalar) },
    sumAxis: { good: () => sumAxis(matrix, 0), shape: () => sumAxis(matrix, 2) },
    meanAxis: { good: () => meanAxis(none, 0), shape: () => meanAxis(none, 1) },
    argmax: { good: () => argmax(matrix), shape: () => argmax(none) },
    topTwoGap: { good: () => topTwoGap(matrix), shape: () => topTwoGap(none) },
    topKIndices: {
      good: () => topKIndices(matrix, 3, 'score'),
      shape: () => topKIndices(row, 1, 'score'),
      counts: (n) => topKIndices(matrix, n, 'score'),
    },
    complement: {
      good: () => complement(pair, 5),
      shape: () => complement(numbers, 5),
      counts: (n) => complement(ids, n),
    },
    shiftIndices: { good: () => shiftIndices(ids, 1), counts: (n) => shiftIndices(ids, n) },
    gridPositions: { good: () => gridPositions(ids, 2), counts: (n) => gridPositions(ids, n) },
    countMembers: {
      good: () => countMembers(ids, 2),
      shape: () => countMembers(numbers, 2),
      counts: (n) => countMembers(ids, n),
    },
    gatherRows: { good: () => gatherRows(cube, ids), shape: () => gatherRows(matrix, ids) },
    gatherIndices: { good: () => gatherIndices(ids, ids), shape: () => gatherIndices(ids, tall) },
    lookup: { good: () => lookup(matrix, ids), shape: () => lookup(row, ids) },
    groupMean: {
      good: () => groupMean(cube, ids, 2),
      shape: () => groupMean(matrix, ids, 2),
      counts: (n) => groupMean(cube, ids, n),
    },
    concat: { good: () => concat([matrix, none], 1), shape: () => concat([matrix, other], 1) },
    slice: {
      good: () => slice(matrix, 1, 1, 3),
      shape: () => slice(matrix, 2, 0, 1),
      counts: (n) => slice(matrix, 1, n, 3),
    },
    permute: { good: () => permute(matrix, [1, 0]), counts: (n) => permute(matrix, [1, n]) },
    repeatRows: { good: () => repeatRows(matrix, 2), counts: (n) => repeatRows(matrix, n) },
    ropeTable: { good: () => ropeTable(gpu, 3, 4, 10_000), counts: (n) => ropeTable(gpu, n, 4, 10_000) },
    rope: {
      good: () => rope(four, table, 2),
      shape: () => rope(cube, table, 0),
      counts: (n) => rope(four, table, n),
    },
    patches: { good: () => patches(four, 2), shape: () => patches(cube, 2), counts: (n) => patches(four, n) },
    patchConvolution: {
      good: () => patchConvolution(four, patchWeights, 2),
      shape: () => patchConvolution(four, weights, 2),
      counts: (n) => patchConvolution(four, patchWeights, n),
    },
    reshape: { good: () => reshape(matrix, [6]), shape: () => reshape(matrix, [5]) },
  };
}

/** Exports that take nothing that could be wrong, or that have a spec of their own. */
const ELSEWHERE: readonly string[] = [
  ...[
    'FileError',
    'GpuError',
    'ShapeError',
    'appendRows',
    'attentionColumnMean',
    'attentionRow',
    'canStream',
    'checkBudget',
    'checkFinite',
    'dims',
    'dispose',
    'elementCount',
    'expectFinite',
    'finish',
    'gatedSilu',
    'gelu',
    'growingRows',
    'growingRowsOf',
    'indexTensor',
    'matrixFromChunks',
  ],
  ...[
    'openGpu',
    'quickGelu',
    'randomMatrix',
    'read',
    'readAll',
    'roomBytes',
    'rowsOf',
    'runKernel',
    'scale',
    'silu',
    'startProfile',
    'stopProfile',
    'streamingAttention',
    'submit',
    'tensor',
    'throwIfNonFinite',
    'tidy',
    'u32',
    'watchPeak',
    'wgsl',
  ],
];

describe('T-1 errors', () => {
  const names = Object.keys(tidy(gpu, misuses));

  for (const name of names) {
    it(`T-1.1 ${name} reports a rejected argument by its kind, before anything is dispatched`, () =>
      tidy(gpu, () => {
        const { good, shape, counts } = misuses()[name] as Misuse;
        expectAccepted(gpu, good);
        if (shape !== undefined) expectRejected(gpu, ShapeError, shape);
        if (counts !== undefined) expectRejected(gpu, RangeError, () => counts(-1));
      }));
  }

  for (const name of names) {
    if (tidy(gpu, () => misuses()[name]?.counts === undefined)) continue;
    it(`T-1.2 ${name} does not round, clamp or guess a count`, () =>
      tidy(gpu, () => {
        const { counts } = misuses()[name] as Required<Misuse>;
        for (const n of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])
          expectRejected(gpu, RangeError, () => counts(n));
      }));
  }

  it('T-1.1 every operation is in this table', () => {
    const functions = Object.keys(library).filter((name) => !ELSEWHERE.includes(name));
    expect(functions.filter((name) => !names.includes(name))).toEqual([]);
  });

  it('T-1.1 the kinds of errors have names of their own', () => {
    for (const Kind of [ShapeError, GpuError, FileError]) {
      const error = new Kind('who: expected X, got Y');
      expect(error).toBeInstanceOf(Error);
      expect(`${error}`).toBe(`${Kind.name}: who: expected X, got Y`);
    }
  });
});
