import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { ShapeError, tensor, tidy } from '../../src/tensor/index.ts';
import { paperBudgets, type VisionZipOptions, visionZip } from '../../src/visionzip/index.ts';
import * as oracle from '../oracle/vision-zip.ts';
import { judgeEach } from '../support/cases.ts';
import { expectBits, expectClose, FLUSHED, u } from '../support/closeness.ts';
import { testGpu } from '../support/gpu.ts';
import { checkProperty } from '../support/property.ts';
import { expectAccepted, expectRejected } from '../support/rejections.ts';
import { imagesOf, type ZipCase, type ZipData, zipCases, zipData } from '../support/zip-cases.ts';
import {
  isAdmissible,
  isForced,
  namedHosts,
  outputsOf,
  resultsOf,
  scoreBound,
  similarityBounds,
  type ZipHosts,
  type ZipResult,
  zipAll,
} from '../support/zip-results.ts';

const gpu = await testGpu();

const COUNT = 300;
const SEED = Number(process.env.SPEC_SEED ?? 20240612);

/** Few tokens with everything awkward, and some with more members than a workgroup has invocations. */
const cases: fc.Arbitrary<ZipCase> = fc.oneof(
  { weight: 14, arbitrary: zipCases(40) },
  { weight: 1, arbitrary: zipCases(90) },
  {
    weight: 1,
    arbitrary: zipCases(1).map((one) => ({
      ...one,
      N: 330,
      K: 5,
      M: 1 + (one.hidden.seed % 3),
      B: 2,
      D: 4,
      C: 3,
    })),
  },
);

const merges = ['target-plus-mean', 'paper-average'] as const;
type Merge = (typeof merges)[number];

interface Judged {
  readonly got: ZipResult;
  readonly image: oracle.Image;
  readonly drawn: ZipCase;
  readonly merge: Merge;
}

const options = ({ K, M }: ZipCase, merge?: Merge): VisionZipOptions => ({
  dominantCount: K,
  contextualCount: M,
  ...(merge === undefined ? {} : { merge }),
});

let shared: readonly ZipCase[] = [];
let data: readonly ZipData[] = [];
const outputs = new Map<Merge, readonly ZipHosts[]>();

beforeAll(async () => {
  shared = fc.sample(cases, { seed: SEED, numRuns: COUNT });
  data = shared.map(zipData);
  for (const merge of merges) {
    const jobs = shared.map((drawn, i) => ({
      data: data[i] as ZipData,
      options: options(drawn, merge === 'paper-average' ? merge : undefined), // the other is the default
    }));
    outputs.set(merge, await zipAll(gpu, jobs));
  }
});

let isShrunk = false;

/** Holds for every image of the cases that all tests share. The first test that fails runs its case again, and shrinks it. */
function holds(title: string, judge: (judged: Judged) => void, merge: Merge = 'target-plus-mean'): void {
  const judgeHosts = (hosts: ZipHosts, inputs: ZipData, drawn: ZipCase): void => {
    const images = imagesOf(inputs);
    resultsOf(hosts).forEach((got, b) => {
      judge({ got, image: images[b] as oracle.Image, drawn, merge });
    });
  };
  it(title, async () => {
    const hosts = outputs.get(merge) as readonly ZipHosts[];
    try {
      judgeEach(shared, (drawn, i) => judgeHosts(hosts[i] as ZipHosts, data[i] as ZipData, drawn));
    } catch (error) {
      if (isShrunk) throw error;
      isShrunk = true;
      await checkProperty(gpu, {
        cases,
        count: COUNT,
        data: zipData,
        run: (input, drawn) => outputsOf(visionZip(input, options(drawn, merge))),
        judge: (found, inputs, drawn) => judgeHosts(namedHosts(found), inputs, drawn),
      });
      throw error;
    }
  });
}

/** What the oracle says once it has decided as the result did. */
function forcedTo({ got, image, drawn: { K, M }, merge }: Judged): oracle.Zip {
  return oracle.zip(image, { K, M, merge }, { kept: got.kept, assignment: got.assignment });
}

const ascending = (a: number, b: number): number => a - b;
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const zeros = (...shape: number[]) =>
  tensor(gpu, new Float32Array(shape.reduce((product, length) => product * length, 1)), shape);

describe('VZ-1 arguments', () => {
  it('VZ-1.1 counts that are negative, fractional or together more than the tokens are rejected', () => {
    tidy(gpu, () => {
      const input = { hiddenStates: zeros(1, 6, 2), clsAttention: zeros(1, 2, 6), keys: zeros(1, 2, 6, 3) };
      const zip = (dominantCount: number, contextualCount: number) => () =>
        visionZip(input, { dominantCount, contextualCount });
      for (const [K, M] of [
        [4, 2],
        [1, 5],
        [1, 0],
        [6, 0],
        [5, 1],
        [1, 1],
      ] as const)
        expectAccepted(gpu, zip(K, M));
      const wrong = [
        [0, 2],
        [0, 0],
        [-1, 2],
        [4, 3],
        [1, 6],
        [6, 1],
        [7, 0],
        [2, -1],
      ] as const;
      for (const [K, M] of wrong) expectRejected(gpu, RangeError, zip(K, M));
      const notCounts = [Number.NaN, 1.5, Number.POSITIVE_INFINITY];
      for (const bad of notCounts) {
        expectRejected(gpu, RangeError, zip(bad, 1));
        expectRejected(gpu, RangeError, zip(2, bad));
      }
    });
  });

  it('VZ-1.1 of one token left over, no more than one contextual token can be made', () => {
    tidy(gpu, () => {
      const input = { hiddenStates: zeros(1, 6, 2), clsAttention: zeros(1, 2, 6), keys: zeros(1, 2, 6, 3) };
      expectAccepted(gpu, () => visionZip(input, { dominantCount: 5, contextualCount: 1 }));
      expectRejected(gpu, RangeError, () => visionZip(input, { dominantCount: 5, contextualCount: 2 }));
    });
  });

  it('VZ-1.1 an unknown way of merging and columns that do not divide the patches are rejected', () => {
    tidy(gpu, () => {
      const input = { hiddenStates: zeros(1, 7, 2), clsAttention: zeros(1, 2, 7), keys: zeros(1, 2, 7, 3) };
      const zip = (more: object) => () => visionZip(input, { dominantCount: 2, contextualCount: 1, ...more });
      expectAccepted(gpu, zip({ merge: 'paper-average', gridColumns: 3 }));
      expectRejected(gpu, RangeError, zip({ merge: 'mean' }));
      for (const gridColumns of [0, -1, 1.5, 4]) expectRejected(gpu, RangeError, zip({ gridColumns }));
    });
  });

  it('VZ-1.2 hidden states, attention and keys of different layers are rejected', () => {
    tidy(gpu, () => {
      const [B, N, C, H, D] = [2, 6, 4, 2, 3];
      const right = { hiddenStates: zeros(B, N, C), clsAttention: zeros(B, H, N), keys: zeros(B, H, N, D) };
      const wrong = [
        { hiddenStates: zeros(B, N + 1, C) },
        { hiddenStates: zeros(B + 1, N, C) },
        { hiddenStates: zeros(B * N, C) },
        { clsAttention: zeros(B, H, N + 1) },
        { clsAttention: zeros(B, H + 1, N) },
        { clsAttention: zeros(1, H, N) },
        { clsAttention: zeros(B, H, N, N) },
        { keys: zeros(B, H, N - 1, D) },
        { keys: zeros(B, H + 1, N, D) },
        { keys: zeros(B, N, D) },
      ];
      const zip = (input: typeof right) => () => visionZip(input, { dominantCount: 2, contextualCount: 1 });
      expectAccepted(gpu, zip(right));
      for (const part of wrong) expectRejected(gpu, ShapeError, zip({ ...right, ...part }));
    });
  });
});

describe('VZ-2 dominant tokens', () => {
  holds('VZ-2.1 scores are the attention of CLS, summed over the heads', ({ got, image }) => {
    const expected = oracle.scoresOf(image.attention);
    const H = image.attention.length;
    expectClose('scores', host(got.scores), [expected.length], expected, (i) =>
      scoreBound(H, expected[i] as number),
    );
  });

  holds(
    'VZ-2.2 P-39 CLS and the K − 1 patches with the highest scores are kept',
    ({ got, image, drawn: { K } }) => {
      expect(got.kept).toHaveLength(K);
      expect(got.kept[0]).toBe(0);
      const patches = got.kept.slice(1).map((token) => token - 1);
      const left = upTo(got.scores.length).filter((patch) => !patches.includes(patch));
      const weakest = Math.min(...patches.map((patch) => got.scores[patch] as number));
      const strongest = Math.max(...left.map((patch) => got.scores[patch] as number));
      expect(weakest).toBeGreaterThanOrEqual(strongest);
      // By the f64 scores, too: a patch that is better by more than the bounds is never left out for another.
      const exact = oracle.scoresOf(image.attention);
      const bound = (patch: number): number => scoreBound(image.attention.length, exact[patch] as number);
      const floor = Math.min(...patches.map((patch) => (exact[patch] as number) + bound(patch)));
      const ceiling = Math.max(...left.map((patch) => (exact[patch] as number) - bound(patch)));
      expect(floor).toBeGreaterThanOrEqual(ceiling);
    },
  );

  holds('VZ-2.3 of equal scores the lower patch wins', ({ got, drawn: { K } }) => {
    const expected = oracle.strongest(got.scores, K - 1).map((patch) => patch + 1);
    expect(got.kept).toEqual([0, ...expected.sort(ascending)]);
  });

  it('VZ-2.3 of flat scores the first patches are kept, with ties at the cut too', async () => {
    const one = zipData({ ...plainCase, N: 70, K: 9, M: 0 });
    const flat = {
      ...one,
      clsAttention: { ...one.clsAttention, values: one.clsAttention.values.fill(1 / 64) },
    };
    const [N, H] = [70, plainCase.H];
    const raised = flat.clsAttention.values.map((p, i) => (i % N === 50 || i % N === 3 ? 2 * p : p));
    const [first, second] = (await zipAll(gpu, [
      { data: flat, options: options({ ...plainCase, K: 9, M: 4 }) },
      {
        data: { ...flat, clsAttention: { values: raised, shape: [1, H, N] } },
        options: options({ ...plainCase, K: 5, M: 4 }),
      },
    ])) as [ZipHosts, ZipHosts];
    expect(Array.from(first.keptTokenIndices.values)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(Array.from(second.keptTokenIndices.values)).toEqual([0, 1, 2, 3, 50]);
    expect(Array.from(second.keptTokenIndicesByScore.values)).toEqual([0, 3, 50, 1, 2]);
  });

  holds('VZ-2.4 P-37 P-38 dominant tokens are the unchanged hidden states, in ascending order', (judged) => {
    const { got, image, drawn } = judged;
    expect(got.tokens).toHaveLength(drawn.K + drawn.M);
    expect(got.kept[0]).toBe(0);
    got.kept.forEach((token, k) => {
      if (k > 0) expect(token).toBeGreaterThan(got.kept[k - 1] as number);
      const expected = image.hidden[token] as Float32Array;
      expectBits(`token ${token}`, host(got.tokens[k] as Float32Array), [expected.length], expected);
    });
  });

  holds(
    'VZ-2.5 P-58 kept tokens are returned by falling score, and with their places in the grid',
    (judged) => {
      const { got, drawn } = judged;
      const byScore = oracle.strongest(got.scores, drawn.K - 1).map((patch) => patch + 1);
      expect(got.keptByScore).toEqual([0, ...byScore]);
      expect([...got.keptByScore].sort(ascending)).toEqual(got.kept);
      const P = drawn.N - 1;
      const columns = Number.isInteger(Math.sqrt(P)) ? Math.sqrt(P) : P;
      const patches = got.kept.slice(1).map((token) => token - 1);
      expect(got.positions).toEqual(
        patches.flatMap((patch) => [Math.floor(patch / columns), patch % columns]),
      );
    },
  );

  it('VZ-2.5 the places are those of a grid with as many columns as are given', async () => {
    const one = { ...plainCase, N: 13, K: 13, M: 0 };
    const [hosts] = await zipAll(gpu, [{ data: zipData(one), options: { ...options(one), gridColumns: 4 } }]);
    const expected = upTo(12).flatMap((patch) => [Math.floor(patch / 4), patch % 4]);
    expect(Array.from(hosts?.keptPositions.values ?? [])).toEqual(expected);
    expect(hosts?.keptPositions.shape).toEqual([1, 12, 2]);
  });

  holds('VZ-2.6 the weakest kept and the strongest left-out score are returned', ({ got, drawn }) => {
    const patches = got.keptByScore.slice(1).map((token) => token - 1);
    const left = upTo(drawn.N - 1).filter((patch) => !patches.includes(patch));
    const score = (patch: number): number => got.scores[patch] as number;
    const expected =
      patches.length === 0 || left.length === 0
        ? []
        : [Math.min(...patches.map(score)), Math.max(...left.map(score))];
    expect(Array.from(got.cutScores)).toEqual(expected);
  });
});

describe('VZ-3 contextual tokens', () => {
  holds('VZ-3.1 targets are the places 0, s, 2s, … of the tokens left over', ({ got, drawn: { N, M } }) => {
    const rest = upTo(N).filter((token) => !got.kept.includes(token));
    const step = Math.max(1, Math.floor(rest.length / M));
    expect(got.targets).toEqual(upTo(M).map((m) => rest[m * step]));
  });

  it('VZ-3.1 P-55 however many tokens are left over', async () => {
    for (let R = 1; R <= 600; R++) {
      for (let M = 1; M <= R; M++) {
        const places = oracle.targetPlaces(R, M);
        const step = Math.floor(R / M);
        if (places.length !== M || places.at(-1) !== (M - 1) * step || places[0] !== 0) {
          throw new Error(`oracle at R = ${R}, M = ${M}: got ${places}`);
        }
      }
    }
    // With K = 1 the token after place p is p + 1.
    const any = fc.record({ R: fc.integer({ min: 1, max: 600 }), m: fc.integer({ min: 1, max: 600 }) });
    const pairs = fc.sample(any, { seed: SEED, numRuns: 200 }).map(({ R, m }) => [R, 1 + (m % R)] as const);
    for (const M of upTo(26)) pairs.push([26, M], [25, Math.min(M, 25)]);
    pairs.push([523, 10], [469, 20], [415, 30], [386, 30], [550, 5], [600, 599], [600, 301], [599, 300]);
    const jobs = pairs.map(([R, M]) => {
      const one = { ...plainCase, N: R + 1, K: 1, M, H: 1, D: 2, C: 1 };
      return { data: zipData(one), options: options(one) };
    });
    const hosts = await zipAll(gpu, jobs);
    pairs.forEach(([R, M], i) => {
      const expected = oracle.targetPlaces(R, M).map((place) => place + 1);
      expect(Array.from(hosts[i]?.targetTokenIndices.values ?? []), `R = ${R}, M = ${M}`).toEqual(expected);
    });
  });

  holds('VZ-3.2 sources are all other tokens left over; kept tokens are not merged', ({ got, drawn }) => {
    const merged = drawn.M === 0 ? [] : upTo(drawn.N);
    const taken = new Set([...got.kept, ...got.targets]);
    expect(got.sources).toEqual(merged.filter((token) => !taken.has(token)));
    expect(taken.size).toBe(drawn.K + drawn.M);
  });

  holds('VZ-3.3 a source is folded into the target whose mean key is nearest by the cosine', (judged) => {
    const { got, image } = judged;
    const zip = forcedTo(judged);
    const bounds = similarityBounds(image, zip);
    expect(got.assignment).toHaveLength(zip.sources.length);
    got.assignment.forEach((group, s) => {
      const [similarity, bound] = [zip.similarity[s], bounds[s]] as [number[], number[]];
      expect(group).toBeLessThan(judged.drawn.M);
      if (!isAdmissible(similarity, bound, group)) {
        throw new Error(`source ${s}: expected the nearest of ${similarity}, within ${bound}, got ${group}`);
      }
    });
  });

  it('VZ-3.3 most of these decisions leave no choice', () => {
    let forcedCount = 0;
    let sourceCount = 0;
    shared.forEach(({ K, M }, i) => {
      for (const image of imagesOf(data[i] as ZipData)) {
        const zip = oracle.zip(image, { K, M });
        const bounds = similarityBounds(image, zip);
        zip.assignment.forEach((group, s) => {
          sourceCount++;
          if (isForced(zip.similarity[s] as number[], bounds[s] as number[], group)) forcedCount++;
        });
      }
    });
    expect(sourceCount).toBeGreaterThan(10 * COUNT);
    expect(forcedCount / sourceCount).toBeGreaterThan(0.5);
  });

  holds('VZ-3.4 of targets with the same keys the lowest is chosen', ({ got, image }) => {
    const keyOf = (token: number): string => image.keys.map((head) => String(head[token])).join();
    const lowest = new Map<string, number>();
    got.targets.forEach((target, m) => {
      if (!lowest.has(keyOf(target))) lowest.set(keyOf(target), m);
    });
    for (const group of got.assignment) expect(lowest.get(keyOf(got.targets[group] as number))).toBe(group);
  });

  holds('VZ-3.5 a contextual token is its target plus the mean of its sources', expectTokens);
  holds('VZ-3.6 by "paper-average" it is the mean of all of them', expectTokens, 'paper-average');

  it('VZ-3.6 the way of merging decides nothing else', () => {
    judgeEach(shared, (_, i) => {
      const [one, two] = merges.map((merge) => outputs.get(merge)?.[i] as ZipHosts) as [ZipHosts, ZipHosts];
      for (const name of Object.keys(one) as (keyof ZipHosts)[]) {
        if (name !== 'tokens') expectBits(name, two[name], one[name].shape, one[name].values);
      }
    });
  });

  holds('VZ-3.5 P-52 a target without sources stays as it is, to the bit', ({ got, image, drawn: { K } }) => {
    got.counts.forEach((count, m) => {
      if (count > 0) return;
      const expected = image.hidden[got.targets[m] as number] as Float32Array;
      expectBits(`target ${m}`, host(got.tokens[K + m] as Float32Array), [expected.length], expected);
    });
  });

  holds(
    'VZ-3.5 P-49 nothing is lost: what all targets gain, times their sources, is the sum of all sources',
    (judged) => {
      const {
        got,
        image,
        drawn: { K, C },
      } = judged;
      expect(got.counts.reduce((sum, count) => sum + count, 0)).toBe(got.sources.length);
      for (let c = 0; c < C; c++) {
        let gained = 0;
        let given = 0;
        let magnitude = 0;
        got.counts.forEach((count, m) => {
          const own = image.hidden[got.targets[m] as number]?.[c] as number;
          gained += count * ((got.tokens[K + m]?.[c] as number) - own);
          magnitude += count * 4 * Math.abs(own);
        });
        for (const source of got.sources) {
          given += image.hidden[source]?.[c] as number;
          magnitude += Math.abs(image.hidden[source]?.[c] as number);
        }
        const bound = (got.sources.length + 8) * u * magnitude + got.sources.length * FLUSHED;
        expect(Math.abs(gained - given)).toBeLessThanOrEqual(bound);
      }
    },
  );

  holds('VZ-3.7 with no contextual tokens the dominant ones are the result', ({ got, drawn }) => {
    if (drawn.M > 0) return;
    expect(got.tokens).toHaveLength(drawn.K);
    const nothing = [got.targets, got.sources, got.assignment, got.counts];
    for (const list of nothing) expect(list).toEqual([]);
  });

  it('VZ-3.8 a key of length zero is as near to every key as to any other', async () => {
    // Tokens 1, 3, 5 are the targets; their keys: zero, right, left. The heads cancel in token 2.
    const up = [
      [0, 0],
      [0, 0],
      [3, -5],
      [2, 0],
      [5, 1],
      [-1, 0],
      [-7, 0],
    ];
    const down = up.map(([x, y], n) => (n === 2 ? [-3, 5] : [x, y]));
    const input = {
      hiddenStates: { values: Float32Array.of(1, 2, 4, 8, 16, 32, 64), shape: [1, 7, 1] },
      clsAttention: { values: new Float32Array(14).fill(0.25), shape: [1, 2, 7] },
      keys: { values: Float32Array.from([up, down].flat(2) as number[]), shape: [1, 2, 7, 2] },
    };
    const [hosts] = (await zipAll(gpu, [
      { data: input, options: { dominantCount: 1, contextualCount: 3 } },
    ])) as [ZipHosts];
    const [got] = resultsOf(hosts) as [ZipResult];
    expect(got.sources).toEqual([2, 4, 6]);
    expect(got.assignment).toEqual([0, 1, 2]);
    expect(got.tokens.map(([x]) => x)).toEqual([1, 6, 24, 96]);
    expect(got.margins[0]).toBe(0);
    expect(got.margins[2]).toBeCloseTo(1, 5); // its second is the key of length zero
  });

  holds('VZ-3.9 the number of sources is that of the assignment', ({ got, drawn: { M } }) => {
    expect(got.counts).toEqual(upTo(M).map((m) => got.assignment.filter((group) => group === m).length));
    expect(got.counts.reduce((sum, count) => sum + count, 0)).toBe(got.sources.length);
  });

  holds('VZ-3.9 a margin says how far the best similarity stands above the second', (judged) => {
    const { got, image } = judged;
    const zip = forcedTo(judged);
    const bounds = similarityBounds(image, zip);
    expect(got.margins).toHaveLength(zip.sources.length);
    zip.similarity.forEach((similarity, s) => {
      const [best, second] = [...similarity].sort((a, b) => b - a);
      // Of a single target it is the similarity itself (T-11.4).
      const expected = (best as number) - (second ?? 0);
      const bound = 2 * Math.max(...(bounds[s] as number[])) + 4 * u;
      expect(Math.abs((got.margins[s] as number) - expected)).toBeLessThanOrEqual(bound);
      if (second !== undefined) expect(got.margins[s]).toBeGreaterThanOrEqual(0);
    });
  });
});

describe('VZ-4 output', () => {
  it('VZ-4.1 the result is the dominant tokens and then the contextual ones: [B, K + M, C]', () => {
    judgeEach(shared, ({ B, N, K, M, C }, i) => {
      const hosts = outputs.get('target-plus-mean')?.[i] as ZipHosts;
      const S = M === 0 ? 0 : N - K - M;
      const shapes = Object.fromEntries(Object.entries(hosts).map(([name, { shape }]) => [name, shape]));
      expect(shapes).toEqual({
        tokens: [B, K + M, C],
        scores: [B, N - 1],
        cutScores: [B, K === 1 || K === N ? 0 : 2],
        assignmentMargins: [B, S],
        keptTokenIndices: [B, K],
        keptTokenIndicesByScore: [B, K],
        keptPositions: [B, K - 1, 2],
        targetTokenIndices: [B, M],
        sourceTokenIndices: [B, S],
        assignment: [B, S],
        sourceCounts: [B, M],
      });
    });
  });

  it('VZ-4.3 the budgets of the paper are 54 + 10, 108 + 20 and 162 + 30', () => {
    expect([...paperBudgets]).toEqual([
      [64, { dominantCount: 54, contextualCount: 10 }],
      [128, { dominantCount: 108, contextualCount: 20 }],
      [192, { dominantCount: 162, contextualCount: 30 }],
    ]);
  });

  it('VZ-4.3 at these budgets targets and merged tokens are as the original places them', () => {
    // dominant + contextual of 577, tokens left over, step, last target, merged tokens, targets before the cut
    const facts = [
      [54, 10, 523, 52, 468, 513, 11],
      [108, 20, 469, 23, 437, 449, 21],
      [162, 30, 415, 13, 377, 385, 32],
      [191, 30, 386, 12, 348, 356, 33],
      [27, 5, 550, 110, 440, 545, 5],
    ] as const;
    for (const [K, M, R, step, last, merged, candidates] of facts) {
      expect(577 - K).toBe(R);
      const places = oracle.targetPlaces(R, M);
      expect(places).toHaveLength(M);
      expect((places[1] as number) - (places[0] as number)).toBe(step);
      expect(places.at(-1)).toBe(last);
      expect(R - M).toBe(merged);
      expect(Math.ceil(R / step)).toBe(candidates);
    }
  });
});

/** One image without anything awkward. */
const plainCase: ZipCase = {
  B: 1,
  N: 26,
  H: 2,
  D: 4,
  C: 3,
  K: 4,
  M: 3,
  hidden: { dist: 'grid', seed: 1, exp: 0 },
  attention: { dist: 'grid', seed: 2, exp: 0 },
  keys: { dist: 'grid', seed: 3, exp: 0 },
};

function host(values: Float32Array) {
  return { values, shape: [values.length] };
}

function expectTokens(judged: Judged): void {
  const { got, drawn } = judged;
  const { tokens, magnitudes, counts } = forcedTo(judged);
  expect(got.tokens).toHaveLength(drawn.K + drawn.M);
  tokens.forEach((expected, k) => {
    const members = counts[k - drawn.K] ?? 0;
    expectClose(`tokens ${judged.merge}`, host(got.tokens[k] as Float32Array), [drawn.C], expected, (c) => {
      const magnitude = magnitudes[k]?.[c] as number;
      return k < drawn.K ? 0 : (members + 8) * u * magnitude + (members + 2) * FLUSHED;
    });
  });
}
