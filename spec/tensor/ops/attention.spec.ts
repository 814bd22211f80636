import fc from 'fast-check';
import { describe, it } from 'vitest';
import {
  attention,
  attentionProbs,
  causalSoftmax,
  concat,
  dims,
  matmulTransposed,
  reshape,
  ShapeError,
  type Tensor,
  tensor,
  tidy,
} from '../../../src/tensor/index.ts';
import * as oracle from '../../oracle/attention.ts';
import {
  attentionCases,
  dataOf,
  expectedOutput,
  moderate,
  probTolerances,
  sizesOf,
} from '../../support/attention-cases.ts';
import { productTolerance, softmaxTolerance } from '../../support/bounds.ts';
import { expectBits, expectClose, u } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import { checkProperty } from '../../support/property.ts';
import { expand, isSystematic, lengths } from '../../support/recipe.ts';
import { expectAccepted, expectRejected } from '../../support/rejections.ts';

const gpu = await testGpu();

describe('T-9 attention', () => {
  it('T-9.1 attentionProbs is the (causal) softmax of queries times keys, head h reading key head ⌊h G / H⌋', () =>
    checkProperty(gpu, {
      cases: attentionCases,
      count: 250,
      data: dataOf,
      run: ({ queries, keys }, { causal }) => [attentionProbs(queries, keys, { causal })],
      judge: ([y], { queries, keys }, drawn) => {
        const sizes = sizesOf(drawn);
        const { B, H, T, L } = sizes;
        const expected = oracle.attentionProbs(queries.values, keys.values, sizes);
        const tolerances = probTolerances(expected, sizes, isSystematic(drawn.q, drawn.k));
        expectClose('attentionProbs', y, [B, H, T, L], expected.probs, (i) => tolerances[i] as number);
      },
    }));

  it('T-9.2 attention is these probabilities times values', () =>
    checkProperty(gpu, {
      cases: attentionCases,
      count: 250,
      data: dataOf,
      run: ({ queries, keys, values }, { causal }) => [attention(queries, keys, values, { causal })],
      judge: ([y], { queries, keys, values }, drawn) => {
        const sizes = sizesOf(drawn);
        const { B, H, T, L, D } = sizes;
        const probs = oracle.attentionProbs(queries.values, keys.values, sizes);
        const { output, magnitudes, inherited } = expectedOutput(
          values,
          probs,
          sizes,
          isSystematic(drawn.q, drawn.k),
        );
        const within = (i: number): number =>
          (inherited[i] as number) * (1 + u) +
          productTolerance(L, magnitudes[i] as number, output[i] as number, isSystematic(drawn.v));
        expectClose('attention', y, [B, H, T, D], output, within);
      },
    }));

  it('T-9.1 is the composition of matmulTransposed and causalSoftmax, to the bit', () =>
    checkProperty(gpu, {
      cases: fc.record({
        T: lengths(17),
        earlier: lengths(33),
        D: lengths(33),
        q: moderate(),
        k: moderate(),
      }),
      count: 50,
      data: ({ T, earlier, D, q, k }) => ({
        queries: expand('q', q, [1, 4, T, D]),
        keys: expand('k', k, [1, 2, T + earlier, D]),
      }),
      run: ({ queries, keys }) => {
        const { T, D } = dims(queries, 'queries [B, H, T, D]');
        const { L } = dims(keys, 'keys [B, G, L, D]');
        const scores = matmulTransposed(reshape(queries, [4, T, D]), reshape(keys, [2, L, D]));
        return [attentionProbs(queries, keys, { causal: true }), causalSoftmax(scores)];
      },
      judge: ([y, composed]) => expectBits('composition', { ...composed, shape: y.shape }, y.shape, y.values),
    }));

  it('T-9.1 equal keys share attention equally', () =>
    checkProperty(gpu, {
      cases: fc.record({
        T: lengths(9, 1),
        L: lengths(129, 1),
        D: lengths(17),
        q: moderate(),
        k: moderate(),
      }),
      count: 50,
      data: ({ T, L, D, q, k }) => {
        const key = expand('k', k, [1, D]).values;
        const values = Float32Array.from({ length: L * D }, (_, i) => key[i % D] as number);
        return { queries: expand('q', q, [1, 1, T, D]), keys: { values, shape: [1, 1, L, D] } };
      },
      run: ({ queries, keys }) => [attentionProbs(queries, keys, { causal: false })],
      judge: ([y], _, { T, L }) =>
        expectClose('equal shares', y, [1, 1, T, L], new Float64Array(T * L).fill(1 / L), () =>
          softmaxTolerance(L, 1 / L, 0),
        ),
    }));

  it('T-9.1 T-9.2 shapes that do not fit are rejected', () =>
    tidy(gpu, () => {
      const zeros = (...shape: number[]): Tensor =>
        tensor(gpu, new Float32Array(shape.reduce((x, y) => x * y, 1)), shape);
      const queries = zeros(2, 4, 3, 8);
      const [keys, values] = [zeros(2, 2, 5, 8), zeros(2, 2, 5, 8)];
      for (const causal of [false, true]) {
        const options = { causal };
        expectAccepted(gpu, () => attentionProbs(queries, keys, options));
        expectAccepted(gpu, () => attention(queries, keys, values, options));
        const broken = [
          zeros(1, 2, 5, 8),
          zeros(2, 3, 5, 8),
          zeros(2, 8, 5, 8),
          zeros(2, 2, 5, 7),
          zeros(2, 5, 8),
        ];
        for (const other of broken) {
          expectRejected(gpu, ShapeError, () => attentionProbs(queries, other, options));
          expectRejected(gpu, ShapeError, () => attention(queries, other, other, options));
        }
        for (const other of [zeros(2, 2, 4, 8), zeros(2, 1, 5, 8), zeros(1, 2, 5, 8), zeros(2, 2, 5)])
          expectRejected(gpu, ShapeError, () => attention(queries, keys, other, options));
      }
      const short = zeros(2, 2, 2, 8);
      expectAccepted(gpu, () => attentionProbs(queries, short, { causal: false }));
      expectRejected(gpu, ShapeError, () => attentionProbs(queries, short, { causal: true }));
      expectRejected(gpu, ShapeError, () => attention(queries, short, short, { causal: true }));
    }));

  it('T-9.3 keys and values behind keyCount do not count, whatever they hold', () =>
    checkProperty(gpu, {
      cases: fc.tuple(attentionCases, fc.integer({ min: 1, max: 5 })),
      data: ([drawn, extra]) => {
        const { B, G, D } = sizesOf(drawn);
        const values = new Float32Array(B * G * extra * D).fill(Number.NaN);
        return { ...dataOf(drawn), behind: { shape: [B, G, extra, D], values } };
      },
      run: ({ queries, keys, values, behind }, [{ causal, T, earlier }]) => {
        const roomy = [concat([keys, behind], 2), concat([values, behind], 2)] as const;
        const options = { causal, keyCount: T + earlier };
        return [
          ...[attention(queries, ...roomy, options), attention(queries, keys, values, { causal })],
          ...[attentionProbs(queries, roomy[0], options), attentionProbs(queries, keys, { causal })],
        ];
      },
      judge: ([y, all, probs, allProbs]) => {
        expectBits('attention', y, all.shape, all.values);
        expectBits('attentionProbs', probs, allProbs.shape, allProbs.values);
      },
    }));
});
