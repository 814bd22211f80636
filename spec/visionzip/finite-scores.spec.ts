// NaN weights and overflow must not become an answer. SPEC VZ-2.7, M-7.4.

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EncodedPicture, encodePicture, reduceTokens } from '../../src/cli/stages.ts';
import { writeZip } from '../../src/cli/zip.ts';
import { zipTensors } from '../../src/cli/zip-tensors.ts';
import {
  decode,
  encodeImage,
  type Llava,
  type PixelValues,
  type Prefill,
  prefill,
  sampler,
  writeSafetensors,
} from '../../src/models/index.ts';
import { dispose, tensor, tidy } from '../../src/tensor/index.ts';
import { answerZipped, checkScores, expectFiniteScores, visionZip } from '../../src/visionzip/index.ts';
import { smallLlava } from '../support/checkpoint-forms.ts';
import { testGpu } from '../support/gpu.ts';
import { countMappings } from '../support/mappings.ts';
import { type HostLlava, llavaOnDevice, loadTinyLlava, visionConfig } from '../support/tiny-llava.ts';
import { grid } from '../support/tiny-models.ts';

const gpu = await testGpu();
const side = visionConfig.imageSize;
const pixels: PixelValues = {
  shape: [1, 3, side, side],
  data: grid('pixels', [3 * side * side]).values,
};
const budget = { dominantCount: 4, contextualCount: 2 };
const question = 'What is in the left?';
const finiteScores = /^VisionZip: expected finite scores, got (NaN|-?Infinity) at patch 0 of image 0$/;
let model: Llava;

beforeAll(async () => {
  model = await loadTinyLlava(gpu);
});
afterAll(() => dispose(model));

/** A model of which some weights are changed, for the time of `use`; nothing else may be left on the device. */
async function withModel(
  change: (host: HostLlava) => void,
  use: (llava: Llava) => Promise<void>,
): Promise<void> {
  const host = smallLlava('finite scores');
  change(host);
  const llava = llavaOnDevice(model, host);
  const live = gpu.memory.live.size;
  try {
    await use(llava);
    expect(gpu.memory.live.size, 'left on the device').toBe(live);
  } finally {
    dispose({ vision: llava.vision, projector: llava.projector, language: llava.language });
  }
}

const last = visionConfig.layerCount - 2; // of the layers that are run
const spoilAttention =
  (value: number) =>
  ({ vision }: HostLlava): void => {
    const { weight } = vision.layers[last]?.attention.query ?? {};
    weight?.values.fill(value, 0, visionConfig.hiddenSize);
  };

function spoilHiddenStates({ vision }: HostLlava): void {
  vision.layers[last]?.mlpOut.bias?.values.fill(Number.NaN, 0, 1);
}

const picture = { width: 2, height: 2, data: new Uint8Array(12).fill(9) };

function encoded(llava: Llava): Promise<EncodedPicture> {
  const preprocessor = { ...llava.preprocessor, shortestEdge: side, cropHeight: side, cropWidth: side };
  return encodePicture({ ...llava, preprocessor }, picture, 'crop');
}

async function collect(ids: AsyncIterable<number>): Promise<number[]> {
  const collected: number[] = [];
  for await (const id of ids) collected.push(id);
  return collected;
}

describe('VZ-2.7 scores that are not finite', () => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 3e38]) {
    it(`VZ-2.7 weights of ${value} in the encoder end the answer before its first token`, () =>
      withModel(spoilAttention(value), async (llava) => {
        const handedOut: number[] = [];
        const answer = async (): Promise<void> => {
          for await (const id of answerZipped(llava, pixels, question, budget, { maxNewTokens: 3 }))
            handedOut.push(id);
        };
        const error = await answer().catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(RangeError);
        expect((error as Error).message).toMatch(finiteScores);
        expect(handedOut).toEqual([]);
      }));
  }

  it('VZ-2.7 T-3.5 sound scores cost no mapping of their own', () =>
    withModel(
      () => {},
      async (llava) => {
        let ids: number[] = [];
        const mappings = await countMappings(gpu, async () => {
          ids = await collect(answerZipped(llava, pixels, question, budget, { maxNewTokens: 3 }));
        });
        expect([ids.length, mappings]).toEqual([3, 3]);
        for await (const _ of answerZipped(llava, pixels, question, budget, { maxNewTokens: 3 })) break; // frees the check, too
      },
    ));

  it('VZ-2.7 visionZip itself reads nothing; patch and image are told to whoever asks', async () => {
    const [B, H, N] = [2, 2, 8];
    const attention = grid('attention', [B, H, N]).values.map(Math.abs);
    attention[(1 * H + 1) * N + 1 + 5] = Number.NEGATIVE_INFINITY; // patch 5 of image 1
    const result = tidy(gpu, () => {
      const hiddenStates = tensor(gpu, grid('hidden', [B, N, 3]).values, [B, N, 3]);
      const meanKeys = tensor(gpu, grid('keys', [B, N, 2]).values, [B, N, 2]);
      return visionZip({ hiddenStates, clsAttention: tensor(gpu, attention, [B, H, N]), meanKeys }, budget);
    });
    await expect(expectFiniteScores(result)).rejects.toThrow(
      /^VisionZip: expected finite scores, got -Infinity at patch 5 of image 1$/,
    );
    dispose(result);
  });

  it('VZ-2.7 what ask, zip and chat begin with ends there, and leaves nothing', () =>
    withModel(spoilAttention(Number.NaN), async (llava) => {
      const { encoding } = await encoded(llava);
      await expect(reduceTokens(llava, encoding, budget)).rejects.toThrow(finiteScores);
      dispose(encoding);
    }));

  it('VZ-2.7 zip writes nothing where the tokens are not finite and the scores are', () =>
    withModel(spoilHiddenStates, async (llava) => {
      const { encoding } = await encoded(llava);
      const visual = await reduceTokens(llava, encoding, budget);
      await expect(writeZip(folder, llava, picture, 'crop', visual)).rejects.toThrow(
        /^zip: expected finite tokens \[1,6,12\], got NaN at place 0$/,
      );
      expect(readdirSync(folder)).toEqual([]);
      dispose(encoding, visual);
    }));

  const folder = mkdtempSync(join(tmpdir(), 'visionzip-finite-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const input = (attention: number, hidden: number): string => {
    const [B, H, N, C] = [1, 2, 6, 2];
    const filled = (name: string, shape: readonly number[], value: number) => {
      const data = new Float32Array(shape.reduce((x, y) => x * y, 1)).fill(value);
      return { name, dtype: 'F32', shape, data } as const;
    };
    const path = join(folder, 'in.safetensors');
    const tensors = [
      filled('clsAttention', [B, H, N], attention),
      filled('hiddenStates', [B, N, C], hidden),
      filled('meanKeys', [B, N, C], 1),
    ];
    writeFileSync(path, writeSafetensors(tensors));
    return path;
  };
  const refused: readonly (readonly [string, number, number, RegExp])[] = [
    ['scores', 3e38, 1, /^VisionZip: expected finite scores, got Infinity at patch 0 of image 0$/],
    ['tokens', 0.1, 3e38, /^zip: expected finite tokens \[1,3,2\], got Infinity at place 4$/],
  ];
  it.each(refused)(
    'VZ-2.7 zip --tensors of finite values whose %s overflow writes nothing',
    async (_, attention, hidden, message) => {
      const out = join(folder, 'out');
      const args = [
        '--tensors',
        input(attention, hidden),
        '--dominant',
        '2',
        '--contextual',
        '1',
        '--out',
        out,
      ];
      await expect(zipTensors(args)).rejects.toThrow(message);
      expect(readdirSync(out)).toEqual([]);
    },
  );
});

describe('M-7.4 logits that are not finite', () => {
  const start = (llava: Llava, options: object): Prefill => {
    const { hiddenSize } = llava.config.text;
    const { values, shape } = grid('prompt', [1, 4, hiddenSize]);
    return tidy(gpu, () => prefill(llava, tensor(gpu, values, shape), options));
  };
  const greedy = { maxNewTokens: 4 };
  const drawn = { maxNewTokens: 4, sample: sampler({ temperature: 1 }) };

  it.each([
    ['the most likely', greedy],
    ['a drawn', drawn],
  ])('M-7.4 in the first step no token is handed out, %s neither', (_, options) =>
    withModel(
      ({ language }) => {
        language.head.weight.values.fill(Number.NaN, 5 * 20, 6 * 20);
      },
      async (llava) => {
        await expect(collect(decode(llava, start(llava, options)))).rejects.toThrow(
          /^decode: expected finite logits, got NaN at token 5$/,
        );
      },
    ),
  );

  it('M-7.3 M-7.4 an answer that is stopped before it begins frees what it would have checked', () =>
    withModel(
      () => {},
      async (llava) => {
        const begun = tidy(gpu, () => ({
          ...start(llava, greedy),
          check: checkScores(tensor(gpu, new Float32Array(4), [1, 4])),
        }));
        await decode(llava, begun).return();
      },
    ));

  it('M-7.4 in a later step the answer ends there, with what was handed out', async () => {
    let first = -1;
    await withModel(
      () => {},
      async (llava) => {
        [first = -1] = await collect(decode(llava, start(llava, { maxNewTokens: 1 })));
      },
    );
    await withModel(
      ({ language }) => {
        language.tokenEmbedding.values.fill(Number.NaN, first * 20, (first + 1) * 20);
      },
      async (llava) => {
        const ids: number[] = [];
        const answer = async (): Promise<void> => {
          for await (const id of decode(llava, start(llava, greedy))) ids.push(id);
        };
        await expect(answer()).rejects.toThrow(/^decode: expected finite logits, got NaN at token 0$/);
        expect(ids).toEqual([first]);
      },
    );
  });

  it('M-7.4 hidden states that are not finite where the scores are end in logits that are not', () =>
    withModel(spoilHiddenStates, async (llava) => {
      const zip = tidy(gpu, () => visionZip(encodeImage(llava, pixels), budget));
      await expectFiniteScores(zip);
      dispose(zip);
      await expect(
        collect(answerZipped(llava, pixels, question, budget, { maxNewTokens: 3 })),
      ).rejects.toThrow(/^decode: expected finite logits, got NaN at token 0$/);
    }));
});
