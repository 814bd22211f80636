import { describe, expect, it } from 'vitest';
import { clsTopK, randomPatches, uniformPatches } from '../../src/eval/baselines.ts';
import { seededRandom } from '../../src/eval/random.ts';
import type { ClipEncoding } from '../../src/models/index.ts';
import { dispose, read, type Tensor, tensor, tidy } from '../../src/tensor/index.ts';
import { testGpu } from '../support/gpu.ts';
import { expectRejected } from '../support/rejections.ts';

const gpu = await testGpu();

const [B, H, N, D] = [2, 2, 37, 1];

/** Token n of image b is the single number 100 b + n; CLS attends to patch 5 p mod 36 in falling order of p. */
function encoding(): ClipEncoding {
  const values = (count: number, value: (i: number) => number): Float32Array =>
    Float32Array.from({ length: count }, (_, i) => value(i));
  const patchRank = (patch: number): number => (patch * 29) % 36; // 29 · 5 = 1 mod 36
  const attention = (i: number): number => (i % N === 0 ? 1 : (36 - patchRank((i % N) - 1)) / 1000);
  return {
    hiddenStates: tensor(
      gpu,
      values(B * N, (i) => 100 * Math.floor(i / N) + (i % N)),
      [B, N, 1],
    ),
    clsAttention: tensor(gpu, values(B * H * N, attention), [B, H, N]),
    keys: tensor(
      gpu,
      values(B * H * N * D, () => 1),
      [B, H, N, D],
    ),
  };
}

async function tokens(reduce: (input: ClipEncoding) => Tensor): Promise<number[]> {
  const reduced = tidy(gpu, () => reduce(encoding()));
  expect(reduced.shape).toEqual([B, Array.from(await read(reduced)).length / B, 1]);
  const values = Array.from(await read(reduced));
  dispose(reduced);
  const half = values.length / 2;
  expect(values.slice(half)).toEqual(values.slice(0, half).map((value) => value + 100));
  return values.slice(0, half);
}

describe('E-1 baselines', () => {
  it('E-1.7 random patches are V different patches in ascending order, never CLS', async () => {
    for (const V of [1, 7, 35, 36]) {
      const got = await tokens((input) => randomPatches(input, V, seededRandom(3, V)));
      expect(got).toHaveLength(V);
      expect(new Set(got).size).toBe(V);
      expect(got).toEqual([...got].sort((a, b) => a - b));
      expect(got[0]).toBeGreaterThanOrEqual(1);
    }
    const draws = new Set<string>();
    for (let i = 0; i < 6; i++) {
      draws.add(String(await tokens((input) => randomPatches(input, 7, seededRandom(i)))));
    }
    expect(draws.size).toBe(6);
  });

  it('E-1.7 uniform patches are the patches ⌊i P / V⌋', async () => {
    expect(await tokens((input) => uniformPatches(input, 4))).toEqual([1, 10, 19, 28]);
    expect(await tokens((input) => uniformPatches(input, 5))).toEqual([1, 8, 15, 22, 29]);
    expect(await tokens((input) => uniformPatches(input, 36))).toEqual(
      Array.from({ length: 36 }, (_, i) => i + 1),
    );
  });

  it('E-1.7 CLS top-k is CLS and the V − 1 patches it attends to most, in the order of their places', async () => {
    for (const V of [1, 2, 9, 36]) {
      const best = Array.from({ length: V - 1 }, (_, p) => ((5 * p) % 36) + 1);
      expect(await tokens((input) => clsTopK(input, V))).toEqual([0, ...best.sort((a, b) => a - b)]);
    }
  });

  it('E-1.7 numbers of tokens that there are not are rejected', () => {
    tidy(gpu, () => {
      const input = encoding();
      for (const V of [0, -1, 1.5, N, Number.NaN]) {
        expectRejected(gpu, RangeError, () => randomPatches(input, V, seededRandom(1)));
        expectRejected(gpu, RangeError, () => uniformPatches(input, V));
        expectRejected(gpu, RangeError, () => clsTopK(input, V));
      }
    });
  });
});
