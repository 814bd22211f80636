import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type DecoderStep, decoderStep, emptyCache, type LlamaConfig } from '../../../src/models/index.ts';
import { dispose, readAll, ShapeError, slice, type Tensor, tensor, tidy } from '../../../src/tensor/index.ts';
import * as oracle from '../../oracle/llama.ts';
import { cached } from '../../support/cached.ts';
import { judgeEach } from '../../support/cases.ts';
import { expectBits } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import type { Host } from '../../support/recipe.ts';
import { expectAccepted, expectRejected } from '../../support/rejections.ts';
import { expectRelative, rms } from '../../support/relative.ts';
import { grid, type HostLlama, onDevice, plain, tinyLlama } from '../../support/tiny-models.ts';

const gpu = await testGpu();

interface Sizes {
  readonly H: number;
  readonly G: number;
  readonly D: number;
  readonly C: number;
  readonly I: number;
  readonly V: number;
  readonly layers: number;
}

function decoder({ H, G, D, C, I, V, layers }: Sizes, more: Partial<LlamaConfig> = {}): LlamaConfig {
  return {
    hiddenSize: C,
    intermediateSize: I,
    layerCount: layers,
    headCount: H,
    keyValueHeadCount: G,
    headSize: D,
    vocabSize: V,
    normEps: 1e-5,
    ropeTheta: 10_000,
    ropeFactor: 1,
    maxPositions: 40,
    tieWordEmbeddings: false,
    ...more,
  };
}

const decoders: Readonly<Record<string, LlamaConfig>> = {
  'MHA, heads of 8': decoder({ H: 4, G: 4, D: 8, C: 32, I: 48, V: 61, layers: 2 }),
  'GQA 4/2, heads of 16': decoder(
    { H: 4, G: 2, D: 16, C: 64, I: 88, V: 97, layers: 2 },
    { ropeTheta: 500_000, normEps: 1e-2 },
  ),
  'GQA 6/1, heads of 20': decoder({ H: 6, G: 1, D: 20, C: 36, I: 50, V: 33, layers: 3 }),
  'GQA 6/3, heads of 6, a tied head': decoder(
    { H: 6, G: 3, D: 6, C: 10, I: 15, V: 7, layers: 2 },
    { tieWordEmbeddings: true, ropeTheta: 100 },
  ),
};
const gqa = decoders['GQA 4/2, heads of 16'] as LlamaConfig;
const mha = decoders['MHA, heads of 8'] as LlamaConfig;

const randomDecoders: fc.Arbitrary<{ config: LlamaConfig; B: number; T: number }> = fc
  .record({
    G: fc.integer({ min: 1, max: 3 }),
    share: fc.integer({ min: 1, max: 3 }),
    halfHead: fc.integer({ min: 1, max: 6 }),
    C: fc.integer({ min: 3, max: 24 }),
    I: fc.integer({ min: 1, max: 30 }),
    V: fc.integer({ min: 1, max: 40 }),
    layers: fc.integer({ min: 1, max: 3 }),
    B: fc.integer({ min: 1, max: 2 }),
    T: fc.integer({ min: 1, max: 12 }),
    tied: fc.boolean(),
    theta: fc.constantFrom(10, 10_000, 500_000),
    factor: fc.constantFrom(1, 1, 1.5, 8),
  })
  .map(({ G, share, halfHead, C, I, V, layers, B, T, tied, theta, factor }) => ({
    config: decoder(
      { H: G * share, G, D: 2 * halfHead, C, I, V, layers },
      { tieWordEmbeddings: tied, ropeTheta: theta, ropeFactor: factor },
    ),
    B,
    T,
  }));

interface Job {
  readonly llama: HostLlama;
  readonly embeds: Host<Float32Array>; //      [B, T, C]
  readonly chunks?: readonly number[]; // lengths of the steps, T in all
}

interface Done {
  readonly logits: readonly Host<Float32Array>[]; // of each step, [B, V]
  readonly keys: readonly Host<Float32Array>[]; //   of each layer after the last step
  readonly values: readonly Host<Float32Array>[];
  readonly length: number;
}

/** Runs all jobs before anything is read. */
async function decodeAll(jobs: readonly Job[]): Promise<Done[]> {
  const runs = tidy(gpu, () => jobs.map(steps));
  const tensors = runs.map((run) => {
    const last = run.at(-1);
    const layers = last === undefined ? [] : cached(last.cache);
    return [
      run.map(({ logits }) => logits),
      layers.map(({ keys }) => keys),
      layers.map(({ values }) => values),
    ] as const;
  });
  const flat: Tensor[] = tensors.flat(2);
  const read = await readAll(gpu, flat);
  const lengths = runs.map((run) => run.at(-1)?.cache.length ?? 0);
  dispose(runs, tensors);
  let next = 0;
  const host = ({ shape }: Tensor): Host<Float32Array> => ({ shape, values: read[next++] as Float32Array });
  return tensors.map(([logits, keys, values], i) => ({
    logits: logits.map(host),
    keys: keys.map(host),
    values: values.map(host),
    length: lengths[i] as number,
  }));
}

function steps({ llama, embeds, chunks }: Job): DecoderStep[] {
  const T = embeds.shape[1] as number;
  const weights = onDevice(gpu, llama);
  const all = tensor(gpu, embeds.values, embeds.shape);
  let cache = emptyCache(gpu, weights, T);
  let begin = 0;
  return (chunks ?? [T]).map((length) => {
    const step = decoderStep(weights, slice(all, 1, begin, begin + length), cache);
    begin += length;
    cache = step.cache;
    return step;
  });
}

function embedsOf(name: string, { hiddenSize: C }: LlamaConfig, B: number, T: number): Host<Float32Array> {
  return grid(`${name}.embeds`, [B, T, C]);
}

/** Logits of position t: [B, V]. */
function logitsAt({ logits }: oracle.Run, t: number, B: number, T: number, V: number): Float64Array {
  return Float64Array.from({ length: B * V }, (_, i) => {
    const b = Math.floor(i / V);
    return logits[(b * T + t) * V + (i % V)] as number;
  });
}

function expectRun(label: string, got: Done, { llama, embeds, chunks }: Job): void {
  const { vocabSize: V, keyValueHeadCount: G, headSize: D } = llama.config;
  const [B, T] = embeds.shape as [number, number];
  const expected = oracle.run(plain(llama), embeds.values, B, T);
  let t = -1;
  (chunks ?? [T]).forEach((length, i) => {
    t += length;
    const logits = got.logits[i] as Host<Float32Array>;
    expectRelative(`${label}: logits of ${t}`, logits, [B, V], logitsAt(expected, t, B, T, V));
  });
  expected.keys.forEach((keys, i) => {
    expectRelative(`${label}: keys ${i}`, got.keys[i] as Host<Float32Array>, [B, G, T, D], keys);
  });
  expected.values.forEach((values, i) => {
    expectRelative(`${label}: values ${i}`, got.values[i] as Host<Float32Array>, [B, G, T, D], values);
  });
  expect(got.length, label).toBe(T);
}

describe('M-5 Llama decoder', () => {
  for (const [name, config] of Object.entries(decoders)) {
    it(`M-5.1 ${name}: keys, values and logits of every layer are what the oracle says`, async () => {
      const llama = tinyLlama(name, config);
      const jobs = [1, 2].map((B) => ({ llama, embeds: embedsOf(`${name} ${B}`, config, B, 5 + 6 * B) }));
      const done = await decodeAll(jobs);
      jobs.forEach((job, i) => {
        expectRun(name, done[i] as Done, job);
      });
    });

    it(`M-5.4 ${name}: steps over parts of a sequence give the logits of the whole`, async () => {
      const llama = tinyLlama(name, config);
      const embeds = embedsOf(name, config, 2, 13);
      const splits = [[13], Array(13).fill(1), [12, 1], [1, 12], [3, 1, 1, 5, 3], [6, 7]];
      const jobs = splits.map((chunks) => ({ llama, embeds, chunks }));
      const done = await decodeAll(jobs);
      const whole = done[0] as Done;
      jobs.forEach((job, i) => {
        const label = `${name} by ${job.chunks}`;
        expectRun(label, done[i] as Done, job);
        const [last, expected] = [(done[i] as Done).logits.at(-1), whole.logits[0]];
        expectRelative(label, last as Host<Float32Array>, expected?.shape ?? [], expected?.values ?? []);
      });
    });
  }

  it('M-5.2 the last positions of a long sequence are turned by their own angle', async () => {
    const config = { ...mha, layerCount: 1, maxPositions: 300 };
    const llama = tinyLlama('long', config);
    const job = { llama, embeds: embedsOf('long', config, 1, 260), chunks: [257, 1, 2] };
    const [done] = await decodeAll([job]);
    expectRun('long', done as Done, job);
  });

  it('M-5.8 with linear scaling the angle is that of the position divided by the factor', async () => {
    const config = { ...mha, layerCount: 2, ropeFactor: 2.5, maxPositions: 100 };
    const llama = tinyLlama('scaled', config);
    const job = { llama, embeds: embedsOf('scaled', config, 1, 45), chunks: [40, 4, 1] };
    const [done] = await decodeAll([job]);
    expectRun('scaled', done as Done, job);
  });

  it('M-5.2 the same token has other keys at another position, and the same values', async () => {
    const config = { ...mha, layerCount: 1 };
    const { hiddenSize: C, keyValueHeadCount: G, headSize: D } = config;
    const one = grid('token', [1, 1, C]).values;
    const embeds = {
      values: Float32Array.from({ length: 3 * C }, (_, i) => one[i % C] as number),
      shape: [1, 3, C],
    };
    const [done] = (await decodeAll([{ llama: tinyLlama('same', config), embeds }])) as [Done];
    const at = ({ values }: Host<Float32Array>, t: number): number[] =>
      Array.from({ length: G * D }, (_, i) => values[(Math.floor(i / D) * 3 + t) * D + (i % D)] as number);
    const [keys, values] = [done.keys[0], done.values[0]] as [Host<Float32Array>, Host<Float32Array>];
    expect(at(values, 1)).toEqual(at(values, 0));
    expect(at(values, 2)).toEqual(at(values, 0));
    const difference = at(keys, 1).map((key, i) => key - (at(keys, 2)[i] as number));
    expect(rms(difference)).toBeGreaterThan(0.1);
    // A rotation keeps the length of a pair.
    const lengthOf = (t: number, g: number, d: number): number =>
      Math.hypot(at(keys, t)[g * D + d] as number, at(keys, t)[g * D + d + D / 2] as number);
    for (let g = 0; g < G; g++) {
      for (let d = 0; d < D / 2; d++) expect(lengthOf(2, g, d)).toBeCloseTo(lengthOf(0, g, d), 5);
    }
  });

  it('M-5.2 a key head that is stored once for two query heads is as good as two copies of it', async () => {
    const llama = tinyLlama('copies', gqa);
    const { hiddenSize: C, headSize: D } = gqa;
    const twice = ({ weight }: { weight: Host<Float32Array> }) => {
      const row = (n: number): number => Math.floor(n / (2 * D)) * D + (n % D);
      const values = Float32Array.from(
        { length: 2 * weight.values.length },
        (_, i) => weight.values[row(Math.floor(i / C)) * C + (i % C)] as number,
      );
      return { weight: { values, shape: [4 * D, C] } };
    };
    const copied: HostLlama = {
      ...llama,
      config: { ...gqa, keyValueHeadCount: 4 },
      layers: llama.layers.map((layer) => ({ ...layer, key: twice(layer.key), value: twice(layer.value) })),
    };
    const embeds = embedsOf('copies', gqa, 2, 9);
    const [one, two] = (await decodeAll([
      { llama, embeds },
      { llama: copied, embeds },
    ])) as [Done, Done];
    const [expected, got] = [one.logits[0], two.logits[0]] as [Host<Float32Array>, Host<Float32Array>];
    expectRelative('logits', got, expected.shape, expected.values);
  });

  it('M-5.3 changing a later token does not change a bit of what comes before it', async () => {
    const llama = tinyLlama('causal', gqa);
    const [T, from] = [12, 7];
    const C = gqa.hiddenSize;
    const embeds = embedsOf('causal', gqa, 1, T);
    const changed = {
      ...embeds,
      values: embeds.values.map((value, i) => (i < from * C ? value : 1 - value)),
    };
    const chunks = [from, T - from];
    const done = await decodeAll([
      { llama, embeds },
      { llama, embeds: changed },
      { llama, embeds, chunks },
      { llama, embeds: changed, chunks },
    ]);
    const prefix = ({ values, shape }: Host<Float32Array>): Host<Float32Array> => {
      const D = shape[3] as number;
      const kept = values.filter((_, i) => Math.floor(i / D) % T < from);
      return { values: kept, shape: [kept.length] };
    };
    for (const [one, two] of [done.slice(0, 2), done.slice(2)] as [Done, Done][]) {
      for (const name of ['keys', 'values'] as const) {
        one[name].forEach((expected, i) => {
          const { values, shape } = prefix(expected);
          expectBits(`${name} of layer ${i}`, prefix(two[name][i] as Host<Float32Array>), shape, values);
        });
      }
      expect(two.logits.at(-1)?.values).not.toEqual(one.logits.at(-1)?.values);
    }
    const [first, second] = [done[2], done[3]] as [Done, Done];
    const logits = first.logits[0] as Host<Float32Array>;
    expectBits('logits', second.logits[0] as Host<Float32Array>, logits.shape, logits.values);
  });

  it('M-5.3 sequences of a batch do not influence each other', async () => {
    const llama = tinyLlama('batch', gqa);
    const embeds = embedsOf('batch', gqa, 2, 6);
    const half = embeds.values.length / 2;
    const changed = { ...embeds, values: embeds.values.map((value, i) => (i < half ? value : 1 - value)) };
    const alone = { values: embeds.values.slice(0, half), shape: [1, ...embeds.shape.slice(1)] };
    const [one, two, single] = (await decodeAll(
      [embeds, changed, alone].map((each) => ({ llama, embeds: each })),
    )) as [Done, Done, Done];
    const V = gqa.vocabSize;
    const first = (done: Done) => ({
      values: (done.logits[0] as Host<Float32Array>).values.slice(0, V),
      shape: [1, V],
    });
    expectBits('logits', first(two), [1, V], first(one).values);
    expectRelative('logits', first(single), [1, V], first(one).values);
  });

  it('M-5.5 logits belong to the rows of the head', async () => {
    const llama = tinyLlama('rows', mha);
    const { hiddenSize: C, vocabSize: V } = mha;
    const { values, shape } = llama.head.weight;
    const reversed = values.map((_, i) => values[(V - 1 - Math.floor(i / C)) * C + (i % C)] as number);
    const embeds = embedsOf('rows', mha, 1, 4);
    const [one, two] = (await decodeAll([
      { llama, embeds },
      { llama: { ...llama, head: { weight: { values: reversed, shape } } }, embeds },
    ])) as [Done, Done];
    const expected = one.logits[0] as Host<Float32Array>;
    expectBits('logits', two.logits[0] as Host<Float32Array>, [1, V], expected.values.toReversed());
  });

  it('M-5.5 a tied head is the embedding', async () => {
    const config = { ...mha, tieWordEmbeddings: true };
    const tied = tinyLlama('tied', config);
    expect(tied.head.weight).toBe(tied.tokenEmbedding);
    const copy = { ...tied.tokenEmbedding, values: tied.tokenEmbedding.values.slice() };
    const embeds = embedsOf('tied', config, 1, 4);
    const [one, two] = (await decodeAll([
      { llama: tied, embeds },
      { llama: { ...tied, head: { weight: copy } }, embeds },
    ])) as [Done, Done];
    const expected = two.logits[0] as Host<Float32Array>;
    expectBits('logits', one.logits[0] as Host<Float32Array>, expected.shape, expected.values);
  });

  it('M-5.6 whatever the sizes, keys, values and logits are what the oracle says', async () => {
    const drawn = fc.sample(randomDecoders, { seed: 5, numRuns: 60 });
    const jobs = drawn.map(({ config, B, T }, i) => ({
      llama: tinyLlama(`random ${i}`, config),
      embeds: embedsOf(`random ${i}`, config, B, T),
      chunks: T > 2 ? [T - 2, 1, 1] : [T],
    }));
    const done = await decodeAll(jobs);
    judgeEach(drawn, (_, i) => expectRun('random decoders', done[i] as Done, jobs[i] as Job));
  });

  it('M-5.7 a sequence that outgrows its cache is rejected', () => {
    tidy(gpu, () => {
      const weights = onDevice(gpu, tinyLlama('outgrown', mha));
      const embeds = (T: number) =>
        tensor(gpu, new Float32Array(T * mha.hiddenSize).fill(1), [1, T, mha.hiddenSize]);
      const [one, four, five] = [embeds(1), embeds(4), embeds(5)];
      const cache = emptyCache(gpu, weights, 4);
      expectAccepted(gpu, () => decoderStep(weights, four, cache));
      expectRejected(gpu, RangeError, () => decoderStep(weights, five, cache));
      const full = decoderStep(weights, four, cache).cache;
      expectRejected(gpu, RangeError, () => decoderStep(weights, one, full));
    });
  });

  it('M-5.7 a cache for more positions than the model has is rejected', () => {
    tidy(gpu, () => {
      const weights = onDevice(gpu, tinyLlama('positions', mha));
      expectAccepted(gpu, () => emptyCache(gpu, weights, mha.maxPositions));
      expectRejected(gpu, RangeError, () => emptyCache(gpu, weights, mha.maxPositions + 1));
    });
  });

  it("M-5.7 sizes that are not the model's are rejected", () => {
    tidy(gpu, () => {
      const weights = onDevice(gpu, tinyLlama('sizes', mha));
      const C = mha.hiddenSize;
      const cache = emptyCache(gpu, weights, 6);
      const embeds = (...shape: number[]) =>
        tensor(gpu, new Float32Array(shape.reduce((product, length) => product * length, 1)), shape);
      const [two, alone, wide, flat, none] = [
        embeds(2, 1, C),
        embeds(1, 1, C),
        embeds(1, 1, C + 1),
        embeds(1, C),
        embeds(1, 0, C),
      ];
      expectAccepted(gpu, () => decoderStep(weights, alone, cache));
      expectRejected(gpu, ShapeError, () => decoderStep(weights, wide, cache));
      expectRejected(gpu, ShapeError, () => decoderStep(weights, flat, cache));
      expectRejected(gpu, RangeError, () => decoderStep(weights, none, cache));
      const begun = decoderStep(weights, two, cache).cache;
      expectRejected(gpu, ShapeError, () => decoderStep(weights, alone, begun));
    });
  });
});
