// What must not change, or must change in one way only, when the input changes in one way. SPEC VZ, docs/properties.md 40
// to 57. The changed inputs of a case stand beside it in one batch, which VZ-4.2 allows.

import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { matmulTransposed, normalizeRows } from '../../src/tensor/index.ts';
import * as oracle from '../oracle/vision-zip.ts';
import { judgeEach } from '../support/cases.ts';
import { expectBits, expectClose, FLUSHED, u } from '../support/closeness.ts';
import { testGpu } from '../support/gpu.ts';
import { grid8 } from '../support/grid8.ts';
import { checkProperty } from '../support/property.ts';
import { expand, type Host, type Recipe, recipes } from '../support/recipe.ts';
import { imagesOf, rowsOf, type ZipCase, type ZipData, zipCases, zipData } from '../support/zip-cases.ts';
import {
  isForced,
  resultsOf,
  scoreBound,
  similarityBounds,
  type ZipHosts,
  type ZipJob,
  type ZipResult,
  zipAll,
} from '../support/zip-results.ts';

const gpu = await testGpu();

const COUNT = 350;
const SEED = Number(process.env.SPEC_SEED ?? 20240612);
const cases = zipCases(24).map((one) => ({ ...one, B: 1 }));

type Change = (data: ZipData, drawn: ZipCase) => Partial<ZipData>;

const map = (x: Host<Float32Array>, of: (value: number, i: number) => number): Host<Float32Array> => ({
  ...x,
  values: x.values.map(of),
});

/** `x` [..., N, last] with the rows of tokens i and j exchanged. */
function exchange({ values, shape }: Host<Float32Array>, i: number, j: number): Host<Float32Array> {
  const [N, width] = shape.slice(-2) as [number, number];
  const other = (n: number): number => (n === i ? j : n === j ? i : n);
  const moved = values.map((_, place) => {
    const [row, column] = [Math.floor(place / width), place % width];
    return values[(row - (row % N) + other(row % N)) * width + column] as number;
  });
  return { values: moved, shape };
}

/** `x` [1, H, ...] with its heads in reverse. */
function reverseHeads({ values, shape }: Host<Float32Array>): Host<Float32Array> {
  const H = shape[1] as number;
  const size = values.length / H;
  return {
    shape,
    values: values.map((_, i) => values[(H - 1 - Math.floor(i / size)) * size + (i % size)] as number),
  };
}

/** By how much something is scaled. */
const powerOf = ({ seed }: Recipe): number => 2 ** ((seed % 17) - 8);

/** By the exact scores: one of the tokens that are dropped, 0 if there is none, and the weakest of those that are kept. */
function cutOf(
  { clsAttention }: ZipData,
  { N, K, attention }: ZipCase,
): { dropped: number; weakest: number } {
  const byScore = oracle.strongest(oracle.scoresOf(rowsOf(clsAttention)), N - 1).map((patch) => patch + 1);
  const all = byScore.slice(K - 1);
  return { dropped: all[attention.seed % all.length] ?? 0, weakest: byScore[K - 2] ?? 0 };
}

const changes = {
  none: () => ({}),
  'attention times 2ⁿ': ({ clsAttention }, { hidden }) => ({
    clsAttention: map(clsAttention, (p) => powerOf(hidden) * p),
  }),
  'heads reversed': ({ clsAttention, keys }) => ({
    clsAttention: reverseHeads(clsAttention),
    keys: reverseHeads(keys),
  }),
  'CLS attending to itself': ({ clsAttention }, { N }) => ({
    clsAttention: map(clsAttention, (p, i) => (i % N === 0 ? p + 1e6 : p)),
  }),
  'a dropped patch raised': (data, one) => {
    // From every head twice what the weakest kept patch gets, which is above the cut and hardly ever above all others.
    const { dropped, weakest } = cutOf(data, one);
    const { values } = data.clsAttention;
    const raised = (i: number): number => 2 * (values[i - dropped + weakest] as number) + 2 ** -20;
    return { clsAttention: map(data.clsAttention, (p, i) => (i % one.N === dropped ? raised(i) : p)) };
  },
  'other hidden states': (_, { N, C, hidden }) => ({
    hiddenStates: expand('other', { ...hidden, dist: 'grid' }, [1, N, C]),
  }),
  'hidden states times 2ⁿ': ({ hiddenStates }, { keys }) => ({
    hiddenStates: map(hiddenStates, (x) => powerOf(keys) * x),
  }),
  'other keys': (_, { N, H, D, keys }) => ({
    keys: expand('other', { ...keys, dist: 'grid' }, [1, H, N, D]),
  }),
  'keys times powers of two': ({ keys }, { N, D, hidden }) => {
    const exponents = grid8(`exponents ${hidden.seed}`, N).map((q) => q % 7);
    return { keys: map(keys, (x, i) => x * 2 ** (exponents[Math.floor(i / D) % N] as number)) };
  },
  'keys times positive numbers': ({ keys }, { N, D, hidden }) => {
    const factors = Array.from(grid8(`factors ${hidden.seed}`, N), (q) => (q + 128) / 100);
    return { keys: map(keys, (x, i) => x * (factors[Math.floor(i / D) % N] as number)) };
  },
  'signs of key channels': ({ keys }, { D }) => ({ keys: map(keys, (x, i) => ((i % D) % 2 === 0 ? -x : x)) }),
  'key channels reversed': ({ keys }, { D }) => ({
    keys: map(keys, (_, i) => keys.values[i - 2 * (i % D) + D - 1] as number),
  }),
  'key channels rotated': ({ keys }, { D }) => ({
    keys: map(keys, (x, i) => {
      const pair = (i % D) ^ 1; // channels 0 and 1, 2 and 3, ... turn by the angle of a 3-4-5 triangle
      if (pair >= D) return x;
      const other = keys.values[i - (i % D) + pair] as number;
      return 0.6 * x + ((i % D) % 2 === 0 ? -0.8 : 0.8) * other;
    }),
  }),
  'all keys the same': ({ keys }, { D }) => ({ keys: map(keys, (_, i) => 1 + (i % D)) }),
  'all tokens the same': ({ keys, hiddenStates }, { C, D }) => ({
    keys: map(keys, (_, i) => 1 + (i % D)),
    hiddenStates: map(hiddenStates, (_, i) => 1 + (i % C)),
  }),
  'attention of the same order': ({ clsAttention }, { N, H }) => {
    const scores = oracle.scoresOf(rowsOf(clsAttention));
    const ranks = scores.map(
      (score, i) => scores.filter((s, j) => s < score || (s === score && j > i)).length,
    );
    return {
      clsAttention: map(clsAttention, (_, i) => (i % N === 0 ? 0 : (1 + (ranks[(i % N) - 1] as number)) / H)),
    };
  },
} satisfies Readonly<Record<string, Change>>;

type ChangeName = keyof typeof changes;
const names = Object.keys(changes) as ChangeName[];

let drawn: readonly ZipCase[] = [];
let inputs: readonly (readonly ZipData[])[] = []; //    [case][change]
let results: readonly (readonly ZipResult[])[] = []; // [case][change]

beforeAll(async () => {
  drawn = fc.sample(cases, { seed: SEED, numRuns: COUNT });
  inputs = drawn.map((one) => {
    const data = zipData(one);
    return names.map((name) => ({ ...data, ...(changes[name] as Change)(data, one) }));
  });
  const hosts = await zipAll(
    gpu,
    drawn.map(({ K, M }, i) => ({
      data: batch(inputs[i] as readonly ZipData[]),
      options: { dominantCount: K, contextualCount: M },
    })),
  );
  results = hosts.map(resultsOf);
});

function batch(images: readonly ZipData[]): ZipData {
  const stack = (name: keyof ZipData): Host<Float32Array> => {
    const parts = images.map((image) => image[name]);
    const size = parts[0]?.values.length ?? 0;
    const values = new Float32Array(parts.length * size);
    parts.forEach((part, b) => {
      values.set(part.values, b * size);
    });
    return { values, shape: [parts.length, ...(parts[0]?.shape.slice(1) ?? [])] };
  };
  return { hiddenStates: stack('hiddenStates'), clsAttention: stack('clsAttention'), keys: stack('keys') };
}

/** Holds between each case and the same with `change`. */
function law(
  title: string,
  change: ChangeName,
  judge: (before: ZipResult, after: ZipResult, one: ZipCase, i: number) => void,
): void {
  it(title, () => {
    judgeEach(drawn, (one, i) => {
      const of = (name: ChangeName): ZipResult => results[i]?.[names.indexOf(name)] as ZipResult;
      judge(of('none'), of(change), one, i);
    });
  });
}

/** `x` [..., N, width] with the rows of some tokens only. */
function rowsAmong({ values, shape }: Host<Float32Array>, tokens: readonly number[]): Host<Float32Array> {
  const [N, width] = shape.slice(-2) as [number, number];
  const kept = values.filter((_, i) => tokens.includes(Math.floor(i / width) % N));
  return { values: kept, shape: [...shape.slice(0, -2), tokens.length, width] };
}

/** `x` [..., N] with the entries of some tokens only. */
function columnsAmong({ values, shape }: Host<Float32Array>, tokens: readonly number[]): Host<Float32Array> {
  const kept = values.filter((_, i) => tokens.includes(i % (shape.at(-1) as number)));
  return { values: kept, shape: [...shape.slice(0, -1), tokens.length] };
}

type Part = keyof ZipResult;
const selection: readonly Part[] = ['kept', 'keptByScore', 'positions', 'targets', 'sources'];
const assignment: readonly Part[] = ['assignment', 'counts'];
const measures: readonly Part[] = ['scores', 'cutScores', 'margins'];

function expectSame(before: ZipResult, after: ZipResult, ...parts: readonly Part[]): void {
  for (const part of parts) expect(after[part], part).toEqual(before[part]);
}

/** The same assignment wherever the cosines leave no choice within `times` their bounds. */
function expectForced(before: ZipResult, after: ZipResult, one: ZipCase, data: ZipData, times: number): void {
  const [image] = imagesOf(data) as [oracle.Image];
  const zip = oracle.zip(image, one, { kept: before.kept });
  const bounds = similarityBounds(image, zip).map((row) => row.map((bound) => times * bound));
  before.assignment.forEach((group, s) => {
    if (!isForced(zip.similarity[s] as number[], bounds[s] as number[], group)) return;
    expect(after.assignment[s]).toBe(group);
  });
}

const host = (values: Float32Array): Host<Float32Array> => ({ values, shape: [values.length] });

describe('VZ-2 laws of the dominant tokens', () => {
  law(
    'VZ-2.1 P-40 2ⁿ times the attention is 2ⁿ times the scores, and the same decisions',
    'attention times 2ⁿ',
    (before, after, { hidden }) => {
      expectSame(before, after, ...selection, ...assignment, 'margins', 'tokens');
      for (const name of ['scores', 'cutScores'] as const) {
        expectBits(
          name,
          host(after[name]),
          [before[name].length],
          before[name].map((x) => powerOf(hidden) * x),
        );
      }
    },
  );

  law('VZ-2.1 P-40 the order of the heads does not matter', 'heads reversed', (before, after, { H }) => {
    if (H < 3) expectSame(before, after, ...selection, ...assignment, ...measures, 'tokens'); // a + b = b + a
    expectClose(
      'scores',
      host(after.scores),
      [before.scores.length],
      before.scores,
      (i) => 2 * scoreBound(H, before.scores[i] as number),
    );
  });

  law('VZ-2.1 what CLS pays to itself is no score', 'CLS attending to itself', (before, after) => {
    expectSame(before, after, ...selection, ...assignment, ...measures, 'tokens');
  });

  law(
    'VZ-2.2 P-41 a patch raised above the cut takes the place of the weakest',
    'a dropped patch raised',
    (before, after, one, i) => {
      const { dropped } = cutOf(inputs[i]?.[0] as ZipData, one);
      if (one.K === 1 || before.kept.includes(dropped)) return; // there is no cut, or one between scores equal in f32
      const stay = before.kept.filter((token) => token !== before.keptByScore.at(-1));
      expect(after.kept).toEqual([...stay, dropped].sort((a, b) => a - b));
    },
  );

  it('VZ-2.2 P-41 most of the drawn cases have a cut, and a patch to raise', () => {
    const raised = drawn.filter(({ K, N }) => K > 1 && K < N);
    expect(raised.length).toBeGreaterThan(COUNT / 2);
  });

  it('VZ-2.2 P-42 what is kept of a budget is kept of any larger one', async () => {
    const hosts = await zipAll(
      gpu,
      drawn.map(({ K, N }, i) => ({
        data: inputs[i]?.[0] as ZipData,
        options: { dominantCount: Math.min(N, K + 1), contextualCount: 0 },
      })),
    );
    judgeEach(drawn, (_, i) => {
      const larger = Array.from(hosts[i]?.keptTokenIndices.values ?? []);
      for (const token of results[i]?.[0]?.kept ?? []) expect(larger).toContain(token);
    });
  });

  it('VZ-2.2 P-43 selecting again among the kept tokens and any others keeps the same', async () => {
    const some = drawn.map(({ N }, i) => {
      const kept = results[i]?.[0]?.kept as number[];
      return Array.from({ length: N }, (_, n) => n).filter((n) => kept.includes(n) || n % 2 === i % 2);
    });
    const jobs = drawn.map(({ K }, i): ZipJob => {
      const [one] = inputs[i] as unknown as readonly [ZipData];
      const among = some[i] as number[];
      const data = {
        hiddenStates: rowsAmong(one.hiddenStates, among),
        clsAttention: columnsAmong(one.clsAttention, among),
        keys: rowsAmong(one.keys, among),
      };
      return { data, options: { dominantCount: K, contextualCount: 0 } };
    });
    const again = (await zipAll(gpu, jobs)).map(resultsOf);
    judgeEach(drawn, ({ K }, i) => {
      const [first, second] = [results[i]?.[0], again[i]?.[0]] as [ZipResult, ZipResult];
      expect(second.kept.map((n) => some[i]?.[n])).toEqual(first.kept);
      expect(second.tokens).toEqual(first.tokens.slice(0, K));
    });
  });

  it('VZ-2.4 P-44 attention decides nothing but what is kept', () => {
    let same = 0;
    judgeEach(drawn, (_, i) => {
      const of = (name: ChangeName): ZipResult => results[i]?.[names.indexOf(name)] as ZipResult;
      const [before, after] = [of('none'), of('attention of the same order')];
      if (String(before.kept) !== String(after.kept)) return; // scores that are equal in f32 only
      same++;
      expectSame(before, after, 'kept', 'targets', 'sources', ...assignment, 'margins', 'tokens');
    });
    expect(same).toBeGreaterThan(0.9 * COUNT);
  });

  law('VZ-2.4 P-44 hidden states decide nothing', 'other hidden states', (before, after) => {
    expectSame(before, after, ...selection, ...assignment, ...measures);
  });
});

describe('VZ-3 laws of the contextual tokens', () => {
  law('VZ-3.2 P-44 keys decide nothing but the assignment', 'other keys', (before, after, { K }) => {
    expectSame(before, after, ...selection, 'scores', 'cutScores');
    expect(after.tokens.slice(0, K)).toEqual(before.tokens.slice(0, K));
  });

  law(
    'VZ-3.3 P-45 the length of a key does not matter, to the bit for powers of two',
    'keys times powers of two',
    (before, after) => {
      expectSame(before, after, ...selection, ...assignment, ...measures, 'tokens');
    },
  );

  law(
    'VZ-3.3 P-45 the length of a key changes no assignment that is not open',
    'keys times positive numbers',
    (before, after, one, i) => {
      expectSame(before, after, ...selection);
      expectForced(before, after, one, inputs[i]?.[0] as ZipData, 4); // the scaled keys are rounded once more
    },
  );

  law(
    'VZ-3.3 P-46 the sign of a channel of all keys does not matter',
    'signs of key channels',
    (before, after) => {
      expectSame(before, after, ...selection, ...assignment, ...measures, 'tokens');
    },
  );

  law(
    'VZ-3.3 P-46 the order of the channels of all keys does not matter',
    'key channels reversed',
    (before, after, one, i) => {
      expectSame(before, after, ...selection);
      expectForced(before, after, one, inputs[i]?.[0] as ZipData, 1);
    },
  );

  law(
    'VZ-3.3 P-47 a rotation of all keys does not matter',
    'key channels rotated',
    (before, after, one, i) => {
      expectSame(before, after, ...selection);
      expectForced(before, after, one, inputs[i]?.[0] as ZipData, 4); // the rotated keys are rounded once more
    },
  );

  it('VZ-3.3 P-48 a cosine is from -1 to 1, and 1 of a key and itself', async () => {
    await checkProperty(gpu, {
      cases: fc.record({
        R: fc.integer({ min: 1, max: 20 }),
        D: fc.integer({ min: 1, max: 70 }),
        keys: recipes('subnormal', 'huge'),
      }),
      data: ({ R, D, keys }) => ({ keys: expand('keys', keys, [1, R, D]) }),
      run: ({ keys }) => {
        const directions = normalizeRows(keys); // [1, R, D]
        return [matmulTransposed(directions, directions)];
      },
      judge: ([cosines], { keys }, { R, D }) => {
        const bound = (2 * D + 32) * u; // of a sum of D squares, a root, a division and a sum of D products
        cosines.values.forEach((cosine, i) => {
          expect(Math.abs(cosine)).toBeLessThanOrEqual(1 + bound);
          const row = i % R;
          const isOwn = row === Math.floor(i / R);
          const length = Math.hypot(...keys.values.subarray(row * D, (row + 1) * D));
          if (isOwn) expect(Math.abs(cosine - (length === 0 ? 0 : 1))).toBeLessThanOrEqual(bound);
        });
      },
    });
  });

  law(
    'VZ-3.4 P-54 of keys that are all the same, the first target takes all',
    'all keys the same',
    (_, after, { M }) => {
      for (const group of after.assignment) expect(group).toBe(0);
      if (M > 1) for (const margin of after.margins) expect(margin).toBe(0);
    },
  );

  law(
    'VZ-3.5 P-54 of tokens that are all the same, a target with sources is twice the token, one without the token',
    'all tokens the same',
    (_, after, { K, C }) => {
      after.counts.forEach((count, m) => {
        const expected = Float32Array.from({ length: C }, (_, c) => (count > 0 ? 2 : 1) * (1 + c));
        expectBits('token', host(after.tokens[K + m] as Float32Array), [C], expected);
      });
    },
  );

  it('VZ-3.1 P-53 as many contextual tokens as are left over are these tokens, in order', async () => {
    const jobs = drawn.map(
      ({ N, K }, i): ZipJob => ({
        data: inputs[i]?.[0] as ZipData,
        options: { dominantCount: K, contextualCount: N - K },
      }),
    );
    const zipped = (await zipAll(gpu, jobs)).map(resultsOf);
    judgeEach(drawn, ({ N, K, C }, i) => {
      const [got] = zipped[i] as [ZipResult];
      const [image] = imagesOf((jobs[i] as ZipJob).data) as [oracle.Image];
      const rest = Array.from({ length: N }, (_, n) => n).filter((n) => !got.kept.includes(n));
      expect(got.targets).toEqual(rest);
      rest.forEach((token, m) => {
        expectBits(
          'token',
          host(got.tokens[K + m] as Float32Array),
          [C],
          image.hidden[token] as Float32Array,
        );
      });
    });
  });

  it('VZ-3.4 P-56 two sources that change places change nothing but their own assignment; a source and a target do', async () => {
    // By a falling attention the first K − 1 patches are kept, so that the sources are known beforehand: at least two.
    const ready = drawn.map(({ N, M, ...one }) => ({ ...one, N: N + 3, M: Math.max(1, M) }));
    const places = ready.map(({ N, K, M, keys }) => {
      const targets = oracle.targetPlaces(N - K, M);
      const isSource = (place: number): boolean => !targets.includes(place);
      const sources = Array.from({ length: N - K }, (_, place) => place).filter(isSource);
      const s = keys.seed % sources.length;
      const t = (s + 1 + (keys.seed % (sources.length - 1))) % sources.length;
      const token = (place: number | undefined): number => K + (place as number);
      return { s, t, a: token(sources[s]), b: token(sources[t]), target: token(targets[keys.seed % M]) };
    });
    const jobs = ready.map((one, i): ZipJob => {
      const falling = {
        shape: [1, one.H, one.N],
        values: Float32Array.from({ length: one.H * one.N }, (_, j) => 1 / (1 + (j % one.N))),
      };
      const data = { ...zipData({ ...one, hidden: { ...one.hidden, dist: 'grid' } }), clsAttention: falling };
      const { a, b, target } = places[i] as (typeof places)[number];
      const exchanged = (from: number, to: number): ZipData => ({
        ...data,
        hiddenStates: exchange(data.hiddenStates, from, to),
        keys: exchange(data.keys, from, to),
      });
      const images = [data, exchanged(a, b), exchanged(a, target)];
      return { data: batch(images), options: { dominantCount: one.K, contextualCount: one.M } };
    });
    const zipped = (await zipAll(gpu, jobs)).map(resultsOf);
    let otherCount = 0;
    judgeEach(ready, ({ K, N }, i) => {
      const [before, after, other] = zipped[i] as [ZipResult, ZipResult, ZipResult];
      const { s, t } = places[i] as (typeof places)[number];
      const expected = [...before.assignment];
      [expected[s], expected[t]] = [before.assignment[t] as number, before.assignment[s] as number];
      expect(before.kept).toEqual(Array.from({ length: K }, (_, k) => k));
      expect(after.assignment).toEqual(expected);
      const most = (jobs[i] as ZipJob).data.hiddenStates.values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      const bound = 2 * (N + 8) * u * most;
      after.tokens.forEach((token, k) => {
        const wanted = before.tokens[k] as Float32Array;
        expectClose('tokens', host(token), [token.length], wanted, () => (k < K ? 0 : bound));
      });
      const isFar = (token: Float32Array, k: number): boolean =>
        token.some((x, c) => Math.abs(x - (before.tokens[k]?.[c] as number)) > bound);
      if (other.tokens.some(isFar)) otherCount++;
    });
    expect(otherCount).toBeGreaterThan(COUNT / 2);
  });

  law(
    'VZ-3.5 P-50 hidden states times 2ⁿ give tokens times 2ⁿ',
    'hidden states times 2ⁿ',
    (before, after, { keys }) => {
      expectSame(before, after, ...selection, ...assignment, ...measures);
      after.tokens.forEach((token, k) => {
        const expected = (before.tokens[k] as Float32Array).map((x) => powerOf(keys) * x);
        expectBits('tokens', host(token), [token.length], expected);
      });
    },
  );

  it('VZ-3.5 P-51 a constant on all hidden states comes back twice in a target with sources, once in one without', async () => {
    const constant = (c: number): number => (c % 3) + 1;
    const jobs = drawn.map(({ K, M, ...one }): ZipJob => {
      const data = zipData({ ...one, K, M, hidden: { ...one.hidden, dist: 'grid', exp: 2 } });
      const shifted = { ...data, hiddenStates: map(data.hiddenStates, (x, i) => x + constant(i % one.C)) };
      return { data: batch([data, shifted]), options: { dominantCount: K, contextualCount: M } };
    });
    const zipped = (await zipAll(gpu, jobs)).map(resultsOf);
    let [withSources, without] = [0, 0];
    judgeEach(drawn, ({ K, N }, i) => {
      const [before, after] = zipped[i] as [ZipResult, ZipResult];
      after.tokens.forEach((token, k) => {
        const hasSources = k >= K && (before.counts[k - K] as number) > 0;
        if (hasSources) withSources++;
        else if (k >= K) without++;
        const expected = (before.tokens[k] as Float32Array).map(
          (x, c) => x + (hasSources ? 2 : 1) * constant(c),
        );
        // No hidden state is beyond 4 + 3, no token beyond twice that.
        const bound = hasSources ? (N + 10) * u * 14 + N * FLUSHED : 0;
        expectClose('tokens', host(token), [token.length], expected, () => bound);
      });
    });
    expect(withSources).toBeGreaterThan(COUNT / 2);
    expect(without).toBeGreaterThan(COUNT / 2);
  });
});

describe('VZ-4 laws of the output', () => {
  it('VZ-4.2 P-57 an image of a batch gives, to the bit, what it gives alone', async () => {
    const images = drawn.map((_, i) => i % names.length); // its place in the batch of the case
    const alone = await zipAll(
      gpu,
      drawn.map(({ K, M }, i) => ({
        data: inputs[i]?.[images[i] as number] as ZipData,
        options: { dominantCount: K, contextualCount: M },
      })),
    );
    judgeEach(drawn, (_, i) => {
      const [expected] = resultsOf(alone[i] as ZipHosts);
      expect(results[i]?.[images[i] as number], names[images[i] as number]).toEqual(expected);
    });
  });
});
