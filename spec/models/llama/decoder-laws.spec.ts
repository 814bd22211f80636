// What holds for every decoder, whatever its weights. SPEC M-5, docs/properties.md 67 to 78.
//
//   B sequences   T positions   C channels   G key heads   D channels per head   V vocabulary
//
// A cache is a value: one of fewer positions is made by cutting its tensors.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type DecoderStep,
  decoderStep,
  emptyCache,
  type KeyValueCache,
  type LlamaConfig,
  type LlamaWeights,
} from '../../../src/models/index.ts';
import { concat, slice, type Tensor } from '../../../src/tensor/index.ts';
import { cached, recached } from '../../support/cached.ts';
import { expectBits, expectClose, FLUSHED } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import { checkProperty, type Property } from '../../support/property.ts';
import { distinct, expand, type Host, recipes } from '../../support/recipe.ts';
import { rms } from '../../support/relative.ts';
import { type HostLlama, onDevice, tinyLlama } from '../../support/tiny-models.ts';

const gpu = await testGpu();

type HostTensor = Host<Float32Array>;

interface Model {
  readonly G: number;
  readonly share: number; //  query heads of a key head
  readonly half: number; //   pairs of a head
  readonly C: number;
  readonly I: number;
  readonly V: number;
  readonly layers: number;
  readonly tied: boolean;
  readonly theta: number;
  readonly factor: number;
  readonly seed: number;
}

const upTo = (max: number, min = 1): fc.Arbitrary<number> => fc.integer({ min, max });

// Widths that are multiples of 4 and others, for which products have different kernels.
const modelFields = (
  layers = 2,
  share = 1,
): { readonly [Name in keyof Model]: fc.Arbitrary<Model[Name]> } => ({
  G: upTo(3),
  share: upTo(3, share),
  half: upTo(4),
  C: fc.constantFrom(8, 3, 5, 12, 16),
  I: fc.constantFrom(4, 1, 7, 16),
  V: fc.constantFrom(16, 2, 5, 32),
  layers: upTo(layers),
  tied: fc.boolean(),
  theta: fc.constantFrom(10_000, 10, 500_000),
  factor: fc.constantFrom(1, 1, 1.5, 8),
  seed: fc.integer({ min: 0, max: 9999 }),
});
const models: fc.Arbitrary<Model> = fc.record(modelFields());

function host({ G, share, half, C, I, V, layers, tied, theta, factor, seed }: Model): HostLlama {
  const config: LlamaConfig = {
    hiddenSize: C,
    intermediateSize: I,
    layerCount: layers,
    headCount: G * share,
    keyValueHeadCount: G,
    headSize: 2 * half,
    vocabSize: V,
    normEps: 1e-5,
    ropeTheta: theta,
    ropeFactor: factor,
    maxPositions: 300,
    tieWordEmbeddings: tied,
  };
  return tinyLlama(`laws ${seed}`, config);
}

const uploaded = (model: Model): LlamaWeights => onDevice(gpu, host(model));

function start(weights: LlamaWeights, embeds: Tensor, positions = 12): DecoderStep {
  return decoderStep(weights, embeds, emptyCache(gpu, weights, positions));
}

/** The first `length` positions of a cache. */
function prefix(cache: KeyValueCache, length: number): KeyValueCache {
  if (length === 0) return { ...cache, length, layers: [] };
  return recached(cache, (rows) => slice(rows, 2, 0, length)); // [B, G, length, D]
}

/** Sequence `b` of a cache. */
function sequence(cache: KeyValueCache, b: number): KeyValueCache {
  return recached(cache, (rows) => slice(rows, 0, b, b + 1)); // [1, G, L, D]
}

const tensorsOf = (cache: KeyValueCache): Tensor[] =>
  cached(cache).flatMap(({ keys, values }) => [keys, values]);

/** Pairs of tensors, one behind the other. */
function paired<T>(first: readonly T[], second: readonly T[]): T[] {
  expect(second.length).toBe(first.length);
  return first.flatMap((x, i) => [x, second[i] as T]);
}

const PARTS = 5;

/** checkProperty in parts, between which the device comes to rest (T-4.5). The salt makes the draws of a part its own. */
async function checkLaw<C, D extends Readonly<Record<string, HostTensor>>, const T extends readonly Tensor[]>(
  law: Property<C, D, T>,
): Promise<void> {
  for (let part = 0; part < PARTS; part++) {
    await checkProperty<{ salt: number[]; drawn: C }, D, T>(gpu, {
      cases: fc.record({ salt: fc.array(fc.nat(), { minLength: part, maxLength: part }), drawn: law.cases }),
      count: 200 / PARTS,
      data: ({ drawn }) => law.data(drawn),
      run: (inputs, { drawn }) => law.run(inputs, drawn),
      judge: (outputs, inputs, { drawn }) => law.judge(outputs, inputs, drawn),
    });
  }
}

type Compare = (label: string, got: HostTensor, expected: HostTensor) => void;

function judgePairs(flat: readonly HostTensor[], compare: Compare): void {
  expect(flat.length).toBeGreaterThan(0);
  for (let i = 0; i < flat.length; i += 2) {
    compare(`pair ${i / 2}`, flat[i + 1] as HostTensor, flat[i] as HostTensor);
  }
}

const bits: Compare = (label, got, { shape, values }) => expectBits(label, got, shape, values);

/** M-5.6: within 1e-4 of the root mean square. */
const near: Compare = (label, got, { shape, values }) => {
  const bound = 1e-4 * rms(values) + FLUSHED;
  expectClose(label, got, shape, values, () => bound);
};

/** The rows `places` of a matrix. */
function rowsBy(x: HostTensor, places: readonly number[]): HostTensor {
  const width = x.shape.at(-1) as number;
  const row = (place: number): number[] => Array.from(x.values.subarray(place * width, (place + 1) * width));
  return { shape: [places.length, width], values: Float32Array.from(places.flatMap(row)) };
}

describe('M-5 Llama decoder, laws', () => {
  it('M-5.3 P-67 another token changes no bit of what stands before it, nor of what follows from that', () =>
    checkLaw({
      cases: fc.record({
        model: models,
        B: upTo(2),
        T: upTo(8, 2),
        at: upTo(7, 0),
        x: recipes(),
        other: recipes(),
      }),
      data: ({ model: { C }, B, T, at, x, other }) => {
        const embeds = expand('x', x, [B, T, C]);
        const others = expand('other', other, [B, T, C]).values;
        const isChanged = (i: number): boolean => Math.floor(i / C) % T === at % T;
        const values = embeds.values.map((value, i) => (isChanged(i) ? (others[i] as number) : value));
        return { embeds, changed: { ...embeds, values }, probe: expand('probe', other, [B, 1, C]) };
      },
      run: ({ embeds, changed, probe }, { model, T, at }) => {
        const weights = uploaded(model);
        const [one, two] = [embeds, changed].map((each) => {
          const kept = prefix(start(weights, each).cache, at % T);
          return [decoderStep(weights, probe, kept).logits, ...tensorsOf(kept)];
        }) as [Tensor[], Tensor[]];
        return paired(one, two);
      },
      judge: (outputs) => judgePairs(outputs, bits),
    }));

  it('M-5.4 P-68 P-69 any split of a sequence gives the logits and the cache of the whole, at every step', () =>
    checkLaw({
      cases: fc.record({
        model: models,
        B: upTo(2),
        T: upTo(5),
        cuts: fc.tuple(fc.boolean(), fc.boolean(), fc.boolean(), fc.boolean()),
        x: recipes(),
      }),
      data: ({ model: { C }, B, T, x }) => ({ embeds: expand('x', x, [B, T, C]) }),
      run: ({ embeds }, { model, T, cuts }) => {
        const weights = uploaded(model);
        const whole = start(weights, embeds);
        const single = stepsUpTo(
          weights,
          embeds,
          Array.from({ length: T }, (_, t) => t + 1),
        );
        const ends = [...cuts.flatMap((isCut, i) => (isCut && i + 1 < T ? [i + 1] : [])), T];
        const parts = stepsUpTo(weights, embeds, ends);
        const last = (steps: readonly DecoderStep[]): DecoderStep => steps.at(-1) as DecoderStep;
        const state = ({ logits, cache }: DecoderStep): Tensor[] => [logits, ...tensorsOf(cache)];
        return [
          ...paired(state(whole), state(last(single))),
          ...paired(state(whole), state(last(parts))),
          ...parts.flatMap(({ logits }, i) => [
            (single[(ends[i] as number) - 1] as DecoderStep).logits,
            logits,
          ]),
        ];
      },
      judge: (outputs) => judgePairs(outputs, near),
    }));

  it('M-5.4 P-69 a cache cut back to a prefix goes on as if nothing else had been there', () =>
    checkLaw({
      cases: fc.record({
        model: models,
        B: upTo(2),
        T: upTo(7),
        kept: upTo(7),
        more: upTo(3),
        x: recipes(),
        other: recipes(),
      }),
      data: ({ model: { C }, B, T, more, x, other }) => ({
        embeds: expand('x', x, [B, T, C]),
        others: expand('other', other, [B, more, C]),
      }),
      run: ({ embeds, others }, { model, T, kept }) => {
        const weights = uploaded(model);
        const length = 1 + ((kept - 1) % T);
        const cut = prefix(start(weights, embeds).cache, length);
        const got = decoderStep(weights, others, cut);
        const fresh = start(weights, concat([slice(embeds, 1, 0, length), others], 1));
        return paired([fresh.logits, ...tensorsOf(fresh.cache)], [got.logits, ...tensorsOf(got.cache)]);
      },
      judge: (outputs) => judgePairs(outputs, near),
    }));

  it('M-5.2 P-71 logits and values do not change when all positions move by the same number', () =>
    checkLaw({
      cases: fc.record({ model: models, T: upTo(8), offset: upTo(150), x: recipes() }),
      data: ({ model: { C }, T, x }) => ({ embeds: expand('x', x, [1, T, C]) }),
      run: ({ embeds }, { model, offset }) => {
        const weights = uploaded(model);
        const empty = emptyCache(gpu, weights, 160);
        const [one, two] = [0, offset].map((length) => decoderStep(weights, embeds, { ...empty, length }));
        const state = (step: DecoderStep | undefined): Tensor[] =>
          step === undefined ? [] : [step.logits, ...cached(step.cache).map(({ values }) => values)];
        return paired(state(one), state(two));
      },
      judge: (outputs) => judgePairs(outputs, near),
    }));

  it('M-5.2 P-72 key heads that query heads share are as good as a copy for each of them', () =>
    checkLaw({
      cases: fc.record({
        model: fc.record(modelFields(2, 2)),
        B: upTo(2),
        T: fc.constantFrom(3, 1, 9, 12),
        x: recipes(),
      }),
      data: ({ model: { C }, B, T, x }) => ({ embeds: expand('x', x, [B, T, C]) }),
      run: ({ embeds }, { model }) => {
        const shared = host(model);
        const weights = [shared, copiedHeads(shared, model)].map((each): LlamaWeights => onDevice(gpu, each));
        return weights.map((each) => start(each, embeds).logits);
      },
      judge: (outputs) => judgePairs(outputs, bits),
    }));

  it('M-5.3 P-73 what pads sequences of different lengths behind their ends does not change them', () =>
    checkLaw({
      cases: fc.record({
        model: models,
        ends: fc.tuple(upTo(8), upTo(8)),
        b: upTo(1, 0),
        x: recipes(),
        padding: recipes(),
      }),
      data: ({ model: { C }, ends, x, padding }) => {
        const embeds = expand('x', x, [2, 8, C]);
        const pads = expand('padding', padding, [2, 8, C]).values;
        const isPad = (i: number): boolean =>
          Math.floor(i / C) % 8 >= (ends[Math.floor(i / (8 * C))] as number);
        const values = embeds.values.map((value, i) => (isPad(i) ? (pads[i] as number) : value));
        return { padded: { ...embeds, values }, probe: expand('probe', x, [1, 1, C]) };
      },
      run: ({ padded, probe }, { model, ends, b }) => {
        const weights = uploaded(model);
        const end = ends[b] as number;
        const real = slice(slice(padded, 0, b, b + 1), 1, 0, end); // [1, end, C]
        const alone = start(weights, real).cache;
        const among = prefix(sequence(start(weights, padded).cache, b), end);
        const [expected, got] = [alone, among].map((each) => [
          decoderStep(weights, probe, each).logits,
          ...tensorsOf(each),
        ]) as [Tensor[], Tensor[]];
        return paired(expected, got);
      },
      judge: (outputs) => judgePairs(outputs, near),
    }));

  it('M-5.5 P-74 rows of the head in another order are logits in that order', () =>
    checkLaw({
      cases: fc.record({
        model: models,
        B: upTo(2),
        T: upTo(5),
        x: recipes(),
        head: recipes('subnormal', 'huge'),
      }),
      data: ({ model: { C, V, seed }, B, T, x, head }) => {
        const rows = expand('head', head, [V, C]);
        return {
          embeds: expand('x', x, [B, T, C]),
          head: rows,
          permuted: rowsBy(rows, order(seed, V)),
        };
      },
      run: ({ embeds, head, permuted }, { model }) => {
        const weights = uploaded(model);
        return [head, permuted].map((weight) => start({ ...weights, head: { weight } }, embeds).logits);
      },
      judge: ([one, two], _, { model: { V, seed }, B }) => {
        const [expected, got] = [one, two] as [HostTensor, HostTensor];
        const places = order(seed, V);
        const wanted = Float32Array.from(
          { length: B * V },
          (_, i) => expected.values[Math.floor(i / V) * V + (places[i % V] as number)] as number,
        );
        expectBits('logits', got, [B, V], wanted);
      },
    }));

  it('M-5.1 P-75 without what attention and MLP give back, logits depend on the last token only', () =>
    checkLaw({
      cases: fc.record({ model: models, B: upTo(2), T: upTo(9, 2), x: recipes() }),
      data: ({ model: { C }, B, T, x }) => ({ embeds: expand('x', x, [B, T, C]) }),
      run: ({ embeds }, { model, T }) => {
        const weights = onDevice(gpu, silenced(host(model)));
        const parts = stepsUpTo(weights, embeds, [1, T]).at(-1) as DecoderStep;
        const alone = start(weights, slice(embeds, 1, T - 1, T)).logits; // [B, V]
        return [alone, start(weights, embeds).logits, alone, parts.logits];
      },
      judge: (outputs) => judgePairs(outputs, bits),
    }));

  it('M-5.3 P-76 a sequence of a batch is as it is alone, wherever it stands and whatever else is there', () =>
    checkLaw({
      cases: fc.record({ model: models, B: upTo(3, 2), T: upTo(6), x: recipes(), other: recipes() }),
      data: ({ model: { C }, B, T, x, other }) => {
        const embeds = expand('x', x, [B, T, C]);
        const others = expand('other', other, [B, T, C]).values;
        const changed = embeds.values.map((value, i) => (i < T * C ? value : (others[i] as number)));
        return { embeds, changed: { ...embeds, values: changed } };
      },
      run: ({ embeds, changed }, { model, B }) => {
        const weights = uploaded(model);
        const rows = Array.from({ length: B }, (_, b) => b);
        const [last, ...others] = rows.map((b) => slice(embeds, 0, B - 1 - b, B - b)) as [
          Tensor,
          ...Tensor[],
        ];
        const backwards = concat([last, ...others], 0); // [B, T, C]
        const [whole, reversed, among] = [embeds, backwards, changed].map((each) => start(weights, each)) as [
          DecoderStep,
          DecoderStep,
          DecoderStep,
        ];
        const state = ({ logits, cache }: DecoderStep, b: number): Tensor[] => [
          slice(logits, 0, b, b + 1), // [1, V]
          ...tensorsOf(sequence(cache, b)),
        ];
        return [
          ...paired(state(whole, 0), state(among, 0)),
          ...rows.flatMap((b) => paired(state(whole, b), state(reversed, B - 1 - b))),
          ...rows.flatMap((b) => {
            const alone = start(weights, slice(embeds, 0, b, b + 1)); // [1, T, C]
            return paired(state(whole, b), state(alone, 0));
          }),
        ];
      },
      judge: (outputs, _, { model: { layers }, B }) => {
        const bitwise = 2 * (1 + 2 * layers) * (1 + B); // the other comparisons are of products of another size
        judgePairs(outputs.slice(0, bitwise), bits);
        judgePairs(outputs.slice(bitwise), near);
      },
    }));

  it('M-5.2 P-78 tokens put between two parts of a text move what follows, and do nothing else to it unseen', () =>
    checkLaw({
      cases: fc.record({
        model: models,
        before: upTo(3),
        visual: upTo(4),
        after: upTo(3),
        x: recipes(),
        inserted: recipes(),
      }),
      data: ({ model: { C }, before, visual, after, x, inserted }) => ({
        first: expand('first', x, [1, before, C]),
        visualTokens: expand('visual', inserted, [1, visual, C]),
        second: expand('second', x, [1, after, C]),
      }),
      run: ({ first, visualTokens, second }, { model, before, visual }) => {
        const weights = uploaded(model);
        const spliced = start(weights, concat([first, visualTokens, second], 1)).cache;
        const seen = start(weights, concat([first, visualTokens], 1)).cache;

        // Unseen: the keys of the visual tokens are cut out, and `second` keeps its positions.
        const turns = skipping(seen.rope, before, visual);
        const unseen = { ...prefix(seen, before), rope: turns };
        const got = decoderStep(weights, second, unseen);
        const text = decoderStep(weights, concat([first, second], 1), {
          ...seen,
          length: 0,
          layers: [],
          rope: turns,
        });

        const layer = (cache: KeyValueCache): Tensor[] =>
          tensorsOf({ ...cache, layers: cache.layers.slice(0, 1) });
        const behind =
          (from: number) =>
          (x: Tensor): Tensor =>
            slice(x, 2, from, x.shape[2] as number);
        return [
          ...paired([text.logits, ...tensorsOf(text.cache)], [got.logits, ...tensorsOf(got.cache)]),
          // In the first layer the text has seen nothing yet: what remains are its positions.
          ...paired(layer(text.cache).map(behind(before)), layer(spliced).map(behind(before + visual))),
        ];
      },
      judge: (outputs) => judgePairs(outputs, near),
    }));
});

/** Steps over a sequence, each to the next of `ends`. */
function stepsUpTo(weights: LlamaWeights, embeds: Tensor, ends: readonly number[]): DecoderStep[] {
  let cache = emptyCache(gpu, weights, ends.at(-1) as number);
  return ends.map((end) => {
    const step = decoderStep(weights, slice(embeds, 1, cache.length, end), cache);
    cache = step.cache;
    return step;
  });
}

/** The table without the `count` positions from `first` on. */
function skipping(table: KeyValueCache['rope'], first: number, count: number): KeyValueCache['rope'] {
  const skip = (x: Tensor): Tensor =>
    concat([slice(x, 0, 0, first), slice(x, 0, first + count, x.shape[0] as number)], 0); // [positions − count, half]
  return { cos: skip(table.cos), sin: skip(table.sin) };
}

/** The same decoder with a key head for each query head. */
function copiedHeads(shared: HostLlama, { G, share, half }: Model): HostLlama {
  const D = 2 * half;
  const copies = Array.from({ length: G * share * D }, (_, n) => Math.floor(n / (share * D)) * D + (n % D));
  const copied = ({ weight }: { weight: HostTensor }): { weight: HostTensor } => ({
    weight: rowsBy(weight, copies),
  });
  return {
    ...shared,
    config: { ...shared.config, keyValueHeadCount: G * share },
    layers: shared.layers.map((layer) => ({ ...layer, key: copied(layer.key), value: copied(layer.value) })),
  };
}

/** The same decoder, whose attention and MLPs give nothing back. */
function silenced(llama: HostLlama): HostLlama {
  const zero = ({ weight }: { weight: HostTensor }): { weight: HostTensor } => ({
    weight: { ...weight, values: new Float32Array(weight.values.length) },
  });
  const layers = llama.layers.map((layer) => ({
    ...layer,
    output: zero(layer.output),
    down: zero(layer.down),
  }));
  return { ...llama, layers };
}

/** A permutation of the vocabulary. */
function order(seed: number, V: number): number[] {
  return Array.from(distinct('order', seed, 1, V, V).values);
}
