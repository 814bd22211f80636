// What must not change, or must change in one way only, when the input changes in one way. The changed inputs of a case
// stand beside it in one batch, which VZ-4.2 allows.

import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import * as oracle from '../oracle/vision-zip.ts';
import { judgeEach } from '../support/cases.ts';
import { expectBits, expectClose, FLUSHED, u } from '../support/closeness.ts';
import { testGpu } from '../support/gpu.ts';
import { grid8 } from '../support/grid8.ts';
import { expand, type Host } from '../support/recipe.ts';
import { imagesOf, type ZipCase, type ZipData, zipCases, zipData } from '../support/zip-cases.ts';
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

const COUNT = 250;
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

const raisedPatch = ({ N, attention }: ZipCase): number => attention.seed % Math.max(1, N - 1);

const changes = {
  none: () => ({}),
  'attention doubled': ({ clsAttention }) => ({ clsAttention: map(clsAttention, (p) => 2 * p) }),
  'heads reversed': ({ clsAttention, keys }) => ({
    clsAttention: reverseHeads(clsAttention),
    keys: reverseHeads(keys),
  }),
  'CLS attending to itself': ({ clsAttention }, { N }) => ({
    clsAttention: map(clsAttention, (p, i) => (i % N === 0 ? p + 1e6 : p)),
  }),
  'a patch raised': ({ clsAttention }, drawn) => {
    const most = clsAttention.values.reduce((a, b) => Math.max(a, b), 0);
    const token = 1 + raisedPatch(drawn);
    return { clsAttention: map(clsAttention, (p, i) => (i % drawn.N === token ? 2 * most + 1 : p)) };
  },
  'other hidden states': (_, { N, C, hidden }) => ({
    hiddenStates: expand('other', { ...hidden, dist: 'grid' }, [1, N, C]),
  }),
  'hidden states times 8': ({ hiddenStates }) => ({ hiddenStates: map(hiddenStates, (x) => 8 * x) }),
  'other keys': (_, { N, H, D, keys }) => ({
    keys: expand('other', { ...keys, dist: 'grid' }, [1, H, N, D]),
  }),
  'keys times powers of two': ({ keys }, { N, D, hidden }) => {
    const exponents = grid8(`exponents ${hidden.seed}`, N).map((q) => q % 7);
    return { keys: map(keys, (x, i) => x * 2 ** (exponents[Math.floor(i / D) % N] as number)) };
  },
  'signs of key channels': ({ keys }, { D }) => ({ keys: map(keys, (x, i) => ((i % D) % 2 === 0 ? -x : x)) }),
  'key channels reversed': ({ keys }, { D }) => ({
    keys: map(keys, (_, i) => keys.values[i - 2 * (i % D) + D - 1] as number),
  }),
  'all keys the same': ({ keys }, { N, D }) => ({
    keys: map(keys, (_, i) => ((Math.floor(i / D) / N) % 1 < 2 ? 1 + (i % D) : 0)),
  }),
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

type Part = keyof ZipResult;
const selection: readonly Part[] = ['kept', 'keptByScore', 'positions', 'targets', 'sources'];
const assignment: readonly Part[] = ['assignment', 'counts'];
const measures: readonly Part[] = ['scores', 'cutScores', 'margins'];

function expectSame(before: ZipResult, after: ZipResult, ...parts: readonly Part[]): void {
  for (const part of parts) expect(after[part], part).toEqual(before[part]);
}

const host = (values: Float32Array): Host<Float32Array> => ({ values, shape: [values.length] });

describe('VZ-2 laws of the dominant tokens', () => {
  law(
    'VZ-2.1 twice the attention is twice the scores, and the same decisions',
    'attention doubled',
    (before, after) => {
      expectSame(before, after, ...selection, ...assignment, 'margins', 'tokens');
      for (const name of ['scores', 'cutScores'] as const) {
        expectBits(
          name,
          host(after[name]),
          [before[name].length],
          before[name].map((x) => 2 * x),
        );
      }
    },
  );

  law('VZ-2.1 the order of the heads does not matter', 'heads reversed', (before, after, { H }) => {
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
    'VZ-2.2 a patch raised above all others takes the place of the weakest',
    'a patch raised',
    (before, after, one) => {
      if (one.K === 1) return;
      const token = 1 + raisedPatch(one);
      const [, ...others] = before.keptByScore.filter((kept) => kept !== token);
      const stay = before.kept.includes(token) ? others : others.slice(0, -1);
      expect(after.keptByScore[1]).toBe(token);
      expect(after.keptByScore.slice(2)).toEqual(stay);
    },
  );

  it('VZ-2.2 what is kept of a budget is kept of any larger one', async () => {
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

  law('VZ-2.4 hidden states decide nothing', 'other hidden states', (before, after) => {
    expectSame(before, after, ...selection, ...assignment, ...measures);
  });
});

describe('VZ-3 laws of the contextual tokens', () => {
  law('VZ-3.2 keys decide nothing but the assignment', 'other keys', (before, after, { K }) => {
    expectSame(before, after, ...selection, 'scores', 'cutScores');
    expect(after.tokens.slice(0, K)).toEqual(before.tokens.slice(0, K));
  });

  law('VZ-3.3 the length of a key does not matter', 'keys times powers of two', (before, after) => {
    expectSame(before, after, ...selection, ...assignment, ...measures, 'tokens');
  });

  law(
    'VZ-3.3 the sign of a channel of all keys does not matter',
    'signs of key channels',
    (before, after) => {
      expectSame(before, after, ...selection, ...assignment, ...measures, 'tokens');
    },
  );

  law(
    'VZ-3.3 the order of the channels of all keys does not matter',
    'key channels reversed',
    (before, after, one, i) => {
      expectSame(before, after, ...selection);
      const [image] = imagesOf(inputs[i]?.[0] as ZipData) as [oracle.Image];
      const zip = oracle.zip(image, one, { kept: before.kept });
      const bounds = similarityBounds(image, zip);
      before.assignment.forEach((group, s) => {
        if (!isForced(zip.similarity[s] as number[], bounds[s] as number[], group)) return;
        expect(after.assignment[s]).toBe(group);
      });
    },
  );

  law(
    'VZ-3.4 of keys that are all the same, the first target takes all',
    'all keys the same',
    (_, after, { M }) => {
      for (const group of after.assignment) expect(group).toBe(0);
      if (M > 1) for (const margin of after.margins) expect(margin).toBe(0);
    },
  );

  it('VZ-3.4 two sources that change places change nothing but their own assignment', async () => {
    // By a falling attention the first K − 1 patches are kept, so that the sources are known beforehand.
    const ready = drawn
      .map((one) => ({
        ...one,
        M: one.M === 0 || one.N < one.K + 3 ? one.M : Math.min(one.M, one.N - one.K - 2),
      }))
      .filter(({ N, K, M }) => M > 0 && N - K - M > 1);
    const pairs = ready.map(({ N, K, M, keys }) => {
      const places = oracle.targetPlaces(N - K, M);
      const sources = Array.from({ length: N - K }, (_, place) => place).filter(
        (place) => !places.includes(place),
      );
      const first = keys.seed % sources.length;
      return [first, (first + 1 + (keys.seed % (sources.length - 1))) % sources.length].map(
        (s) => [s, K + (sources[s] as number)] as const,
      );
    });
    const jobs = ready.map((one, i): ZipJob => {
      const falling = {
        shape: [1, one.H, one.N],
        values: Float32Array.from({ length: one.H * one.N }, (_, j) => 1 / (1 + (j % one.N))),
      };
      const data = { ...zipData({ ...one, hidden: { ...one.hidden, dist: 'grid' } }), clsAttention: falling };
      const [[, a], [, b]] = pairs[i] as [readonly [number, number], readonly [number, number]];
      const exchanged = {
        ...data,
        hiddenStates: exchange(data.hiddenStates, a, b),
        keys: exchange(data.keys, a, b),
      };
      return { data: batch([data, exchanged]), options: { dominantCount: one.K, contextualCount: one.M } };
    });
    const zipped = (await zipAll(gpu, jobs)).map(resultsOf);
    expect(ready.length).toBeGreaterThan(COUNT / 4);
    judgeEach(ready, ({ K, N }, i) => {
      const [before, after] = zipped[i] as [ZipResult, ZipResult];
      const [[s], [t]] = pairs[i] as [readonly [number, number], readonly [number, number]];
      const expected = [...before.assignment];
      [expected[s], expected[t]] = [before.assignment[t] as number, before.assignment[s] as number];
      expect(before.kept).toEqual(Array.from({ length: K }, (_, k) => k));
      expect(after.assignment).toEqual(expected);
      const most = (jobs[i] as ZipJob).data.hiddenStates.values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      after.tokens.forEach((token, k) => {
        const bound = k < K ? 0 : 2 * (N + 8) * u * most;
        expectClose('tokens', host(token), [token.length], before.tokens[k] as Float32Array, () => bound);
      });
    });
  });

  law('VZ-3.5 hidden states times 2ⁿ give tokens times 2ⁿ', 'hidden states times 8', (before, after) => {
    expectSame(before, after, ...selection, ...assignment, ...measures);
    after.tokens.forEach((token, k) => {
      const expected = (before.tokens[k] as Float32Array).map((x) => 8 * x);
      expectBits('tokens', host(token), [token.length], expected);
    });
  });

  it('VZ-3.5 a constant on all hidden states comes back twice in a target with sources, once in one without', async () => {
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
  it('VZ-4.2 an image of a batch gives, to the bit, what it gives alone', async () => {
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
