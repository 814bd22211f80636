// Matrices of weights: packed f16, filled in pieces, bound in blocks of rows.

import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { halfChunks } from '../../src/models/checkpoint/tensor-floats.ts';
import {
  dispose,
  type Gpu,
  indexTensor,
  linear,
  lookup,
  type Matrix,
  matrixFromChunks,
  read,
  readAll,
  ShapeError,
  type Tensor,
  tensor,
  tidy,
} from '../../src/tensor/index.ts';
import { rowBlocks } from '../../src/tensor/weights.ts';
import { memoryFile } from '../models/checkpoint/memory-files.ts';
import { judgeEach } from '../support/cases.ts';
import { expectBits, expectClose } from '../support/closeness.ts';
import { portableGpu, testGpu } from '../support/gpu.ts';
import { expand, integers, recipes } from '../support/recipe.ts';

let gpu: Gpu;

/** Halves of the int8 grid: exact in f16, f32 and in any sum of up to 1,040 products. */
function gridValue(i: number, seed: number): number {
  return (((Math.imul(i + 1, 2654435761) ^ seed) >>> 24) - 128) / 64;
}

/** The bits of the half with the value `v`, which is a multiple of 1/64 below 2 in size. */
function halfBits(v: number): number {
  if (v === 0) return 0;
  const exponent = Math.floor(Math.log2(Math.abs(v)));
  const fraction = Math.abs(v) / 2 ** exponent - 1;
  return (v < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | Math.round(fraction * 1024);
}

async function* pieces<T extends Float32Array | Uint16Array>(values: T, length: number): AsyncGenerator<T> {
  for (let first = 0; first < values.length; first += length)
    yield values.subarray(first, first + length) as T;
}

const floats = (count: number, seed: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: count }, (_, i) => gridValue(i, seed));

const halfMatrix = (values: Float32Array, shape: readonly [number, number], piece = 64): Promise<Matrix> =>
  matrixFromChunks(gpu, 'f16', shape, pieces(Uint16Array.from(values, halfBits), piece));

/** Rounds to f16 as loading does, packs, and reads by a lookup. */
async function throughHalves(values: Float32Array, shape: readonly [number, number]): Promise<Float32Array> {
  const bytes = new Uint8Array(values.slice().buffer);
  const entry = { name: 't', dtype: 'F32', shape, begin: 0, end: bytes.length } as const;
  const table = await matrixFromChunks(gpu, 'f16', shape, halfChunks(memoryFile('f', bytes), entry));
  const everyRow = Uint32Array.from({ length: shape[0] }, (_, row) => row);
  const rows = tidy(gpu, () => lookup(table, indexTensor(gpu, everyRow, [shape[0]])));
  const read = (await readAll(gpu, [rows]))[0] as Float32Array;
  dispose(table, rows);
  return read;
}

describe.each([
  ['the fastest kernels here', testGpu],
  ['kernels for every adapter', portableGpu],
] as const)('T-20 weights, by %s', (_, open) => {
  beforeAll(async () => {
    gpu = await open();
  });

  it('T-20.1 pieces of any length fill a matrix in order', async () => {
    const values = floats(12 * 20, 1);
    for (const piece of [2, 6, 64, 239, 240, 1000]) {
      const matrix = await matrixFromChunks(gpu, 'f32', [12, 20], pieces(values, piece));
      expect(await read(matrix as Tensor)).toEqual(values);
      dispose(matrix);
    }
  });

  it('T-20.1 too few values, too many, and an odd piece of f16 are rejected and leave nothing', async () => {
    const live = gpu.memory.live.size;
    const f32 = (count: number) => matrixFromChunks(gpu, 'f32', [2, 4], pieces(floats(count, 2), 4));
    dispose(await f32(8));
    for (const count of [0, 4, 7, 9, 12]) await expect(f32(count)).rejects.toThrow(ShapeError);
    await expect(halfMatrix(floats(8, 2), [2, 4], 3)).rejects.toThrow(/even number of f16 values/);
    await expect(halfMatrix(floats(12, 2), [2, 6])).rejects.toThrow(/columns divisible by 4 for f16/);
    expect(gpu.memory.live.size).toBe(live);
  });

  it('T-20.4 freed weights leave the device, behind the products that read them', async () => {
    const values = floats(37 * 20, 3);
    const x = tensor(gpu, floats(20, 4), [1, 20]);
    const same = tensor(gpu, values, [37, 20]);
    const matrix = await halfMatrix(values, [37, 20]);
    const [y, wanted] = [linear(x, { weight: matrix }), linear(x, { weight: same })];
    const { allocatedBytes, buffersHeld } = gpu.memory;
    dispose(matrix);
    expect(gpu.memory.buffersHeld).toBe(buffersHeld - 1);
    expect(allocatedBytes - gpu.memory.allocatedBytes).toBe(Math.ceil((37 * 20 * 2) / 256) * 256);
    const [got, expected] = await readAll(gpu, [y, wanted]);
    expect(got).toEqual(expected);
    dispose(x, same, y, wanted);
  });

  it('T-20.3 a product with packed f16 is the one with the same weights in f32, to the bit', async () => {
    for (const [M, N, K] of [
      [1, 1, 4],
      [1, 65, 64],
      [8, 30, 12],
      [9, 64, 64],
      [65, 129, 36],
      [70, 7, 1040],
    ] as const) {
      const weights = floats(N * K, 3);
      const half = await halfMatrix(weights, [N, K]);
      const [got, wanted] = tidy(gpu, () => {
        const x = tensor(gpu, floats(M * K, 4), [M, K]);
        const bias = tensor(gpu, floats(N, 5), [N]);
        return [
          linear(x, { weight: half, bias }),
          linear(x, { weight: tensor(gpu, weights, [N, K]), bias }),
        ] as const;
      });
      const [a, b] = await readAll(gpu, [got, wanted]);
      expect(a, `${M} x ${N} x ${K}`).toEqual(b);
      expect(a.some((value) => value !== 0)).toBe(true);
      dispose(half, got, wanted);
    }
  });

  it('T-20.3 a lookup in packed f16 gives the values of the halves', async () => {
    const values = floats(50 * 8, 6);
    const table = await halfMatrix(values, [50, 8]);
    const rows = tidy(gpu, () => lookup(table, indexTensor(gpu, Uint32Array.of(0, 49, 7, 7), [4])));
    const expected = [0, 49, 7, 7].flatMap((row) => [...values.subarray(8 * row, 8 * row + 8)]);
    expect([...(await read(rows))]).toEqual(expected);
    dispose(table, rows);
  });

  it('T-20.3 P-21 f32 packed as f16 and read back is within half a step, exact where f16 can be, and stays', async () => {
    const [count, length] = [220, 64];
    const drawn = fc.sample(recipes('huge'), {
      seed: Number(process.env.SPEC_SEED ?? 20240612),
      numRuns: count,
    });
    const values = new Float32Array(count * length);
    drawn.forEach((one, row) => {
      values.set(expand(`x${row}`, one, [4, 16]).values, row * length);
    });
    const once = await throughHalves(values, [count, length]);
    judgeEach(drawn, (_, row) => {
      const [from, to] = [row * length, (row + 1) * length];
      const got = { values: once.subarray(from, to), shape: [length] };
      const wanted = values.subarray(from, to);
      // Half of the distance of two halves: 2^−11 of the number, 2^−25 between subnormal ones.
      expectClose('f32 as f16', got, [length], wanted, (i) => {
        return Math.max(2 ** -11 * Math.abs(wanted[i] as number), 2 ** -25);
      });
    });
    const shape = [count, length];
    const twice = await throughHalves(once, [count, length]);
    expectBits('f16 as f16', { values: twice, shape }, shape, once);
    const sizes = integers('bits', 1, [values.length], 0x7c00).values; // of finite halves
    const halves = Float32Array.from(values, (_, i) => {
      const bits = sizes[i] as number;
      const fraction = (bits & 1023) / 1024;
      const size = bits < 1024 ? 2 ** -14 * fraction : 2 ** ((bits >> 10) - 15) * (1 + fraction);
      return i % 2 === 0 ? size : -size;
    });
    expectBits('halves', { values: await throughHalves(halves, [count, length]), shape }, shape, halves);
  });

  it.each(['f32', 'f16'] as const)(
    'T-20.2 a matrix larger than one binding serves products and lookups: %s',
    async (dtype) => {
      const K = 1024;
      const limit = gpu.device.limits.maxStorageBufferBindingSize;
      const rowsThatFit = Math.floor(limit / (K * (dtype === 'f32' ? 4 : 2)));
      if (rowsThatFit > 200_000) return; // an adapter that binds gigabytes is not asked to hold them here
      const N = rowsThatFit + 1000;
      const row = floats(K, 7);
      // Row n is row 0 times a power of two that tells blocks and rows apart.
      const factor = (n: number): number => 2 ** -(n % 5);
      const variants = Array.from({ length: 5 }, (_, n) => {
        const values = row.map((value) => value * factor(n));
        return dtype === 'f32' ? values : Uint16Array.from(values, halfBits);
      });
      async function* rows(): AsyncGenerator<Float32Array | Uint16Array> {
        for (let n = 0; n < N; n += 100) {
          const part = new (dtype === 'f32' ? Float32Array : Uint16Array)(Math.min(100, N - n) * K);
          for (let r = 0; r * K < part.length; r++) part.set(variants[(n + r) % 5] as Float32Array, r * K);
          yield part;
        }
      }
      const matrix = await matrixFromChunks(gpu, dtype, [N, K], rows() as AsyncGenerator<Float32Array>);
      expect(rowBlocks(matrix).length).toBe(2);

      const x = floats(K, 8);
      const dot = x.reduce((sum, value, k) => sum + value * (row[k] as number), 0);
      const wanted = Uint32Array.of(0, rowsThatFit - 1, rowsThatFit, N - 1);
      const [y, found] = tidy(gpu, () => [
        linear(tensor(gpu, x, [1, K]), { weight: matrix }),
        lookup(matrix, indexTensor(gpu, wanted, [4])),
      ]);
      const [products, picked] = await readAll(gpu, [y as Tensor, found as Tensor]);
      for (const n of [...wanted, 1, 63, 64, rowsThatFit - 64, rowsThatFit + 64]) {
        expect(products[n], `column ${n}`).toBe(Math.fround(dot * factor(n)));
      }
      wanted.forEach((n, i) => {
        expect(picked[i * K + 5], `row ${n}`).toBe((row[5] as number) * factor(n));
      });
      dispose(matrix, y as Tensor, found as Tensor);
    },
  );
});
