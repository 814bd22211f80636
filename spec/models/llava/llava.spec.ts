import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  encodeImage,
  type Llava,
  loadLlava,
  type ModelFiles,
  patchTokens,
  prefill,
  project,
  splice,
} from '../../../src/models/index.ts';
// The number of layers has no public name.
import { encoderLayerCount } from '../../../src/models/llava/llava.ts';
import {
  dispose,
  FileError,
  GpuError,
  openGpu,
  read,
  readAll,
  ShapeError,
  tensor,
  tidy,
} from '../../../src/tensor/index.ts';
import { gelu } from '../../oracle/activation.ts';
import * as clipOracle from '../../oracle/clip.ts';
import * as llamaOracle from '../../oracle/llama.ts';
import { linear } from '../../oracle/matmul.ts';
import { expectBits } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import type { Host } from '../../support/recipe.ts';
import { expectAccepted, expectRejected } from '../../support/rejections.ts';
import { expectRelative } from '../../support/relative.ts';
import {
  changedFiles,
  llavaOnDevice,
  loadTinyLlava,
  textConfig,
  tinyLlava,
  tinyLlavaFiles,
  visionConfig,
  withConfig,
} from '../../support/tiny-llava.ts';
import { grid, plain, tinyPixels } from '../../support/tiny-models.ts';

const gpu = await testGpu();
const host = tinyLlava('llava');
const [C, E] = [visionConfig.hiddenSize, textConfig.hiddenSize];
const T = 16; // patches

let model: Llava;
let llava: Llava;

beforeAll(async () => {
  model = await loadTinyLlava(gpu);
  llava = llavaOnDevice(model, host);
});

afterAll(() => {
  dispose(model);
  dispose({ vision: llava.vision, projector: llava.projector, language: llava.language });
});

const upload = ({ values, shape }: Host<Float32Array>) => tensor(gpu, values, shape);

describe('M-6 LLaVA', () => {
  it('M-6.1 the projector is linear, exact GELU, linear', async () => {
    const tokens = grid('projected', [2, T, C], 2); // far from zero, where the GELUs differ
    const got = tidy(gpu, () => project(llava, upload(tokens)));
    const { linear1, linear2 } = host.projector;
    const sizes = { R: 2 * T, K: C, N: E };
    const wide = linear(tokens.values, linear1.weight.values, linear1.bias.values, sizes).values;
    const expected = linear(gelu(wide), linear2.weight.values, linear2.bias.values, {
      ...sizes,
      K: E,
    }).values;
    expectRelative('projector', { values: await read(got), shape: got.shape }, [2, T, E], expected, 2e-5);
    dispose(got);
  });

  it('M-6.1 each token is projected by itself', async () => {
    const tokens = grid('alone', [1, T, C]);
    const width = tokens.shape[2] as number;
    const reversed = tokens.values.map(
      (_, i) => tokens.values[(T - 1 - Math.floor(i / width)) * width + (i % width)] as number,
    );
    const [one, two] = tidy(gpu, () => [
      project(llava, upload(tokens)),
      project(llava, upload({ ...tokens, values: reversed })),
    ]) as [ReturnType<typeof project>, ReturnType<typeof project>];
    const [first, second] = await readAll(gpu, [one, two]);
    const expected = first.map((_, i) => first[(T - 1 - Math.floor(i / E)) * E + (i % E)] as number);
    expectBits('projected', { values: second, shape: two.shape }, [1, T, E], expected);
    dispose(one, two);
  });

  it('M-6.1 tokens of another width are rejected', () => {
    tidy(gpu, () => {
      const [right, wrong] = [upload(grid('right', [1, 3, C])), upload(grid('wrong', [1, 3, C + 1]))];
      expectAccepted(gpu, () => project(llava, right));
      expectRejected(gpu, ShapeError, () => project(llava, wrong));
    });
  });

  it('M-6.2 the visual tokens are the patches of the chosen hidden state, without CLS', async () => {
    const pixels = tinyPixels('patches', 1, visionConfig);
    const { imageSize: S } = visionConfig;
    const encoding = encodeImage(llava, { data: pixels.values, shape: [1, 3, S, S] });
    const patches = patchTokens(encoding);
    const [hidden, got] = await readAll(gpu, [encoding.hiddenStates, patches]);
    expectBits('patches', { values: got, shape: patches.shape }, [1, T, C], hidden.slice(C));
    const expected = clipOracle.encode(plain(host.vision), pixels.values, 1);
    expectRelative(
      'hidden',
      { values: hidden, shape: [1, T + 1, C] },
      [1, T + 1, C],
      expected.hiddenStates,
      2e-5,
    );
    dispose(encoding, patches);
  });

  for (const [before, visual, after] of [
    [[1], 1, [2]],
    [[1, 7, 7], 5, [36, 0]],
    [[5], 16, [3, 4, 5, 6]],
    [[], 3, [9]],
    [[9], 3, []],
  ] as const) {
    it(`M-6.3 ${visual} visual tokens stand between ${before.length} and ${after.length} of text`, async () => {
      const tokens = grid('visual', [1, visual, E]);
      const length = before.length + visual + after.length;
      const [embeds, start] = tidy(gpu, () => {
        const spliced = splice(llava, { before, after }, upload(tokens));
        return [spliced, prefill(llava, spliced, { maxNewTokens: 3 })] as const;
      });
      const table = host.language.tokenEmbedding.values;
      const rows = (ids: readonly number[]): number[] =>
        ids.flatMap((id) => Array.from(table.subarray(id * E, (id + 1) * E)));
      const expected = Float32Array.from([...rows(before), ...tokens.values, ...rows(after)]);
      const [values, logits] = await readAll(gpu, [embeds, start.step.logits]);
      expectBits('embeds', { values, shape: embeds.shape }, [1, length, E], expected);
      // Positions 0 to length − 1, whatever is text.
      const { logits: all } = llamaOracle.run(plain(host.language), expected, 1, length);
      const V = textConfig.vocabSize;
      expectRelative('logits', { values: logits, shape: [1, V] }, [1, V], all.subarray((length - 1) * V));
      expect(start.step.cache.length).toBe(length);
      dispose(embeds, start);
    });
  }

  it('M-6.3 token ids beyond the vocabulary are rejected', () => {
    const splicing = (ids: readonly number[]) => () =>
      tidy(gpu, () => void splice(llava, { before: [1], after: ids }, upload(grid('ids', [1, 3, E]))));
    expect(splicing([textConfig.vocabSize - 1])).not.toThrow();
    for (const bad of [textConfig.vocabSize, -1, 1.5]) expect(splicing([bad])).toThrow(RangeError);
  });

  it('M-6.3 visual tokens of another width, or of more than one picture, are rejected', () => {
    tidy(gpu, () => {
      const [right, wide, two, flat] = [
        upload(grid('right', [1, 3, E])),
        upload(grid('wide', [1, 3, E + 1])),
        upload(grid('two', [2, 3, E])),
        upload(grid('flat', [3, E])),
      ];
      const prompt = { before: [1], after: [2] };
      expectAccepted(gpu, () => splice(llava, prompt, right));
      for (const wrong of [wide, two, flat]) {
        expectRejected(gpu, ShapeError, () => splice(llava, prompt, wrong));
      }
    });
  });
});

describe('M-6.4 loading', () => {
  it('M-6.4 the layers up to the feature layer are used, whichever way they are counted', () => {
    const layers = (visionFeatureLayer: number, layerCount: number): number =>
      encoderLayerCount({ ...model.config, vision: { ...visionConfig, layerCount }, visionFeatureLayer });
    expect(layers(-2, 24)).toBe(23);
    expect(layers(-1, 24)).toBe(24);
    expect(layers(-24, 24)).toBe(1);
    expect(layers(24, 24)).toBe(24);
    expect(layers(22, 24)).toBe(22);
    expect(layers(1, 24)).toBe(1);
    expect(layers(-2, 6)).toBe(5);
  });

  for (const [featureLayer, expected] of [
    [-2, 5],
    [-1, 6],
    [6, 6],
    [1, 1],
    [-6, 1],
  ] as const) {
    it(`M-6.4 feature layer ${featureLayer} of 6 loads ${expected} layers`, async () => {
      const loaded = await loadLlava(gpu, withConfig({ vision_feature_layer: featureLayer }));
      expect(loaded.vision.layers).toHaveLength(expected);
      dispose(loaded);
    });
  }

  it('M-6.4 loading that fails frees what it uploaded and closes its files', async () => {
    let readCount = 0;
    let openCount = 0;
    const failingAt = (at: number): ModelFiles =>
      changedFiles((file) => {
        openCount++;
        return {
          ...file,
          read: (offset, length) => {
            if (file.name === 'model.safetensors' && readCount++ === at)
              throw new FileError('expected a read, got none');
            return file.read(offset, length);
          },
          close: () => {
            openCount--;
            return file.close();
          },
        };
      });
    const liveBefore = gpu.memory.live.size;
    dispose(await loadLlava(gpu, failingAt(Number.POSITIVE_INFINITY)));
    const last = readCount - 1;
    expect(openCount).toBe(0);
    for (const at of [0, 1, 2, 10, Math.floor(last / 2), last]) {
      readCount = 0;
      await expect(loadLlava(gpu, failingAt(at))).rejects.toThrow(FileError);
      expect(readCount, `reads until the failing one`).toBe(at + 1);
      expect(gpu.memory.live.size, `tensors after read ${at}`).toBe(liveBefore);
      expect(openCount, 'open files').toBe(0);
    }
  });

  it('M-6.4 T-3.4 a device that is lost meanwhile fails the loading, and nothing is left', async () => {
    const own = await openGpu();
    const losing = changedFiles((file) => ({
      ...file,
      read: (offset, length) => {
        if (offset + length === file.size && file.name === 'model.safetensors') own.device.destroy();
        return file.read(offset, length);
      },
    }));
    const error = await loadLlava(own, losing).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(GpuError);
    expect(String(error)).toMatch(/the device was lost/);
    expect(own.memory.live.size).toBe(0);
    own.close();
  });

  it('M-6.4 a tensor of another shape, or a tokenizer beyond the vocabulary, is refused by name, and nothing is left', async () => {
    const liveBefore = gpu.memory.live.size;
    const config = JSON.parse(new TextDecoder().decode(await readFile('config.json')));
    const wide = { text_config: { ...config.text_config, vocab_size: 515 } };
    await expect(loadLlava(gpu, withConfig(wide))).rejects.toThrow(
      /(lm_head|embed_tokens)\.weight.*515.*514/,
    );
    const narrow = loadLlava(gpu, withConfig({ text_config: { ...config.text_config, vocab_size: 513 } }));
    await expect(narrow).rejects.toThrow(FileError);
    await expect(narrow).rejects.toThrow(/tiny-llava: expected a tokenizer of at most 513 pieces.*got 514/);
    const long = { text_config: { ...config.text_config, num_hidden_layers: 5 } };
    await expect(loadLlava(gpu, withConfig(long))).rejects.toThrow(/language_model\.model\.layers\.4\./);
    expect(gpu.memory.live.size).toBe(liveBefore);
  });
});

async function readFile(name: string): Promise<Uint8Array> {
  const file = await tinyLlavaFiles.open(name);
  try {
    return await file.read(0, file.size);
  } finally {
    await file.close();
  }
}
