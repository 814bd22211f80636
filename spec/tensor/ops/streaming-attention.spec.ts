import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  attention,
  attentionColumnMean,
  attentionRow,
  concat,
  dispose,
  finish,
  randomMatrix,
  read,
  reshape,
  ShapeError,
  slice,
  streamingAttention,
  type Tensor,
  tensor,
  tidy,
} from '../../../src/tensor/index.ts';
import * as oracle from '../../oracle/attention.ts';
import {
  type AttentionCase,
  attentionCases,
  dataOf,
  expectedOutput,
  moderate,
  probTolerances,
  sizesOf,
} from '../../support/attention-cases.ts';
import { productTolerance } from '../../support/bounds.ts';
import { expectClose, u } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import { checkProperty } from '../../support/property.ts';
import { isSystematic, recipes } from '../../support/recipe.ts';
import { expectAccepted, expectRejected } from '../../support/rejections.ts';

const gpu = await testGpu();

const TILE = 16;

/** Channels in fours, at least one key, and lengths around those of a tile. */
const cases: fc.Arbitrary<AttentionCase> = fc.oneof(
  attentionCases
    .filter(({ T, earlier }) => T + earlier > 0)
    .map((drawn) => ({ ...drawn, D: 4 * Math.max(1, drawn.D % 9) })),
  fc.record({
    B: fc.constant(1),
    G: fc.constant(2),
    share: fc.constant(2),
    T: fc.constantFrom(31, 32, 33, 65),
    earlier: fc.constantFrom(0, 1, 15, 16, 17),
    D: fc.constantFrom(4, 28, 64, 128),
    causal: fc.boolean(),
    q: moderate(),
    k: moderate(),
    v: recipes('huge'),
  }),
);

interface Judged {
  readonly output: Float64Array;
  readonly within: (i: number) => number;
  readonly logSumExp: Float64Array; // [B, H, T]
  readonly probs: oracle.Probs;
  readonly probsWithin: Float64Array;
}

/** What is expected, and how close: each tile may round what was added up before once more. */
function judgeOf(drawn: AttentionCase, data: ReturnType<typeof dataOf>): Judged {
  const sizes = sizesOf(drawn);
  const { L } = sizes;
  const probs = oracle.attentionProbs(data.queries.values, data.keys.values, sizes);
  const systematic = isSystematic(drawn.q, drawn.k);
  const { output, magnitudes, inherited } = expectedOutput(data.values, probs, sizes, systematic);
  const tiles = Math.ceil(L / TILE);
  const within = (i: number): number =>
    (inherited[i] as number) * (1 + u) +
    8 * u * tiles * (magnitudes[i] as number) +
    productTolerance(L, magnitudes[i] as number, output[i] as number, isSystematic(drawn.v));
  const rows = probs.probs.length / L;
  const logSumExp = Float64Array.from({ length: rows }, (_, row) => {
    const seen = Array.from({ length: L }, (_, l) => row * L + l).filter(
      (i) => (probs.probs[i] as number) > 0,
    );
    const largest = Math.max(...seen.map((i) => probs.scores[i] as number));
    return (
      largest + Math.log(seen.reduce((sum, i) => sum + Math.exp((probs.scores[i] as number) - largest), 0))
    );
  });
  return { output, within, logSumExp, probs, probsWithin: probTolerances(probs, sizes, systematic) };
}

describe('T-25 streaming attention', () => {
  it('T-25.1 P-79 gives what attention gives, and the log-sum-exp of the scores', () =>
    checkProperty(gpu, {
      cases,
      count: 250,
      data: dataOf,
      run: ({ queries, keys, values }, { causal }) => {
        const { output, logSumExp } = streamingAttention(queries, keys, values, { causal });
        return [output, logSumExp];
      },
      judge: ([y, logSumExp], data, drawn) => {
        const { B, H, T, D } = sizesOf(drawn);
        const judged = judgeOf(drawn, data);
        expectClose('output', y, [B, H, T, D], judged.output, judged.within);
        // WGSL's log is within 2^-21 absolutely between 0.5 and 2.
        const near = (i: number): number => 1e-5 + 1e-5 * Math.abs(judged.logSumExp[i] as number);
        expectClose('logSumExp', logSumExp, [B, H, T], judged.logSumExp, near);
      },
    }));

  it('T-25.1 keys and values behind keyCount do not count, whatever they hold', () =>
    checkProperty(gpu, {
      cases: fc.tuple(cases, fc.integer({ min: 1, max: 20 })),
      count: 60,
      data: ([drawn, extra]) => {
        const { B, G, D } = sizesOf(drawn);
        const values = new Float32Array(B * G * extra * D).fill(Number.NaN);
        return { ...dataOf(drawn), behind: { shape: [B, G, extra, D], values } };
      },
      run: ({ queries, keys, values, behind }, [{ causal, T, earlier }]) => {
        const roomy = [concat([keys, behind], 2), concat([values, behind], 2)] as const;
        const some = streamingAttention(queries, ...roomy, { causal, keyCount: T + earlier });
        const all = streamingAttention(queries, keys, values, { causal });
        return [some.output, all.output, some.logSumExp, all.logSumExp];
      },
      judge: ([y, all, logSumExp, allLogSumExp]) => {
        expect(y.values).toEqual(all.values);
        expect(logSumExp.values).toEqual(allLogSumExp.values);
      },
    }));

  it('T-25.1 scores of 10,000 do not overflow, and one key is its value', async () => {
    const outputs = tidy(gpu, () => {
      const huge = tensor(gpu, new Float32Array(40 * 4).fill(5000), [1, 1, 40, 4]);
      const values = tensor(
        gpu,
        Float32Array.from({ length: 160 }, (_, i) => i),
        [1, 1, 40, 4],
      );
      const one = slice(values, 2, 7, 8);
      return [
        streamingAttention(slice(huge, 2, 0, 1), huge, values, { causal: false }).output,
        streamingAttention(slice(huge, 2, 0, 1), slice(huge, 2, 0, 1), one, { causal: false }).output,
      ];
    });
    const [equal, single] = outputs as [Tensor, Tensor];
    expect(Array.from(await read(equal))).toEqual([78, 79, 80, 81]);
    expect(Array.from(await read(single))).toEqual([28, 29, 30, 31]);
    dispose(outputs);
  });

  it('T-25.2 causal queries are taken in parts, each with the keys that it sees', async () => {
    const [y, streamed] = tidy(gpu, () => {
      const drawn = (seed: number, rows: number): Tensor =>
        randomMatrix(gpu, 'f32', [rows, 8], { seed, deviation: 1 }) as Tensor;
      const queries = reshape(drawn(1, 4 * 300), [1, 4, 300, 8]);
      const [k, v] = [reshape(drawn(2, 2 * 340), [1, 2, 340, 8]), reshape(drawn(3, 2 * 340), [1, 2, 340, 8])];
      const options = { causal: true, keyCount: 320 };
      return [attention(queries, k, v, options), streamingAttention(queries, k, v, options).output] as const;
    });
    const [one, other] = [await read(y), await read(streamed)];
    dispose(y, streamed);
    expect(
      one.reduce((most, value, i) => Math.max(most, Math.abs(value - (other[i] as number))), 0),
    ).toBeLessThan(1e-5);
  });

  it('T-25.1 other channels, and no keys, are rejected', () =>
    tidy(gpu, () => {
      const zeros = (...shape: number[]): Tensor =>
        tensor(gpu, new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
      const run = (q: Tensor, k: Tensor) => streamingAttention(q, k, k, { causal: false });
      const good = zeros(1, 1, 2, 8);
      expectAccepted(gpu, () => run(good, good));
      for (const bad of [zeros(1, 1, 2, 6), zeros(1, 1, 2, 132)])
        expectRejected(gpu, ShapeError, () => run(bad, bad));
      const none = zeros(1, 1, 0, 8);
      expectRejected(gpu, ShapeError, () => run(good, none));
    }));

  it('T-25.2 attention holds no more scores at once than fit into a binding', async () => {
    const limit = gpu.device.limits.maxStorageBufferBindingSize;
    if (limit > 2 ** 28) return; // it would take gigabytes to show
    const L = Math.ceil(Math.sqrt(limit / 4 / 16)) + 50; // 16 heads, more than a binding
    const [y, streamed] = tidy(gpu, () => {
      const [q, k, v] = [1, 2, 3].map((seed) => {
        const rows = randomMatrix(gpu, 'f32', [16 * L, 4], { seed, deviation: 1 });
        return reshape(rows as Tensor, [1, 16, L, 4]);
      }) as [Tensor, Tensor, Tensor];
      const whole = attention(q, k, v, { causal: false }); // [1, 16, L, 4]
      // Queries in six places: a part that is missing or moved shows in those behind it.
      const places = [0, 0.2, 0.4, 0.6, 0.8, 1].map((share) => Math.floor(share * (L - 16)));
      const some = (x: Tensor): Tensor =>
        concat(places.map((from) => slice(x, 2, from, from + 16)) as [Tensor, ...Tensor[]], 2); // [1, 16, 96, 4]
      return [some(whole), streamingAttention(some(q), k, v, { causal: false }).output] as const;
    });
    const [one, other] = [await read(y), await read(streamed)];
    dispose(y, streamed);
    await finish(gpu);
    expect(
      one.reduce((most, value, i) => Math.max(most, Math.abs(value - (other[i] as number))), 0),
    ).toBeLessThan(1e-5);
  });
});

describe('T-26 attention from the log-sum-exp', () => {
  const some = cases.filter(({ T, B }) => T > 0 && B > 0);

  it('T-26.1 P-80 a row is that of the probabilities', () =>
    checkProperty(gpu, {
      cases: fc.tuple(some, fc.nat({ max: 1000 })),
      data: ([drawn]) => dataOf(drawn),
      run: ({ queries, keys, values }, [{ causal, T }, n]) => {
        const { logSumExp } = streamingAttention(queries, keys, values, { causal });
        return [attentionRow(queries, keys, logSumExp, n % T, { causal })];
      },
      judge: ([row], data, [drawn, n]) => {
        const { B, H, T, L } = sizesOf(drawn);
        const { probs, probsWithin } = judgeOf(drawn, data);
        const place = (i: number): number => (Math.floor(i / L) * T + (n % T)) * L + (i % L);
        const expected = Float64Array.from({ length: B * H * L }, (_, i) => probs.probs[place(i)] as number);
        const score = (i: number): number => Math.abs(probs.scores[place(i)] as number);
        const within = (i: number): number =>
          (probsWithin[place(i)] as number) + (2e-5 + 2e-5 * score(i)) * (expected[i] as number);
        expectClose('row', row, [B, H, L], expected, within);
      },
    }));

  it('T-26.2 P-81 the column mean is the mean of the probabilities over the queries, and adds up to 1', () =>
    checkProperty(gpu, {
      cases: some,
      data: dataOf,
      run: ({ queries, keys, values }, { causal }) => {
        const { logSumExp } = streamingAttention(queries, keys, values, { causal });
        return [attentionColumnMean(queries, keys, logSumExp, { causal })];
      },
      judge: ([mean], data, drawn) => {
        const { B, H, T, L } = sizesOf(drawn);
        const { probs, probsWithin } = judgeOf(drawn, data);
        const expected = new Float64Array(B * H * L);
        const tolerances = new Float64Array(B * H * L);
        for (let i = 0; i < probs.probs.length; i++) {
          const at = Math.floor(i / (T * L)) * L + (i % L);
          const p = probs.probs[i] as number;
          expected[at] = (expected[at] as number) + p / T;
          const error = (probsWithin[i] as number) + (2e-5 + 2e-5 * Math.abs(probs.scores[i] as number)) * p;
          tolerances[at] = (tolerances[at] as number) + error / T + (8 * u * p) / Math.sqrt(T);
        }
        expectClose('mean', mean, [B, H, L], expected, (i) => tolerances[i] as number);
        for (let row = 0; row < B * H; row++) {
          const sum = mean.values.subarray(row * L, (row + 1) * L).reduce((total, p) => total + p, 0);
          expect(Math.abs(sum - 1)).toBeLessThan(1e-3);
        }
      },
    }));

  it('T-26.1 T-26.2 queries that there are not are rejected', () =>
    tidy(gpu, () => {
      const zeros = (...shape: number[]): Tensor =>
        tensor(gpu, new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
      const [q, k, sums] = [zeros(1, 2, 3, 4), zeros(1, 2, 5, 4), zeros(1, 2, 3)];
      expectAccepted(gpu, () => attentionRow(q, k, sums, 2, { causal: false }));
      for (const t of [3, -1, 0.5, Number.NaN])
        expectRejected(gpu, RangeError, () => attentionRow(q, k, sums, t, { causal: false }));
      expectAccepted(gpu, () => attentionColumnMean(q, k, sums, { causal: false }));
      const other = zeros(1, 2, 4);
      expectRejected(gpu, ShapeError, () => attentionColumnMean(q, k, other, { causal: false }));
      const none = zeros(1, 2, 0, 4);
      expectRejected(gpu, RangeError, () => attentionColumnMean(none, k, sums, { causal: false }));
    }));
});
