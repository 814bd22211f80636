// What holds for the parts of every encoder: patches, attention, layers, and which layers there are. SPEC M-4,
// docs/properties.md 31 to 35.
//
//   B images   N tokens: CLS, then P patches row by row   C channels   H heads   D channels per head

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Upload } from '../../../src/models/checkpoint/upload.ts';
import { clipLayer, selfAttention } from '../../../src/models/clip/attention.ts';
import { embedPatches } from '../../../src/models/clip/encoder.ts';
import { loadClipWeights } from '../../../src/models/clip/weights.ts';
import { encodeClip, type LlavaConfig } from '../../../src/models/index.ts';
import { encoderLayerCount } from '../../../src/models/llava/llava.ts';
import {
  type AnyTensor,
  attentionProbs,
  dispose,
  readAll,
  type Tensor,
  tensor,
  tidy,
} from '../../../src/tensor/index.ts';
import { visionZip } from '../../../src/visionzip/index.ts';
import { softmaxTolerance } from '../../support/bounds.ts';
import { judgeEach } from '../../support/cases.ts';
import { expectBits, expectExact, u } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import { checkProperty } from '../../support/property.ts';
import { expand, type Host, type Recipe, recipes } from '../../support/recipe.ts';
import { expectRelative } from '../../support/relative.ts';
import {
  grid,
  type HostClip,
  onDevice,
  type TinyTower,
  tinyTower,
  tinyTowers,
  towerConfig,
} from '../../support/tiny-models.ts';
import { uploadOfTensors } from '../../support/upload-of-tensors.ts';
import { outputsOf } from '../../support/zip-results.ts';

const gpu = await testGpu();

const COUNT = 200;
const SEED = Number(process.env.SPEC_SEED ?? 20240612);
const TOLERANCE = 2 * 2e-5; // M-4.7, of both sides

type HostTensor = Host<Float32Array>;
type HostLayer = HostClip['layers'][number];

interface Case {
  readonly tower: TinyTower;
  readonly B: number;
  readonly x: Recipe; // of hidden states or pixels
}

const fields = { tower: tinyTowers, B: fc.integer({ min: 1, max: 2 }), x: recipes() };
const cases: fc.Arbitrary<Case> = fc.record(fields);

function hiddenStates({ tower: { H, D, side }, B, x }: Case): HostTensor {
  return expand('x', x, [B, 1 + side ** 2, H * D]);
}

function pixelsOf({ tower: { side, p }, B, x }: Case): HostTensor {
  return expand('pixels', x, [B, 3, side * p, side * p]);
}

const firstLayer = (tower: TinyTower): HostLayer => tinyTower(tower).layers[0] as HostLayer;

const map = (x: HostTensor, of: (value: number, i: number) => number): HostTensor => ({
  ...x,
  values: x.values.map(of),
});

function silent({ weight, bias }: HostLayer['mlpOut']): HostLayer['mlpOut'] {
  return { weight: map(weight, () => 0), bias: map(bias as HostTensor, () => 0) };
}

describe('M-4 parts of the CLIP vision encoder, laws', () => {
  it('M-4.3 P-31 c on the biases of the values adds W c to what the attention gives, W being its output weight', () =>
    checkProperty(gpu, {
      cases: fc.record({ ...fields, shift: recipes() }),
      data: ({ shift, ...one }) => ({
        x: hiddenStates(one),
        shift: expand('shift', shift, [one.tower.H * one.tower.D]),
      }),
      run: ({ x }, { tower, shift }) => {
        const { attention } = firstLayer(tower);
        const added = expand('shift', shift, [tower.H * tower.D]).values;
        const bias = map(attention.value.bias as HostTensor, (value, c) => value + (added[c] as number));
        const other = { ...attention, value: { ...attention.value, bias } };
        return [attention, other].map((each) => selfAttention(x, onDevice(gpu, each), tower.H).output);
      },
      judge: ([before, after], { shift }, { tower }) => {
        const { values: weight } = firstLayer(tower).attention.output.weight;
        const C = tower.H * tower.D;
        const gains = Array.from({ length: C }, (_, n) =>
          shift.values.reduce((sum, value, c) => sum + (weight[n * C + c] as number) * value, 0),
        );
        const { values, shape } = before as HostTensor;
        const expected = Float64Array.from(values, (value, i) => value + (gains[i % C] as number));
        expectRelative('attention with other values', after as HostTensor, shape, expected, TOLERANCE);
      },
    }));

  it('M-4.4 P-32 a layer whose two outputs are zero is the identity', () =>
    checkProperty(gpu, {
      cases,
      data: (one) => ({ x: hiddenStates(one) }),
      run: ({ x }, { tower }) => {
        const { attention, mlpOut, ...rest } = firstLayer(tower);
        const layer = {
          ...rest,
          attention: { ...attention, output: silent(attention.output) },
          mlpOut: silent(mlpOut),
        };
        return [clipLayer(x, onDevice(gpu, layer), towerConfig(tower)).hiddenStates];
      },
      judge: ([y], { x }) => expectExact('layer without effect', y as HostTensor, x.shape, x.values),
    }));

  it('M-4.2 P-33 no weight of the last layer or of the norm behind it changes a bit of what VisionZip gives', async () => {
    const drawn = fc.sample(cases, { seed: SEED, numRuns: COUNT });
    for (let begin = 0; begin < COUNT; begin += 40) {
      const some = drawn.slice(begin, begin + 40);
      const outputs: AnyTensor[][] = [];
      for (const one of some) outputs.push(await zipped(one, ''), await zipped(one, ' other'));
      const values = await readAll(gpu, outputs.flat());
      dispose(outputs);
      const size = (outputs[0] as AnyTensor[]).length;
      judgeEach(some, (_, i) => {
        const [first, second] = [2 * i, 2 * i + 1].map((k) => values.slice(k * size, (k + 1) * size));
        expect(second).toEqual(first);
      });
    }
  });

  it('M-4.3 P-34 what each token pays to all tokens sums to 1', () =>
    checkProperty(gpu, {
      cases,
      data: (one) => ({ x: hiddenStates(one) }),
      run: ({ x }, { tower }) => {
        const { queries, keys } = selfAttention(x, onDevice(gpu, firstLayer(tower).attention), tower.H);
        return [attentionProbs(queries, keys, { causal: false })]; // [B, H, N, N]
      },
      judge: ([probs]) => {
        const { values, shape } = probs as HostTensor;
        const N = shape[3] as number;
        for (let row = 0; row < values.length; row += N) expectSum(values.subarray(row, row + N), 1, N, 1);
      },
    }));

  it('M-4.5 P-34 the scores sum to as many as there are heads, less what CLS pays to itself', () =>
    checkProperty(gpu, {
      cases,
      data: (one) => ({ pixels: pixelsOf(one) }),
      run: ({ pixels }, { tower }) => {
        const encoding = encodeClip(onDevice(gpu, tinyTower(tower)), pixels);
        return [encoding.clsAttention, visionZip(encoding, { dominantCount: 1, contextualCount: 0 }).scores];
      },
      judge: ([attention, scores], _, { tower: { H }, B }) => {
        const [a, s] = [attention as HostTensor, scores as HostTensor];
        const N = a.shape[2] as number;
        for (let b = 0; b < B; b++) {
          const heads = Array.from({ length: H }, (_, h) => a.values[(b * H + h) * N] as number);
          const expected = heads.reduce((sum, own) => sum - own, H);
          expectSum(s.values.subarray(b * (N - 1), (b + 1) * (N - 1)), expected, N, H);
        }
      },
    }));

  it('M-4.1 P-35 of pictures of one colour all patches are the same before positions, to the bit', () =>
    checkProperty(gpu, {
      cases,
      data: ({ tower: { side, p }, B, x }) => {
        const { values: colours } = expand('colours', x, [B, 3]);
        const size = (side * p) ** 2;
        const values = Float32Array.from(
          { length: B * 3 * size },
          (_, i) => colours[Math.floor(i / size)] as number,
        );
        return { pixels: { values, shape: [B, 3, side * p, side * p] } };
      },
      run: ({ pixels }, { tower }) => {
        const clip = tinyTower(tower);
        const nowhere = { ...clip, positionEmbedding: map(clip.positionEmbedding, () => 0) };
        return [embedPatches(onDevice(gpu, nowhere), pixels)];
      },
      judge: ([tokens], _, { tower: { side, H, D } }) => {
        const { values, shape } = tokens as HostTensor;
        const [N, C] = [1 + side ** 2, H * D];
        const first = (i: number): number => i - (i % (N * C)) + C + (i % C); // of the first patch
        const isCls = (i: number): boolean => i % (N * C) < C;
        const expected = values.map((value, i) => (isCls(i) ? value : (values[first(i)] as number)));
        expectBits('patches of one colour', { values, shape }, shape, expected);
      },
    }));
});

/** A sum of numbers, `rows` rows of a softmax over n taken together. */
function expectSum(values: Float32Array, expected: number, n: number, rows: number): void {
  const sum = values.reduce((total, value) => total + value, 0);
  const bound = rows * (softmaxTolerance(n, 1, Math.log(n)) + (rows + 3) * u);
  expect(Math.abs(sum - expected)).toBeLessThanOrEqual(bound);
}

/**
 * What VisionZip gives on a tower of a layer more than it needs. Weights come from their names, those behind the feature
 * layer from other names if there is a `salt`.
 */
async function zipped(one: Case, salt: string): Promise<AnyTensor[]> {
  const { layers, seed } = one.tower;
  const vision = { ...towerConfig(one.tower), layerCount: layers + 1 };
  const count = encoderLayerCount({ vision, visionFeatureLayer: -2 } as LlavaConfig);
  const isBehind = (name: string): boolean =>
    /layers\.(\d+)\./.exec(name)?.[1] === `${layers}` || /post/.test(name);
  const upload = uploadByName((name) => `${seed} ${name}${isBehind(name) ? salt : ''}`);
  const weights = await loadClipWeights(upload, 'vision_model', vision, count);
  const { values, shape } = pixelsOf(one);
  const options = { dominantCount: 2, contextualCount: 2 };
  const outputs = tidy(gpu, () =>
    outputsOf(visionZip(encodeClip(weights, tensor(gpu, values, shape)), options)),
  );
  dispose(weights);
  return outputs;
}

/** An upload that has every tensor, made of its name. */
function uploadByName(nameOf: (name: string) => string): Upload {
  const load = async (name: string, stored: readonly number[], shape = stored): Promise<Tensor> => {
    const { values } = grid(nameOf(name), stored, stored.length > 1 ? -2 : 0);
    return tensor(gpu, values, shape);
  };
  return uploadOfTensors({ load, discard: () => {} });
}
