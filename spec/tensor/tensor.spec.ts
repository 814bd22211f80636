import { describe, expect, it } from 'vitest';
import {
  type AnyTensor,
  add,
  dims,
  dispose,
  elementCount,
  indexTensor,
  read,
  readAll,
  reshape,
  ShapeError,
  scale,
  type Tensor,
  tensor,
  tidy,
} from '../../src/tensor/index.ts';
import { expectBits } from '../support/closeness.ts';
import { testGpu } from '../support/gpu.ts';
import { expectAccepted, expectRejected } from '../support/rejections.ts';

const gpu = await testGpu();
const zeros = (...shape: number[]): Tensor =>
  tensor(gpu, new Float32Array(shape.reduce((x, y) => x * y, 1)), shape);

async function readAndDispose(x: AnyTensor): Promise<Float32Array | Uint32Array> {
  const values = await read(x);
  dispose(x);
  return values;
}

describe('T-2.1 tensors', () => {
  it('T-2.1 what goes in comes out, row-major, bit for bit', async () => {
    const values = Float32Array.of(-0, 2 ** -149, 1 / 3, -3.4028234663852886e38, 5, 6);
    const x = tensor(gpu, values, [2, 3]);
    expect([x.dtype, x.shape]).toEqual(['f32', [2, 3]]);
    expectBits('tensor', { values: await readAndDispose(x), shape: [6] }, [6], values);

    const numbers = Uint32Array.of(0, 4294967295, 7);
    const indices = indexTensor(gpu, numbers, [3, 1]);
    expect([indices.dtype, indices.shape]).toEqual(['u32', [3, 1]]);
    expectBits('indexTensor', { values: await readAndDispose(indices), shape: [3] }, [3], numbers);
  });

  it('T-2.1 an array of another length than its shape says is rejected', () => {
    expectAccepted(gpu, () => tensor(gpu, new Float32Array(6), [2, 3]));
    for (const length of [0, 5, 7]) {
      expectRejected(gpu, ShapeError, () => tensor(gpu, new Float32Array(length), [2, 3]));
      expectRejected(gpu, ShapeError, () => indexTensor(gpu, new Uint32Array(length), [2, 3]));
    }
    expectAccepted(gpu, () => tensor(gpu, new Float32Array(1), []));
    expectRejected(gpu, ShapeError, () => tensor(gpu, new Float32Array(0), []));
  });

  it('T-2.1 axes that are not counts are rejected', () => {
    const shapes = [[-2, -3], [1.5, 4], [Number.NaN], [Number.POSITIVE_INFINITY]];
    for (const shape of shapes)
      expectRejected(gpu, ShapeError, () => tensor(gpu, new Float32Array(6), shape));
  });

  it('T-2.1 arrays of another element type are rejected', () => {
    const wrong = [new Float64Array(3), new Uint32Array(3), [1, 2, 3], new ArrayBuffer(12)];
    for (const data of wrong)
      expect(() => tensor(gpu, data as unknown as Float32Array, [3])).toThrow(TypeError);
    expect(() => indexTensor(gpu, new Float32Array(3) as unknown as Uint32Array, [3])).toThrow(TypeError);
  });

  it('T-2.1 a tensor does not change when its array or the list of its axes changes', async () => {
    const values = Float32Array.of(1, 2, 3);
    const shape = [3];
    const x = tensor(gpu, values, shape);
    values.fill(9);
    shape[0] = 7;
    expect(x.shape).toEqual([3]);
    expect(() => (x.shape as number[]).push(1)).toThrow(TypeError);
    expect(await readAndDispose(x)).toEqual(Float32Array.of(1, 2, 3));
  });

  it('T-2.1 views with an offset, and views of shared memory, are taken for what they show', async () => {
    const whole = Float32Array.from({ length: 100 }, (_, i) => i);
    const view = tensor(gpu, whole.subarray(3, 10), [7]);
    expect(await readAndDispose(view)).toEqual(whole.slice(3, 10));

    const shared = new Float32Array(new SharedArrayBuffer(400), 12, 50);
    shared.set(whole.subarray(0, 50));
    const fromShared = tensor(gpu, shared, [50]);
    expect(await readAndDispose(fromShared)).toEqual(whole.slice(0, 50));

    const numbers = new Uint32Array(new SharedArrayBuffer(8));
    numbers.set([5, 6]);
    const indices = indexTensor(gpu, numbers, [2]);
    expect(await readAndDispose(indices)).toEqual(Uint32Array.of(5, 6));
  });

  it('T-2.1 what was read belongs to the reader', async () => {
    const x = zeros(3);
    const first = await read(x);
    first.fill(7);
    expect(await readAndDispose(x)).toEqual(new Float32Array(3));
  });
});

describe('T-2.2 empty axes', () => {
  it('T-2.2 axes of length 0 are allowed, and reading such a tensor gives nothing', async () => {
    const [x, y, none] = [zeros(0), zeros(3, 0, 2), indexTensor(gpu, new Uint32Array(0), [2, 0])];
    const sum = add(y, y);
    expect(sum.shape).toEqual([3, 0, 2]);
    expect(await readAll(gpu, [x, sum, none])).toEqual([
      new Float32Array(0),
      new Float32Array(0),
      new Uint32Array(0),
    ]);
    dispose(x, y, none, sum);
  });

  it('T-2.2 tensors with and without elements are read together, each with its own', async () => {
    const x = tensor(gpu, Float32Array.of(1, 2), [2]);
    const [none, y] = [zeros(0), tensor(gpu, Float32Array.of(3), [1])];
    expect(await readAll(gpu, [x, none, y])).toEqual([
      Float32Array.of(1, 2),
      new Float32Array(0),
      Float32Array.of(3),
    ]);
    expect(await readAll(gpu, [])).toEqual([]);
    dispose(x, none, y);
  });

  it('T-2.2 a shape without axes has one element', () => {
    expect([elementCount([]), elementCount([3, 0]), elementCount([2, 3])]).toEqual([1, 0, 6]);
  });
});

describe('T-2.3 reshape', () => {
  it('T-2.3 reshape keeps the elements and their order, and shares memory', async () => {
    const x = tensor(
      gpu,
      Float32Array.from({ length: 24 }, (_, i) => i),
      [2, 3, 4],
    );
    const before = gpu.memory.buffersMade;
    const y = reshape(x, [6, 4]);
    expect(y.storage).toBe(x.storage);
    expect(gpu.memory.buffersMade).toBe(before);
    dispose(x); // the memory lives as long as one of the two
    const other = zeros(2, 3, 4);
    expect(other.storage).not.toBe(y.storage);
    expect(await readAndDispose(y)).toEqual(Float32Array.from({ length: 24 }, (_, i) => i));
    dispose(other);
  });

  it('T-2.3 another number of elements is rejected', () =>
    tidy(gpu, () => {
      const x = zeros(2, 3);
      for (const shape of [[6], [3, 2], [1, 6, 1]]) expectAccepted(gpu, () => reshape(x, shape));
      for (const shape of [[5], [7], [2, 2], [], [0], [-2, -3], [1.5, 4]])
        expectRejected(gpu, ShapeError, () => reshape(x, shape));
    }));
});

describe('T-2.4 dims', () => {
  it('T-2.4 dims reads the axes by name', () =>
    tidy(gpu, () => {
      const x = zeros(2, 3, 3);
      expect(dims(x, 'x [B, N, C]')).toEqual({ B: 2, N: 3, C: 3 });
      expect(dims(x, 'x [B, N, N]')).toEqual({ B: 2, N: 3 });
      expect(dims(x, 'x [B, N, C]', { B: 2 })).toEqual({ B: 2, N: 3, C: 3 });
      const { B, N } = dims(x, 'x [B, N, C]');
      const sum: number = B + N;
      expect(sum).toBe(5);
    }));

  it('T-2.4 another rank, a known axis of another length, and two lengths of one name are rejected', () =>
    tidy(gpu, () => {
      const keys = zeros(2, 30, 64);
      expectAccepted(gpu, () => dims(keys, 'keys [B, R, D]', { B: 2, R: 30 }));
      expectRejected(gpu, ShapeError, () => dims(keys, 'keys [B, R]'));
      expectRejected(gpu, ShapeError, () => dims(keys, 'keys [B, H, R, D]'));
      expectRejected(gpu, ShapeError, () => dims(keys, 'keys [B, R, R]'));
      expectRejected(gpu, ShapeError, () => dims(keys, 'keys [B, R, D]', { D: 63 }));
      expect(() => dims(keys, 'keys [B, R, D]', { B: 2, R: 28 })).toThrow(
        'expected keys [B=2, R=28, D], got [2, 30, 64]',
      );
    }));

  it('T-2.4 an axis that the pattern does not name does not compile', () =>
    tidy(gpu, () => {
      const x = zeros(2, 3);
      // @ts-expect-error: C is not an axis of the pattern
      expect(dims(x, 'x [B, N]').C).toBeUndefined();
      // @ts-expect-error: values are not indices
      expect(() => add(indexTensor(gpu, new Uint32Array(6), [2, 3]), x)).not.toThrow(TypeError);
    }));
});

describe('T-4.2 disposed tensors', () => {
  it('T-4.2 using a disposed tensor is rejected, disposing it again does nothing', async () => {
    const [x, kept] = [zeros(4), zeros(4)];
    expectAccepted(gpu, () => add(x, kept));
    dispose(x);
    dispose(x);
    const reborn = zeros(4); // takes the memory of x, which must not come back to life with it
    expect(reborn.storage).toBe(x.storage);
    for (const use of [() => add(x, kept), () => add(kept, x), () => scale(x, 2), () => reshape(x, [2, 2])])
      expect(() => tidy(gpu, use)).toThrow(/^\w+: expected (a )?live tensors?, got a disposed one/);
    await expect(read(x)).rejects.toThrow('read: expected a live tensor, got a disposed one');
    dispose(x);
    expect(await readAndDispose(add(reborn, kept))).toEqual(new Float32Array(4));
    dispose(reborn, kept);
  });
});
