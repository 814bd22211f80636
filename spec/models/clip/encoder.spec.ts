import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { type ClipVisionConfig, encodeClip } from '../../../src/models/index.ts';
import { ShapeError, tensor, tidy } from '../../../src/tensor/index.ts';
import * as oracle from '../../oracle/clip.ts';
import { judgeEach } from '../../support/cases.ts';
import { testGpu } from '../../support/gpu.ts';
import type { Host } from '../../support/recipe.ts';
import { expectAccepted, expectRejected } from '../../support/rejections.ts';
import { expectRelative } from '../../support/relative.ts';
import {
  encodeAll,
  type HostClip,
  type HostEncoding,
  onDevice,
  plain,
  tinyClip,
  tinyPixels,
} from '../../support/tiny-models.ts';

const gpu = await testGpu();

const TOLERANCE = 2e-5; // M-4.7

interface Case {
  readonly config: ClipVisionConfig;
  readonly B: number;
}

/** H heads of D channels, a grid of `side` x `side` patches of p x p pixels. */
function tower(
  [H, D, side, p]: readonly [number, number, number, number],
  [intermediateSize, layerCount, B]: readonly [number, number, number],
  activation: ClipVisionConfig['activation'],
  normEps = 1e-5,
): Case {
  const sizes = { hiddenSize: H * D, intermediateSize, layerCount, headCount: H };
  return { config: { ...sizes, imageSize: side * p, patchSize: p, normEps, activation }, B };
}

const towers: Readonly<Record<string, Case>> = {
  'heads of 8': tower([2, 8, 3, 2], [24, 2, 3], 'quick_gelu'),
  'heads of 12': tower([3, 12, 5, 3], [64, 3, 1], 'gelu', 1e-3),
  'heads of 16': tower([4, 16, 9, 2], [100, 1, 1], 'quick_gelu'),
  'heads of 6, a large epsilon': tower([5, 6, 4, 4], [50, 2, 3], 'quick_gelu', 0.05),
  'heads of 7': tower([3, 7, 7, 2], [33, 2, 2], 'gelu'),
  'one head, one patch': tower([1, 4, 1, 5], [7, 1, 2], 'quick_gelu'),
};

const randomTowers: fc.Arbitrary<Case> = fc
  .record({
    H: fc.integer({ min: 1, max: 4 }),
    D: fc.integer({ min: 1, max: 9 }),
    side: fc.integer({ min: 1, max: 5 }),
    p: fc.integer({ min: 1, max: 4 }),
    intermediateSize: fc.integer({ min: 1, max: 40 }),
    layerCount: fc.integer({ min: 1, max: 3 }),
    B: fc.integer({ min: 1, max: 3 }),
    activation: fc.constantFrom('quick_gelu' as const, 'gelu' as const),
    normEps: fc.constantFrom(1e-5, 1e-2),
  })
  .filter(({ H, D }) => H * D > 2) // a norm over one or two channels leaves nothing but signs
  .map((c) =>
    tower([c.H, c.D, c.side, c.p], [c.intermediateSize, c.layerCount, c.B], c.activation, c.normEps),
  );

async function encode(clip: HostClip, pixels: Host<Float32Array>): Promise<HostEncoding> {
  const [encoded] = await encodeAll(gpu, [[clip, pixels]]);
  return encoded as HostEncoding;
}

function expectEncoding(
  label: string,
  got: HostEncoding,
  expected: oracle.Encoding,
  { config, B }: Case,
): void {
  const { hiddenSize: C, headCount: H } = config;
  const N = oracle.tokensOf(config);
  expectRelative(`${label}: hiddenStates`, got.hiddenStates, [B, N, C], expected.hiddenStates, TOLERANCE);
  expectRelative(`${label}: clsAttention`, got.clsAttention, [B, H, N], expected.clsAttention, TOLERANCE);
  expectRelative(`${label}: keys`, got.keys, [B, H, N, C / H], expected.keys, TOLERANCE);
}

/** `clip` with layers that add nothing: what comes out of it is what went into the first layer. */
function withoutEffect(clip: HostClip): HostClip {
  const zero = <A extends Host<Float32Array>>(x: A): A => ({ ...x, values: x.values.map(() => 0) });
  const nothing = (linear: HostClip['layers'][number]['mlpOut']) => ({
    weight: zero(linear.weight),
    bias: zero(linear.bias as Host<Float32Array>),
  });
  const layers = clip.layers.map((layer) => ({
    ...layer,
    attention: { ...layer.attention, output: nothing(layer.attention.output) },
    mlpOut: nothing(layer.mlpOut),
  }));
  return { ...clip, layers };
}

describe('M-4 CLIP vision encoder', () => {
  it('M-4.1 tokens are CLS and the patches, row by row, each with its position, normalised', async () => {
    const jobs = Object.entries(towers).map(([name, { config, B }]) => {
      const clip = withoutEffect(tinyClip(name, config));
      return { name, config, B, clip, pixels: tinyPixels(name, B, config) };
    });
    const encoded = await encodeAll(
      gpu,
      jobs.map(({ clip, pixels }) => [clip, pixels]),
    );
    jobs.forEach(({ name, config, B, clip, pixels }, i) => {
      const shape = [B, oracle.tokensOf(config), config.hiddenSize];
      const expected = oracle.embed(plain(clip), pixels.values, B);
      expectRelative(name, (encoded[i] as HostEncoding).hiddenStates, shape, expected, TOLERANCE);
    });
  });

  it('M-4.1 pixels of another size, or of other channels, are rejected', () => {
    const { config } = towers['heads of 8'] as Case;
    const S = config.imageSize;
    tidy(gpu, () => {
      const clip = onDevice(gpu, tinyClip('sizes', config));
      const pixels = (...shape: number[]) =>
        tensor(gpu, new Float32Array(shape.reduce((product, length) => product * length, 1)), shape);
      const [right, wide, high, grey, flat] = [
        pixels(1, 3, S, S),
        pixels(1, 3, S, S + 1),
        pixels(1, 3, S + config.patchSize, S),
        pixels(1, 1, S, S),
        pixels(3, S, S),
      ];
      expectAccepted(gpu, () => encodeClip(clip, right));
      for (const wrong of [wide, high, grey, flat]) {
        expectRejected(gpu, ShapeError, () => encodeClip(clip, wrong));
      }
    });
  });

  for (const [name, { config, B }] of Object.entries(towers)) {
    const clip = tinyClip(name, config);
    const cut = clip.layers.map((_, i) => ({ ...clip, layers: clip.layers.slice(0, i + 1) }));
    const { hiddenSize: C, headCount: H } = config;
    const N = oracle.tokensOf(config);
    let encoded: readonly HostEncoding[] = [];
    let expected: readonly oracle.Encoding[] = [];

    beforeAll(async () => {
      const pixels = tinyPixels(name, B, config);
      encoded = await encodeAll(
        gpu,
        cut.map((one) => [one, pixels]),
      );
      expected = cut.map((one) => oracle.encode(plain(one), pixels.values, B));
    });

    const check = (part: keyof HostEncoding, shape: readonly number[]): void => {
      expected.forEach((encoding, i) => {
        const got = encoded[i] as HostEncoding;
        expectRelative(`${part} after layer ${i}`, got[part], shape, encoding[part], TOLERANCE);
      });
    };

    it(`M-4.2 ${name}: as many layers run as are given, and no post-layernorm`, () => {
      check('hiddenStates', [B, N, C]);
    });

    it(`M-4.5 ${name}: the attention of CLS in the last layer, after the softmax`, () => {
      check('clsAttention', [B, H, N]);
    });

    it(`M-4.5 ${name}: the keys of all tokens in the last layer, with their bias and not scaled`, () => {
      check('keys', [B, H, N, C / H]);
    });
  }

  it('M-4.2 an encoder without layers is rejected', () => {
    const { config } = towers['heads of 8'] as Case;
    tidy(gpu, () => {
      const clip = onDevice(gpu, tinyClip('none', config, 1));
      const { values, shape } = tinyPixels('none', 1, config);
      const pixels = tensor(gpu, values, shape);
      expectAccepted(gpu, () => encodeClip(clip, pixels));
      expectRejected(gpu, RangeError, () => encodeClip({ ...clip, layers: [] }, pixels));
    });
  });

  it('M-4.3 channels that do not divide into the heads are rejected', () => {
    const { config } = towers['heads of 8'] as Case;
    tidy(gpu, () => {
      const clip = onDevice(gpu, tinyClip('heads', config));
      const { values, shape } = tinyPixels('heads', 1, config);
      const pixels = tensor(gpu, values, shape);
      const withHeads = (headCount: number) => ({ ...clip, config: { ...config, headCount } });
      expectAccepted(gpu, () => encodeClip(withHeads(4), pixels));
      expectRejected(gpu, ShapeError, () => encodeClip(withHeads(3), pixels));
    });
  });

  it('M-4.7 whatever the sizes and the activation, a tower is what the oracle says', async () => {
    const drawn = fc.sample(randomTowers, { seed: 4, numRuns: 60 });
    const clips = drawn.map(({ config }, i) => tinyClip(`random ${i}`, config));
    const pixels = drawn.map(({ config, B }, i) => tinyPixels(`random ${i}`, B, config));
    const encoded = await encodeAll(
      gpu,
      clips.map((clip, i) => [clip, pixels[i] as Host<Float32Array>]),
    );
    judgeEach(drawn, (one, i) => {
      const { values } = pixels[i] as Host<Float32Array>;
      const expected = oracle.encode(plain(clips[i] as HostClip), values, one.B);
      expectEncoding('random towers', encoded[i] as HostEncoding, expected, one);
    });
  });

  it('M-4.5 the attention of CLS is a distribution over all tokens', async () => {
    const { config, B } = towers['heads of 6, a large epsilon'] as Case;
    const { clsAttention } = await encode(tinyClip('rows', config), tinyPixels('rows', B, config));
    const N = oracle.tokensOf(config);
    for (let row = 0; row < clsAttention.values.length; row += N) {
      const probs = clsAttention.values.subarray(row, row + N);
      expect(Math.min(...probs)).toBeGreaterThan(0);
      expect(probs.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 5);
    }
  });
});
