import { describe, expect, it } from 'vitest';
import {
  add,
  dispose,
  finish,
  GpuError,
  openGpu,
  read,
  repeatRows,
  reshape,
  ropeTable,
  scale,
  slice,
  streamingAttention,
  type Tensor,
  tensor,
  tidy,
} from '../../src/tensor/index.ts';
import { allocate, createMemory, disown, type Memory, own, sizeClass } from '../../src/tensor/memory.ts';
import { testGpu } from '../support/gpu.ts';

const gpu = await testGpu();
const MIB = 2 ** 20;
const filled = (value: number, length = 4): Tensor =>
  tensor(gpu, new Float32Array(length).fill(value), [length]);
const liveCount = (): number => gpu.memory.live.size;

describe('T-4.1 tidy', () => {
  it('T-4.1 what is made inside and not returned is freed', async () => {
    const x = filled(1);
    const before = liveCount();
    const y = tidy(gpu, () => scale(add(x, add(x, x)), 2));
    expect(liveCount()).toBe(before + 1);
    expect(await read(y)).toEqual(Float32Array.of(6, 6, 6, 6));
    dispose(x, y);
    expect(liveCount()).toBe(before - 1);
  });

  it('T-4.1 records and arrays of tensors of any depth are kept', async () => {
    const before = liveCount();
    const result = tidy(gpu, () => {
      const [a, b, c] = [filled(1), filled(2), filled(3)];
      filled(4);
      return {
        a,
        list: [b, { c }],
        count: 3,
        name: 'x',
        nothing: null,
        floats: new Float32Array(2),
        again: a,
      };
    });
    expect(liveCount()).toBe(before + 3);
    const { c } = result.list[1] as { c: Tensor };
    expect(await read(c)).toEqual(new Float32Array(4).fill(3));
    dispose(result.a, result.list[0] as Tensor, c);
  });

  it('T-4.1 what a tensor was made of may go; a reshaped tensor holds the memory', async () => {
    const before = liveCount();
    const y = tidy(gpu, () => reshape(filled(7, 6), [2, 3]));
    expect(liveCount()).toBe(before + 1);
    const other = filled(8, 6);
    expect(await read(y)).toEqual(new Float32Array(6).fill(7));
    dispose(y, other);
  });

  it('T-4.1 a block around owns what a block inside returned, and tensors from outside stay', () => {
    const outside = filled(1);
    const before = liveCount();
    tidy(gpu, () => {
      const inner = tidy(gpu, () => {
        filled(2);
        return add(outside, outside);
      });
      expect(liveCount()).toBe(before + 1);
      expect(gpu.memory.live.has(inner)).toBe(true);
    });
    expect(liveCount()).toBe(before);
    expect(gpu.memory.live.has(outside)).toBe(true);
    const same = tidy(gpu, () => outside);
    expect(same).toBe(outside);
    dispose(outside);
  });

  it('T-4.1 an exception frees everything, in every block it passes', () => {
    const before = liveCount();
    const failing = (): void =>
      tidy(gpu, () => {
        filled(1);
        tidy(gpu, () => {
          filled(2);
          throw new Error('out of the inner block');
        });
      });
    expect(failing).toThrow('out of the inner block');
    expect(liveCount()).toBe(before);
    expect(gpu.memory.scopes.length).toBe(0);
  });

  it('T-4.1 a block that returns a promise is refused, and what it made is freed', () => {
    const before = liveCount();
    expect(() => tidy(gpu, async () => filled(1))).toThrow(TypeError);
    expect(liveCount()).toBe(before);
    expect(gpu.memory.scopes.length).toBe(0);
  });

  it('T-4.1 what is disposed inside, or made and disposed around, does no harm', () => {
    const before = liveCount();
    const x = filled(1);
    tidy(gpu, () => {
      const y = filled(2);
      dispose(y, x);
      expect(liveCount()).toBe(before);
    });
    expect(liveCount()).toBe(before);
  });
});

describe('T-4.3 flat memory', () => {
  it('T-4.3 allocating, using and freeing 2,000 × 4 MiB keeps memory flat', async () => {
    const x = tensor(gpu, new Float32Array(MIB).fill(1), [MIB]);
    const host = new Float32Array(MIB);
    const round = async (from: number, to: number): Promise<void> => {
      for (let i = from; i < to; i++) {
        tidy(gpu, () => void scale(x, i));
        if (i % 20 === 0) tidy(gpu, () => void tensor(gpu, host, [MIB]));
        if (i % 50 === 49) await finish(gpu);
      }
    };
    await round(0, 200);
    const residentBefore = process.memoryUsage().rss;
    const { buffersMade, allocatedBytes } = gpu.memory;
    await round(200, 2000);
    const grown = (process.memoryUsage().rss - residentBefore) / MIB;
    expect(gpu.memory.buffersMade, 'buffers').toBe(buffersMade);
    expect(gpu.memory.allocatedBytes, 'bytes').toBe(allocatedBytes);
    expect(Math.abs(grown), 'growth of resident memory in MiB').toBeLessThan(50);
    dispose(x);
  });

  it('T-4.3 a size that grows at every step, as a key-value cache does, needs few buffers', () => {
    const before = gpu.memory.buffersMade;
    for (let length = 1000; length < 3000; length += 7) tidy(gpu, () => void filled(1, length));
    expect(gpu.memory.buffersMade - before).toBeLessThanOrEqual(16);
  });

  it('T-4.3 a size class holds what is asked for and wastes a fifth at most', () => {
    for (let bytes = 0; bytes < 5000; bytes += 4) {
      expect(sizeClass(bytes)).toBeGreaterThanOrEqual(Math.max(bytes, 256));
      expect(sizeClass(bytes) % 256).toBe(0);
    }
    for (const bytes of [2 ** 20 + 4, 5 * MIB + 4, 2 ** 31 - 4])
      expect(sizeClass(bytes)).toBeLessThanOrEqual(bytes * 1.25);
  });
});

describe('T-4.4 budget', () => {
  it('T-4.4 an allocation beyond the budget is refused before it is made', () => {
    const memory = pool(8 * MIB);
    const first = allocate(memory, 4 * MIB, 'first');
    const made = memory.buffersMade;
    expect(() => allocate(memory, 5 * MIB, 'second')).toThrow(GpuError);
    expect(() => allocate(memory, 5 * MIB, 'second')).toThrow(
      /^second: expected at most 8\.0 MiB .+, got 4\.0 MiB in 1 and 5\.0 MiB more/,
    );
    expect(memory.buffersMade).toBe(made);
    const third = allocate(memory, 4 * MIB, 'third'); // up to the last byte
    expect(() => allocate(memory, 1, 'fourth')).toThrow(GpuError);
    for (const { buffer } of [first, third]) buffer.destroy();
  });

  it('T-4.4 pooled buffers make room first', () => {
    const memory = pool(8 * MIB);
    const storage = allocate(memory, 6 * MIB, 'first');
    expect(() => allocate(memory, 4 * MIB, 'second')).toThrow(GpuError);
    const owner = { storage };
    own(memory, owner);
    disown(memory, owner);
    allocate(memory, 4 * MIB, 'second').buffer.destroy();
    expect([memory.allocatedBytes, memory.pooledBytes]).toEqual([4 * MIB, 0]);
  });

  it('T-4.4 more buffers than the system lets a software adapter map are refused', () => {
    const memory = pool(2 ** 40);
    const storages = Array.from({ length: 30_000 }, () => allocate(memory, 4, 'one of many'));
    expect(() => allocate(memory, 4, 'one more')).toThrow(/^one more: expected at most .+ in 30000 buffers/);
    for (const { buffer } of storages) buffer.destroy();
  });

  it('T-4.4 a buffer larger than the adapter takes is refused', () => {
    const memory = pool(null);
    const { maxBufferSize, maxStorageBufferBindingSize } = gpu.device.limits;
    const largest = Math.min(maxBufferSize, maxStorageBufferBindingSize);
    expect(() => allocate(memory, largest + 256, 'big')).toThrow(
      /^big: expected a buffer of at most .+, got /,
    );
    expect(memory.buffersMade).toBe(0);
  });

  it('T-4.4 an operation whose result does not fit is refused, and the device goes on', async () => {
    const small = await openGpu({ memoryBudgetBytes: 16 * MIB });
    try {
      const x = tensor(small, new Float32Array(MIB).fill(2), [MIB]);
      if (small.adapter.software) {
        expect(() => repeatRows(x, 4)).toThrow(/^repeatRows: expected at most 16\.0 MiB/);
        expect(small.memory.buffersMade).toBe(1);
      }
      expect((await read(scale(x, 3)))[MIB - 1]).toBe(6);
    } finally {
      small.close();
    }
  });

  it('T-4.4 of two results both are made or neither', async () => {
    const small = await openGpu({ memoryBudgetBytes: 4 * 2048 });
    try {
      const x = tensor(small, new Float32Array(512), [1, 4, 8, 16]); // 2,048 bytes, as each half of both results
      const held = tensor(small, new Float32Array(512), [512]);
      const other = tensor(small, new Float32Array(256), [256]);
      expect(() => ropeTable(small, 128, 8, 10_000)).toThrow(GpuError);
      expect(() => streamingAttention(x, x, x, { causal: false })).not.toThrow(); // 2,048 and 256 bytes
      expect(small.memory.live.size).toBe(5);
      dispose(other);
      expect(() => streamingAttention(x, x, x, { causal: false })).toThrow(GpuError);
      expect(small.memory.live.size).toBe(4);
      dispose(held);
    } finally {
      small.close();
    }
  });

  it('T-4.4 pooled buffers make room behind what is queued, which may still read them', async () => {
    const small = await openGpu({ memoryBudgetBytes: 14 * MIB });
    try {
      const x = tensor(small, new Float32Array(MIB).fill(2), [MIB]);
      const six = scale(x, 3); //  queued
      const y = slice(six, 0, 0, 4);
      dispose(six, x);
      const { buffersMade } = small.memory;
      dispose(tensor(small, new Float32Array(3 * MIB), [3 * MIB])); // needs the room of both
      expect(small.memory.buffersMade).toBe(buffersMade + 1);
      expect(Array.from(await read(y))).toEqual([6, 6, 6, 6]);
    } finally {
      small.close();
    }
  });
});

/** A pool of its own on the device of the tests. */
function pool(budgetBytes: number | null): Memory {
  return createMemory(gpu.device, budgetBytes, {
    beforeDestroy: () => undefined,
    onDestroy: () => undefined,
    onOutOfMemory: (message) => gpu.fail(message),
  });
}
