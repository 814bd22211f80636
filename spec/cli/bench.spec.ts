// `visionzip bench` and --profile. SPEC B-1.

import { describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/cli/bench-open.ts';
import { type BenchRow, measure } from '../../src/cli/bench-run.ts';
import { randomLlava, weightBytesOf } from '../../src/models/index.ts';
import { dispose, GpuError, type Matrix } from '../../src/tensor/index.ts';
import { collectOwners } from '../../src/tensor/memory.ts';
import { testGpu } from '../support/gpu.ts';
import { runCommand } from './run-command.ts';

const quick = ['--budget', '64', '--repeat', '1', '--tokens', '3'];

describe('B-1 bench', () => {
  it('B-1.1 each stage of the model in the package is measured with all tokens, then with fewer', async () => {
    const { code, stdout } = await runCommand(['bench', ...quick, '--json']);
    expect(code).toBe(0);
    const { rows, layers, partial, textTokens } = JSON.parse(stdout);
    expect({ layers, partial }).toEqual({
      layers: { part: 'decoder', run: 4, whole: 4 },
      partial: false,
    });
    expect(rows.map((row: BenchRow) => row.visualTokens)).toEqual([576, 64]);
    for (const row of rows as BenchRow[]) {
      const { ms, firstTokenMs, totalMs, keyValueBytes, visualTokens, peakBytes } = row;
      for (const [stage, time] of Object.entries(ms)) expect(time, stage).toBeGreaterThan(0);
      const { decode, ...before } = ms;
      const first = Object.values(before).reduce<number>((sum, time) => sum + (time ?? 0), 0);
      expect(firstTokenMs).toBeCloseTo(first, 6);
      expect(totalMs).toBeCloseTo(first + 2 * (decode as number), 6);
      // Keys and values, 4 layers, 128 channels, f32.
      expect(keyValueBytes).toBe(2 * 4 * 128 * 4 * (visualTokens + textTokens));
      expect(peakBytes).toBeGreaterThan(keyValueBytes as number);
    }
  });

  it('B-1.2 fewer layers are said in the first line, and a model of random weights needs no file', async () => {
    const args = ['bench', '--config', 'clip-l-336', '--layers', '1', '--budget', '64', '--repeat', '1'];
    const { code, stdout } = await runCommand([...args, '--profile']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^clip-l-336, 1 OF 23 ENCODER LAYERS: random weights, f16\n/);
    expect(stdout).toContain('PROFILED');
    expect(stdout).toMatch(/^576 .+\n64 = 54 \+ 10 /m);
    expect(stdout).toMatch(/^against 576 +zip \/ encode\n64 = 54 \+ 10 +\d+\.\d\d %$/m);
  });

  it('B-1.3 what does not fit is refused before it is made, with the layers that would', async () => {
    const { code, stdout, stderr } = await runCommand([
      ...['bench', '--config', 'llava-1.5-7b', '--max-memory', '3GB'],
    ]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(
      /expected llava-1\.5-7b to need at most 3\.00 GB, got 14\.\d+ GB .+; --layers 4 fits\n$/,
    );
  });

  it('B-1.3 the sizes that are counted are those that the weights have', async () => {
    const gpu = await testGpu();
    const vision = {
      ...{ hiddenSize: 32, intermediateSize: 64, layerCount: 4, headCount: 4 },
      ...{ imageSize: 28, patchSize: 14, normEps: 1e-5, activation: 'gelu' as const },
    };
    const text = {
      ...{ hiddenSize: 48, intermediateSize: 96, layerCount: 3, headCount: 4, keyValueHeadCount: 2 },
      ...{ headSize: 12, vocabSize: 100, normEps: 1e-5, ropeTheta: 10_000, ropeFactor: 1 },
      ...{ maxPositions: 64, tieWordEmbeddings: false },
    };
    const config = {
      ...{
        vision,
        text,
        visionFeatureLayer: -2,
        imageTokenIndex: null,
        projectorActivation: 'gelu' as const,
      },
      ...{ bosTokenId: 1, eosTokenIds: [2], padTokenId: 0 },
    };
    for (const dtype of ['f32', 'f16'] as const) {
      const model = await randomLlava(gpu, config, { dtype, seed: 1 });
      const weights = new Set<unknown>();
      collectOwners([model.vision, model.projector, model.language], weights);
      const bytes = [...weights].reduce<number>((sum, x) => sum + (isMatrix(x) ? bytesOf(x) : 0), 0);
      const counted = weightBytesOf(vision, text, dtype);
      expect(counted.encoder + 3 * counted.encoderLayer + counted.decoder + 3 * counted.decoderLayer).toBe(
        bytes,
      );
      dispose(model.vision, model.projector, model.language);
    }
  });

  it('B-1.4 a device that goes away in the middle leaves the rows before it', async () => {
    const plan = {
      budgets: new Map([
        [576, null],
        [64, { dominantCount: 54, contextualCount: 10 }],
      ]),
      ...{ repeat: 1, textTokens: 8, newTokens: 2 },
    };
    const { subject } = await openCheckpoint('tiny', undefined, {}, 1, plan);
    const rows: BenchRow[] = [];
    const run = async (): Promise<void> => {
      for await (const row of measure(subject, plan)) {
        rows.push(row);
        subject.gpu.device.destroy();
      }
    };
    await expect(run()).rejects.toThrow(GpuError);
    expect(rows.map(({ visualTokens }) => visualTokens)).toEqual([576]);
  });

  it('B-1.4 what was measured is printed as partial, then the error, exit code 2', async () => {
    const { code, stdout, stderr } = await runCommand(['bench', ...quick, '--max-memory', '20MB']);
    expect(code).toBe(2);
    expect(stdout).toMatch(/\nPARTIAL: not all budgets were measured\.\n/);
    expect(stderr).toMatch(/visionzip: \w+: expected at most 19\.1 MiB in .+\n$/);
  });

  it.each([
    [
      'a config that there is not',
      ['--config', 'llava-2'],
      /--config: expected one of tiny, clip-l-336, .+, got "llava-2"/,
    ],
    ['no layers', ['--layers', '0'], /--layers: expected a whole number from 1 to 999999999, got "0"/],
    ['more layers than there are', ['--layers', '5'], /--layers: expected at most 4 decoder layers, got 5/],
    [
      'a budget that there is not',
      ['--budget', '65'],
      /--budget: expected some of 576, 192, 128, 64, got "65"/,
    ],
    ['a huge number', ['--repeat', '99999999999'], /--repeat: expected a whole number from 1/],
    [
      'an answer that outgrows the model',
      ['--tokens', '999999999'],
      /--tokens: expected at most 2048 positions, .+, got 1000000639\n$/,
    ],
    [
      'a tower for random weights',
      ['--config', 'llava-1.5-7b', '--vision-tower', 'x'],
      /--vision-tower: expected with --model, got --config llava-1\.5-7b\n$/,
    ],
    ['two models', ['--config', 'tiny', '--model', 'x'], /expected --config or --model, got both/],
  ])('B-1.5 %s is refused', async (_, args, message) => {
    const { code, stdout, stderr } = await runCommand(['bench', ...args]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
  });
});

function isMatrix(x: unknown): x is Matrix {
  return typeof x === 'object' && x !== null && 'storage' in x && 'shape' in x;
}

function bytesOf({ dtype, shape }: Matrix): number {
  return shape.reduce((count, length) => count * length, dtype === 'f16' ? 2 : 4);
}

describe('B-2 --profile', () => {
  it('B-2.1 the kernels of an answer stand on stderr, the answer alone on stdout', async () => {
    const args = [
      'ask',
      'golden/tiny-llava/scene-2.png',
      'How many objects are there?',
      '--max-new-tokens',
      '2',
    ];
    const { code, stdout, stderr } = await runCommand([...args, '--profile']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\w+\n$/);
    expect(stderr).toMatch(/kernel +dispatches +ms +share\n(.+ +\d+ +\d+\.\d\d +\d+\.\d %\n)+$/);
  });
});
