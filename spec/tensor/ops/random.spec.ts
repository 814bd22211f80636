import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  dispose,
  finish,
  GpuError,
  indexTensor,
  lookup,
  openGpu,
  randomMatrix,
  read,
  ShapeError,
  tidy,
} from '../../../src/tensor/index.ts';
import * as oracle from '../../oracle/random.ts';
import { testGpu } from '../../support/gpu.ts';
import { expectAccepted, expectRejected } from '../../support/rejections.ts';

const gpu = await testGpu();

/** All rows of a random matrix, as f32. */
async function values(
  dtype: 'f32' | 'f16',
  [rows, columns]: readonly [number, number],
  seed: number,
  deviation: number,
): Promise<Float32Array> {
  const all = tidy(gpu, () =>
    lookup(
      randomMatrix(gpu, dtype, [rows, columns], { seed, deviation }),
      indexTensor(
        gpu,
        Uint32Array.from({ length: rows }, (_, i) => i),
        [rows],
      ),
    ),
  );
  const found = await read(all);
  dispose(all);
  return found;
}

describe('T-24 random weights', () => {
  it('T-24.1 a number follows from its place and the seed', () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 0, max: 0xffffffff }),
        fc.constantFrom(0.02, 1, 3),
        async (rows, quads, seed, deviation) => {
          const shape = [rows, 4 * quads] as const;
          const expected = oracle.random(rows * 4 * quads, seed, deviation);
          (await values('f32', shape, seed, deviation)).forEach((x, i) => {
            const wanted = expected[i] as number;
            expect(Math.abs(x - wanted)).toBeLessThanOrEqual(2 ** -23 * Math.abs(wanted));
          });
          // Halves have 11 significant bits, and steps of 2^−24 below 2^−14.
          (await values('f16', shape, seed, deviation)).forEach((x, i) => {
            const wanted = expected[i] as number;
            expect(Math.abs(x - wanted)).toBeLessThanOrEqual(
              Math.max(2 ** -11 * 1.001 * Math.abs(wanted), 2 ** -25),
            );
          });
        },
      ),
      { numRuns: 20, seed: 7 },
    ));

  it('T-24.1 the mean is 0 and the standard deviation the one asked for, also in a matrix of several blocks', async () => {
    const shape = [1025, 4100] as const; // 4.2 million words
    const x = await values('f32', shape, 3, 0.5);
    const expected = oracle.random(x.length, 3, 0.5);
    const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
    const variance = x.reduce((sum, value) => sum + value * value, 0) / x.length;
    expect(Math.abs(mean)).toBeLessThan(0.001);
    expect(Math.abs(Math.sqrt(variance) - 0.5)).toBeLessThan(0.001);
    for (const i of [2 ** 22 - 1, 2 ** 22, 2 ** 22 + 1, x.length - 1])
      expect(Math.abs((x[i] as number) - (expected[i] as number))).toBeLessThan(1e-6);
  });

  it('T-24.2 f16 columns that are no multiple of 4, and deviations that are none, are rejected', async () => {
    const options = { seed: 0, deviation: 1 };
    dispose(randomMatrix(gpu, 'f32', [3, 5], options));
    expectRejected(gpu, ShapeError, () => randomMatrix(gpu, 'f16', [3, 6], options));
    for (const wrong of [
      { deviation: -1 },
      { deviation: Number.NaN },
      { deviation: 1 / 0 },
      { seed: 2 ** 32 },
    ])
      expectRejected(gpu, RangeError, () => randomMatrix(gpu, 'f32', [3, 8], { ...options, ...wrong }));
    tidy(gpu, () => expectAccepted(gpu, () => randomMatrix(gpu, 'f16', [3, 8], options)));
    await finish(gpu);
  });

  it('T-24.2 where memory does not suffice for making it, nothing is left', async () => {
    const small = await openGpu({ memoryBudgetBytes: 20 * 2 ** 20 });
    // The matrix has room, the block of 16 MiB that it is made in has not.
    expect(() => randomMatrix(small, 'f32', [4096, 1024], { seed: 0, deviation: 1 })).toThrow(GpuError);
    expect(small.memory.live.size).toBe(0);
    expect(small.memory.allocatedBytes - small.memory.pooledBytes).toBe(0);
    small.close();
  });
});
