// What holds for every encoder, whatever its weights and pictures. SPEC M-4, docs/properties.md 25 to 30 and 36.
//
//   B images   N tokens: CLS, then P patches row by row   C channels   H heads   D channels per head   p pixels of a patch
//
// The drawn towers and pictures are encoded as they are, and after a change of weights or pixels.

import fc from 'fast-check';
import { describe, it } from 'vitest';
import { expectBits } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import { distinct, expand, type Host, type Recipe, recipes } from '../../support/recipe.ts';
import { expectRelative } from '../../support/relative.ts';
import {
  type EncodingJob,
  encodeAll,
  grid,
  type HostClip,
  type HostEncoding,
  type TinyTower,
  tinyTower,
  tinyTowers,
} from '../../support/tiny-models.ts';

const gpu = await testGpu();

const COUNT = 200;
const SEED = Number(process.env.SPEC_SEED ?? 20240612);
const TOLERANCE = 2 * 2e-5; // M-4.7, of both sides

type HostTensor = Host<Float32Array>;
type HostLayer = HostClip['layers'][number];

interface Case {
  readonly tower: TinyTower;
  readonly B: number;
  readonly pixels: Recipe;
  readonly choice: number;
}

const cases: fc.Arbitrary<Case> = fc.record({
  tower: tinyTowers,
  B: fc.integer({ min: 2, max: 3 }),
  pixels: recipes(),
  choice: fc.nat({ max: 999 }),
});

function jobOf({ tower, B, pixels }: Case): EncodingJob {
  const S = tower.side * tower.p;
  return [tinyTower(tower), expand('pixels', pixels, [B, 3, S, S])];
}

const map = (x: HostTensor, of: (value: number, i: number) => number): HostTensor => ({
  ...x,
  values: x.values.map(of),
});

/** `x` with what is at from(i) on `axis` in the place i. */
function reindex({ values, shape }: HostTensor, axis: number, from: (i: number) => number): HostTensor {
  const length = shape[axis] as number;
  const inner = shape.slice(axis + 1).reduce((product, each) => product * each, 1);
  const source = (i: number): number => {
    const [outer, place] = [Math.floor(i / inner / length), Math.floor(i / inner) % length];
    return (outer * length + from(place)) * inner + (i % inner);
  };
  return { shape, values: values.map((_, i) => values[source(i)] as number) };
}

const tokenAxes = { hiddenStates: 1, clsAttention: 2, keys: 2 } as const;
const parts = ['hiddenStates', 'clsAttention', 'keys'] as const;

/** An encoding with its tokens moved. */
function moveTokens(encoding: HostEncoding, from: (token: number) => number): HostEncoding {
  const [hiddenStates, clsAttention, keys] = parts.map((part) =>
    reindex(encoding[part], tokenAxes[part], from),
  ) as [HostTensor, HostTensor, HostTensor];
  return { hiddenStates, clsAttention, keys };
}

/** Pictures and positions with the patches of tokens 1 … P moved. */
function movePatches([clip, pixels]: EncodingJob, from: (token: number) => number): EncodingJob {
  const { imageSize: S, patchSize: p } = clip.config;
  const side = S / p;
  const source = (i: number): number => {
    const [y, x] = [Math.floor(i / S) % S, i % S];
    const patch = from(1 + Math.floor(y / p) * side + Math.floor(x / p)) - 1;
    return i - y * S - x + (Math.floor(patch / side) * p + (y % p)) * S + (patch % side) * p + (x % p);
  };
  const moved = map(pixels, (_, i) => pixels.values[source(i)] as number);
  return [{ ...clip, positionEmbedding: reindex(clip.positionEmbedding, 0, from) }, moved];
}

type Affine = HostLayer['mlpOut'];

const bias = (linear: Affine): HostTensor => linear.bias as HostTensor;
const scaled = (linear: Affine, factor: number): Affine => ({
  weight: map(linear.weight, (value) => value * factor),
  bias: map(bias(linear), (value) => value * factor),
});

/** The attention of every layer changed. */
function withAttention(
  [clip, pixels]: EncodingJob,
  change: (attention: HostLayer['attention']) => HostLayer['attention'],
): EncodingJob {
  return [
    { ...clip, layers: clip.layers.map((layer) => ({ ...layer, attention: change(layer.attention) })) },
    pixels,
  ];
}

/** A permutation of 0 … length − 1. */
function order({ choice }: Case, length: number): (i: number) => number {
  const places = distinct('order', choice, 1, length, length).values;
  return (i) => places[i] as number;
}

function patchOrder(one: Case): (token: number) => number {
  const patch = order(one, one.tower.side ** 2);
  return (token) => (token === 0 ? 0 : 1 + patch(token - 1));
}

/** Two different patches, as tokens. */
function twins({ choice, tower: { side } }: Case): [number, number] {
  const P = side ** 2;
  return [1 + (choice % P), 1 + ((choice + 1 + (Math.floor(choice / P) % (P - 1))) % P)];
}

/** From the left to the right: of the tokens. */
function mirrored({ tower: { side } }: Case): (token: number) => number {
  return (token) => (token === 0 ? 0 : token + side - 1 - 2 * ((token - 1) % side));
}

/** Channels in the order of their heads. */
function headOrder(one: Case): (channel: number) => number {
  const { H, D } = one.tower;
  const head = order(one, H);
  return (channel) => head(Math.floor(channel / D)) * D + (channel % D);
}

/** What is added to biases: [C]. */
const shiftOf = ({ tower: { H, D, seed } }: Case): HostTensor => grid(`shift ${seed}`, [H * D]);

const powerOf = ({ choice }: Case): number => 2 ** ((choice % 17) - 8);

const changes = {
  none: (job) => job,
  'images in reverse': ([clip, pixels], { B }) => [clip, reindex(pixels, 0, (b) => B - 1 - b)],
  'one image alone': ([clip, pixels], { B, choice }) => [clip, imageOf(pixels, choice % B)],
  'patches moved': (job, one) => movePatches(job, patchOrder(one)),
  'twin patches': (job, one) => {
    const [first, second] = twins(one);
    return movePatches(job, (token) => (token === second ? first : token));
  },
  'heads moved': (job, one) => {
    const moved = headOrder(one);
    const rows = (linear: Affine): Affine => ({
      weight: reindex(linear.weight, 0, moved),
      bias: reindex(bias(linear), 0, moved),
    });
    return withAttention(job, ({ query, key, value, output }) => ({
      query: rows(query),
      key: rows(key),
      value: rows(value),
      output: { ...output, weight: reindex(output.weight, 1, moved) },
    }));
  },
  'key bias moved': (job, one) => {
    const shift = shiftOf(one).values;
    return withAttention(job, ({ key, ...rest }) => ({
      ...rest,
      key: { ...key, bias: map(bias(key), (value, c) => value + (shift[c] as number)) },
    }));
  },
  'queries and keys scaled': (job, one) =>
    withAttention(job, ({ query, key, ...rest }) => ({
      ...rest,
      query: scaled(query, powerOf(one)),
      key: scaled(key, 1 / powerOf(one)),
    })),
  'flipped from left to right': ([clip, pixels], one) => {
    const [{ side, p }, C] = [one.tower, clip.config.hiddenSize];
    const kernel = { ...clip.patchEmbedding.weight, shape: [C, 3, p, p] };
    const flipped = { ...reindex(kernel, 3, (x) => p - 1 - x), shape: [C, 3 * p * p] };
    const positionEmbedding = reindex(clip.positionEmbedding, 0, mirrored(one));
    return [
      { ...clip, patchEmbedding: { weight: flipped }, positionEmbedding },
      reindex(pixels, 3, (x) => side * p - 1 - x),
    ];
  },
} satisfies Readonly<Record<string, (job: EncodingJob, one: Case) => EncodingJob>>;

type ChangeName = keyof typeof changes;

const changed = (change: ChangeName, one: Case): EncodingJob => changes[change](jobOf(one), one);

const drawn = fc.sample(cases, { seed: SEED, numRuns: COUNT });
const encoded = new Map<ChangeName, Promise<HostEncoding[]>>();

/** The encodings of all drawn cases after a change. */
function encodedWith(change: ChangeName): Promise<HostEncoding[]> {
  const found =
    encoded.get(change) ??
    encodeAll(
      gpu,
      drawn.map((one) => changed(change, one)),
    );
  encoded.set(change, found);
  return found;
}

type Judge = (before: HostEncoding, after: HostEncoding, one: Case) => void;

/** Holds between each case and the same with `change`. A case that fails runs again, alone, and is shrunk. */
function law(title: string, change: ChangeName, judge: Judge): void {
  it(title, async () => {
    const [before, after] = [await encodedWith('none'), await encodedWith(change)];
    const isRight = (one: Case, i: number): boolean => {
      try {
        judge(before[i] as HostEncoding, after[i] as HostEncoding, one);
        return true;
      } catch {
        return false;
      }
    };
    const wrong = drawn.find((one, i) => !isRight(one, i));
    if (wrong === undefined) return;
    const holds = fc.asyncProperty(cases, async (one) => {
      const [first, second] = await encodeAll(gpu, [jobOf(one), changed(change, one)]);
      judge(first as HostEncoding, second as HostEncoding, one);
    });
    await fc.assert(holds, { seed: SEED, numRuns: 1, examples: [[wrong]], interruptAfterTimeLimit: 20_000 });
    throw new Error(`fails among others, but not alone: ${JSON.stringify(wrong)}`);
  });
}

type Compare = (label: string, got: HostTensor, expected: HostTensor) => void;
const bits: Compare = (label, got, { shape, values }) => expectBits(label, got, shape, values);
const near: Compare = (label, got, { shape, values }) => expectRelative(label, got, shape, values, TOLERANCE);

function judgeAll(got: HostEncoding, expected: HostEncoding, compare: Compare): void {
  for (const part of parts) compare(part, got[part], expected[part]);
}

/** Image b of a batch, as a batch of one. */
function imageOf({ values, shape }: HostTensor, b: number): HostTensor {
  const size = values.length / (shape[0] as number);
  return { values: values.slice(b * size, (b + 1) * size), shape: [1, ...shape.slice(1)] };
}

describe('M-4 CLIP vision encoder, laws', () => {
  law(
    'M-4.6 P-25 images of a batch in another order give the same, to the bit, in that order',
    'images in reverse',
    (before, after, { B }) => {
      for (const part of parts)
        bits(
          part,
          after[part],
          reindex(before[part], 0, (b) => B - 1 - b),
        );
    },
  );

  law(
    'M-4.6 P-25 an image of a batch gives what it gives alone',
    'one image alone',
    (before, after, { B, choice }) => {
      for (const part of parts) near(part, after[part], imageOf(before[part], choice % B));
    },
  );

  law(
    'M-4.1 P-26 patches that move with their positions move their tokens, and CLS stays',
    'patches moved',
    (before, after, one) => judgeAll(after, moveTokens(before, patchOrder(one)), near),
  );

  law(
    'M-4.1 P-27 two equal patches with equal positions stay equal through all layers, to the bit',
    'twin patches',
    (_, after, one) => {
      const [first, second] = twins(one);
      judgeAll(
        after,
        moveTokens(after, (token) => (token === second ? first : token)),
        bits,
      );
    },
  );

  law('M-4.3 P-28 the order of the heads does not matter', 'heads moved', (before, after, one) => {
    const head = order(one, one.tower.H);
    near('hiddenStates', after.hiddenStates, before.hiddenStates);
    near('clsAttention', after.clsAttention, reindex(before.clsAttention, 1, head));
    near('keys', after.keys, reindex(before.keys, 1, head));
  });

  law(
    'M-4.5 P-29 a constant on the biases of the keys shifts the keys and nothing else',
    'key bias moved',
    (before, after, one) => {
      const { H, D, side } = one.tower;
      const N = 1 + side ** 2;
      const shift = shiftOf(one).values;
      near('hiddenStates', after.hiddenStates, before.hiddenStates);
      near('clsAttention', after.clsAttention, before.clsAttention);
      const channel = (i: number): number => (Math.floor(i / D / N) % H) * D + (i % D);
      near(
        'keys',
        after.keys,
        map(before.keys, (value, i) => value + (shift[channel(i)] as number)),
      );
    },
  );

  law(
    'M-4.3 P-30 queries times 2ⁿ and keys times 2⁻ⁿ, biases included, change no bit but the scale of the keys',
    'queries and keys scaled',
    (before, after, one) => {
      const keys = map(before.keys, (value) => value / powerOf(one));
      judgeAll(after, { ...before, keys }, bits);
    },
  );

  law(
    'M-4.1 P-36 pictures, kernel and grid of positions flipped from left to right flip the grid of tokens',
    'flipped from left to right',
    (before, after, one) => judgeAll(after, moveTokens(before, mirrored(one)), near),
  );
});
