// VisionZip on tensors that come from a file. SPEC VZ-6, and VZ-1.2 where keys come as their mean.

import { setFloat16 } from '@petamoriken/float16';
import { describe, expect, it } from 'vitest';
import { dispose, FileError, readAll, ShapeError, tidy } from '../../src/tensor/index.ts';
import {
  readZipTensors,
  uploadZipTensors,
  type VisionZipInput,
  type VisionZipOptions,
  visionZip,
  type ZipTensors,
} from '../../src/visionzip/index.ts';
import { memoryFile } from '../models/checkpoint/memory-files.ts';
import * as oracle from '../oracle/vision-zip.ts';
import { expectClose } from '../support/closeness.ts';
import { testGpu } from '../support/gpu.ts';
import { expand, type Host } from '../support/recipe.ts';
import { expectAccepted, expectRejected } from '../support/rejections.ts';
import { imagesOf, type ZipData } from '../support/zip-cases.ts';
import { namedHosts, outputsOf, resultsOf, type ZipResult } from '../support/zip-results.ts';

const gpu = await testGpu();

type Dtype = 'F32' | 'F16' | 'BF16' | 'I32';

interface Stored {
  readonly shape: readonly number[];
  readonly values: ArrayLike<number>;
  readonly dtype?: Dtype;
}

type Tensors = Readonly<Record<string, Stored>>;

const write: Readonly<Record<Dtype, (view: DataView, place: number, value: number) => void>> = {
  F32: (view, place, value) => view.setFloat32(place, value, true),
  I32: (view, place, value) => view.setInt32(place, value, true),
  F16: (view, place, value) => setFloat16(view, place, value, true),
  BF16(view, place, value) {
    const wide = new DataView(new ArrayBuffer(4));
    wide.setFloat32(0, value);
    view.setUint16(place, wide.getUint16(0), true); // cut: the values of these tests fit
  },
};

/** A safetensors file, written byte by byte. */
function fileOf(tensors: Tensors): ReturnType<typeof memoryFile> {
  const header: Record<string, object> = {};
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const [name, { shape, values, dtype = 'F32' }] of Object.entries(tensors)) {
    const width = dtype === 'F16' || dtype === 'BF16' ? 2 : 4;
    const bytes = new Uint8Array(width * values.length);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < values.length; i++) write[dtype](view, width * i, values[i] as number);
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    parts.push(bytes);
    offset += bytes.length;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  return memoryFile('mine.safetensors', Buffer.concat([length, text, ...parts]));
}

const [B, H, N, D, C] = [2, 3, 14, 5, 4];
const options: VisionZipOptions = { dominantCount: 5, contextualCount: 3 };
const grid = (name: string, shape: readonly number[]): Host<Float32Array> =>
  expand(name, { dist: 'grid', seed: 7, exp: 0 }, shape);

const data: ZipData = {
  hiddenStates: grid('hidden', [B, N, C]),
  clsAttention: absolute(grid('attention', [B, H, N])),
  keys: grid('keys', [B, H, N, D]),
};

function absolute({ values, shape }: Host<Float32Array>): Host<Float32Array> {
  return { shape, values: values.map(Math.abs) };
}

/** Attention of all tokens, of which only the row of CLS matters. */
function probsOf({ values }: Host<Float32Array>): Host<Float32Array> {
  const probs = absolute(grid('other rows', [B, H, N, N]));
  for (let head = 0; head < B * H; head++) {
    probs.values.set(values.subarray(head * N, (head + 1) * N), head * N * N);
  }
  return probs;
}

function meansOf({ values }: Host<Float32Array>): Host<Float32Array> {
  const means = new Float32Array(B * N * D);
  means.forEach((_, i) => {
    const [b, rest] = [Math.floor(i / (N * D)), i % (N * D)];
    let sum = 0;
    for (let h = 0; h < H; h++) sum += values[(b * H + h) * N * D + rest] as number;
    means[i] = sum / H;
  });
  return { shape: [B, N, D], values: means };
}

const dtype = (name: Dtype, { values, shape }: Host<Float32Array>): Stored => ({
  values,
  shape,
  dtype: name,
});

async function zipFile(tensors: Tensors, zipOptions = options): Promise<ZipResult[]> {
  const host = await readZipTensors(fileOf(tensors));
  const outputs = tidy(gpu, () => outputsOf(visionZip(uploadZipTensors(gpu, host), zipOptions)));
  const values = await readAll(gpu, outputs);
  dispose(outputs);
  return resultsOf(namedHosts(outputs.map(({ shape }, i) => ({ shape, values: values[i] as Float32Array }))));
}

function expectOracle(results: readonly ZipResult[], merge: 'target-plus-mean' | 'paper-average'): void {
  const { dominantCount: K, contextualCount: M } = options;
  for (const [b, got] of results.entries()) {
    const wanted = oracle.zip(imagesOf(data)[b] as oracle.Image, { K, M, merge });
    expect(got.kept).toEqual(wanted.kept);
    expect(got.targets).toEqual(wanted.targets);
    expect(got.sources).toEqual(wanted.sources);
    expect(got.assignment).toEqual(wanted.assignment);
    expect(got.counts).toEqual(wanted.counts);
    expectClose('scores', { values: got.scores, shape: [N - 1] }, [N - 1], wanted.scores, () => 1e-6);
    const tokens = got.tokens.flatMap((row) => Array.from(row));
    const shape = [K + M, C];
    expectClose(
      'tokens',
      { values: Float32Array.from(tokens), shape },
      shape,
      wanted.tokens.flat(),
      () => 1e-5,
    );
  }
}

describe('VZ-6 tensors from a file', () => {
  const full = { ...data, tokens: grid('unused', [1]) };
  const forms: readonly (readonly [string, Tensors])[] = [
    ['clsAttention and keys, as in a trace, with other tensors beside them', full],
    [
      'F16 and BF16',
      {
        hiddenStates: dtype('BF16', data.hiddenStates),
        clsAttention: dtype('F16', data.clsAttention),
        keys: dtype('BF16', data.keys),
      },
    ],
    [
      'attentionProbs in the place of clsAttention',
      {
        hiddenStates: data.hiddenStates,
        attentionProbs: probsOf(data.clsAttention),
        keys: data.keys,
      },
    ],
    [
      'meanKeys in the place of keys',
      {
        hiddenStates: data.hiddenStates,
        clsAttention: data.clsAttention,
        meanKeys: meansOf(data.keys),
      },
    ],
    [
      'attentionProbs and meanKeys',
      {
        hiddenStates: data.hiddenStates,
        attentionProbs: dtype('F16', probsOf(data.clsAttention)),
        meanKeys: meansOf(data.keys),
      },
    ],
  ];
  it.each(forms)('VZ-6.1 %s are zipped as the oracle does it', async (_, tensors) => {
    for (const merge of ['target-plus-mean', 'paper-average'] as const) {
      expectOracle(await zipFile(tensors, { ...options, merge }), merge);
    }
  });

  it('VZ-6.1 values are read exactly', async () => {
    const whole = await readZipTensors(fileOf(full));
    expect(whole.hiddenStates).toEqual({ shape: [B, N, C], data: data.hiddenStates.values });
    expect(whole.keys).toEqual({ shape: [B, H, N, D], data: data.keys.values });
    const half = await readZipTensors(fileOf({ ...full, clsAttention: dtype('F16', data.clsAttention) }));
    expect(half.clsAttention).toEqual({ shape: [B, H, N], data: data.clsAttention.values });
  });

  const without = (name: string): Tensors =>
    Object.fromEntries(Object.entries(data).filter(([one]) => one !== name));
  const refused: readonly (readonly [string, Tensors, RegExp])[] = [
    ['no hidden states', without('hiddenStates'), /expected tensor hiddenStates \[B, N, C\], got no tensor/],
    ['no attention', without('clsAttention'), /either clsAttention or attentionProbs, got neither/],
    ['no keys', without('keys'), /either keys or meanKeys, got neither/],
    ['two attentions', { ...data, attentionProbs: probsOf(data.clsAttention) }, /attentionProbs, got both/],
    ['two keys', { ...data, meanKeys: meansOf(data.keys) }, /either keys or meanKeys, got both/],
    [
      'hidden states of rank 2',
      { ...data, hiddenStates: grid('x', [N, C]) },
      /hiddenStates: expected \[B, N, C\]/,
    ],
    [
      'attention of other tokens',
      { ...data, clsAttention: grid('x', [B, H, N - 1]) },
      /clsAttention: expected \[B=2, H, N=14\]/,
    ],
    [
      'attention of other images',
      { ...data, clsAttention: grid('x', [B + 1, H, N]) },
      /clsAttention: expected/,
    ],
    [
      'attention that is not square',
      { ...without('clsAttention'), attentionProbs: grid('x', [B, H, N, N + 1]) },
      /attentionProbs: expected \[B=2, H, N=14, N=14\], no axis empty, got \[2, 3, 14, 15\]/,
    ],
    [
      'attention of the wrong rank',
      { ...without('clsAttention'), attentionProbs: grid('x', [B, H, N]) },
      /attentionProbs: expected/,
    ],
    [
      'keys of other heads',
      { ...data, keys: grid('x', [B, H + 1, N, D]) },
      /keys: expected \[B=2, H=3, N=14, D\]/,
    ],
    [
      'mean keys with heads',
      { ...without('keys'), meanKeys: grid('x', [B, H, N, D]) },
      /meanKeys: expected \[B=2, N=14, D\]/,
    ],
    [
      'no heads',
      { ...data, clsAttention: grid('x', [B, 0, N]), keys: grid('x', [B, 0, N, D]) },
      /no axis empty/,
    ],
    ['no channels', { ...data, hiddenStates: grid('x', [B, N, 0]) }, /no axis empty/],
    [
      'indices as keys',
      { ...data, keys: dtype('I32', data.keys) },
      /tensor "keys": expected F32, F16 or BF16, got I32/,
    ],
  ];
  it.each(refused)('VZ-6.2 %s: refused', async (_, tensors, message) => {
    await expectAcceptedFile(data);
    await expectFileError(tensors, message);
  });

  const places: readonly (readonly [string, Host<Float32Array>, number, string])[] = [
    ['hiddenStates', data.hiddenStates, 0, '0, 0, 0'],
    ['hiddenStates', data.hiddenStates, B * N * C - 1, `1, ${N - 1}, ${C - 1}`],
    ['clsAttention', data.clsAttention, (H + 2) * N + 3, '1, 2, 3'],
    ['keys', data.keys, N * D + 2 * D + 1, '0, 1, 2, 1'],
  ];
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    it.each(places)(
      `VZ-6.3 ${bad} in %s is refused, and its first place told`,
      async (name, host, index, place) => {
        const values = host.values.slice();
        values[index] = bad;
        if (index + 1 < values.length) values[index + 1] = Number.NaN;
        const message = new RegExp(`tensor ${name}: expected finite values, got ${bad} at \\[${place}\\]`);
        await expectFileError({ ...data, [name]: { shape: host.shape, values } }, message);
        await expectFileError({ ...data, [name]: { shape: host.shape, values, dtype: 'BF16' } }, message);
      },
    );
  }

  it('VZ-6.3 NaN is refused where CLS does not look, too, and in mean keys', async () => {
    const probs = probsOf(data.clsAttention);
    probs.values[N] = Number.NaN;
    await expectFileError(
      { ...without('clsAttention'), attentionProbs: probs },
      /attentionProbs: .*NaN at \[0, 0, 1, 0\]/,
    );
    const meanKeys = meansOf(data.keys);
    meanKeys.values[D] = Number.NaN;
    await expectFileError({ ...without('keys'), meanKeys }, /meanKeys: .*NaN at \[0, 1, 0\]/);
  });

  it('VZ-6.2 a file that is cut off anywhere is refused', async () => {
    const { size, read } = fileOf(data);
    const bytes = await read(0, size);
    for (const length of [0, 7, 8, 40, size - N * C, size - 1]) {
      const cut = memoryFile('cut.safetensors', bytes.slice(0, length));
      await expect(readZipTensors(cut)).rejects.toThrow(FileError);
    }
  });
});

describe('VZ-1 keys or their mean', () => {
  it('VZ-1.2 keys and their mean give the same, both or neither are rejected', async () => {
    const host = await readZipTensors(fileOf(data));
    const { keys, ...others } = host as ZipTensors & { keys: unknown };
    const mean = { ...others, meanKeys: { shape: [B, N, D], data: meansOf(data.keys).values } } as ZipTensors;
    expect(keys).toBeDefined();
    tidy(gpu, () => {
      const whole = uploadZipTensors(gpu, host);
      const meaned = uploadZipTensors(gpu, mean);
      const { hiddenStates, clsAttention } = whole;
      const zip = (input: object) => () => visionZip(input as VisionZipInput, options);
      expectAccepted(gpu, zip(whole));
      expectAccepted(gpu, zip(meaned));
      expectRejected(gpu, ShapeError, zip({ hiddenStates, clsAttention }));
      expectRejected(gpu, ShapeError, zip({ ...whole, meanKeys: meaned.meanKeys }));
      expectRejected(gpu, ShapeError, zip({ ...meaned, meanKeys: whole.keys }));
      expectRejected(gpu, ShapeError, zip({ ...whole, keys: meaned.meanKeys }));
    });
  });
});

async function expectAcceptedFile(tensors: Tensors): Promise<void> {
  await expect(readZipTensors(fileOf(tensors))).resolves.toBeDefined();
}

async function expectFileError(tensors: Tensors, message: RegExp): Promise<void> {
  const failure = await readZipTensors(fileOf(tensors)).then(
    () => null,
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(FileError);
  expect((failure as Error).message).toMatch(message);
  expect((failure as Error).message).toMatch(/^mine\.safetensors.*: expected .+, got .+/);
}
