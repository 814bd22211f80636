// SPEC T-23: the time of each kernel.

import { describe, expect, it } from 'vitest';
import {
  add,
  dispose,
  GpuError,
  read,
  scale,
  softmax,
  startProfile,
  stopProfile,
  tensor,
  tidy,
} from '../../src/tensor/index.ts';
import { testGpu } from '../support/gpu.ts';

const gpu = await testGpu();

describe('T-23 profile', () => {
  it('T-23.1 every dispatch is counted under its kernel, across batches, and the largest time stands first', async () => {
    const x = tensor(gpu, new Float32Array(300 * 200).fill(1), [300, 200]);
    startProfile(gpu);
    tidy(gpu, () => {
      for (let i = 0; i < 100; i++) add(x, x);
      for (let i = 0; i < 50; i++) scale(x, 2);
    });
    const times = await stopProfile(gpu);
    dispose(x);
    expect(times.map(({ kernel, dispatches }) => [kernel, dispatches]).sort()).toEqual([
      ['add', 100],
      ['scale', 50],
    ]);
    for (const { milliseconds } of times) expect(milliseconds).toBeGreaterThan(0);
    expect(times[0]?.milliseconds).toBeGreaterThanOrEqual(times[1]?.milliseconds as number);
  });

  it('T-23.1 results are those without a profile, and nothing is counted after it', async () => {
    const x = tensor(gpu, Float32Array.of(1, 2, 3), [3]);
    startProfile(gpu);
    const during = softmax(x);
    expect(await stopProfile(gpu)).toHaveLength(1);
    const after = softmax(x);
    expect(await read(during)).toEqual(await read(after));
    expect(await stopProfile(gpu)).toEqual([]);
    dispose(x, during, after);
  });

  it('T-23.1 an adapter without timestamp queries is refused', () => {
    expect(() => startProfile({ ...gpu, features: new Set() })).toThrow(GpuError);
  });
});
