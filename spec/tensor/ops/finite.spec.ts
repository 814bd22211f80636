import { describe, expect, it } from 'vitest';
import {
  checkFinite,
  dispose,
  expectFinite,
  readAll,
  tensor,
  throwIfNonFinite,
} from '../../../src/tensor/index.ts';
import { testGpu } from '../../support/gpu.ts';
import { countMappings } from '../../support/mappings.ts';

const gpu = await testGpu();

/** What a check of `values` throws, or null. */
async function messageOf(
  values: Float32Array,
  shape: readonly number[] = [values.length],
): Promise<string | null> {
  const x = tensor(gpu, values, shape);
  try {
    await expectFinite(x, 'who: expected finite numbers', (place) => `place ${place}`);
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(RangeError);
    return (error as Error).message;
  } finally {
    dispose(x);
  }
}

const bits = (word: number): number => new Float32Array(Uint32Array.of(word).buffer)[0] as number;

describe('T-21 finite values', () => {
  it('T-21.1 the first NaN or infinity is found wherever it stands, and its value told', async () => {
    const bad = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const length of [1, 2, 63, 64, 65, 200, 514]) {
      for (const place of new Set([0, 1, 63, 64, Math.floor(length / 2), length - 1])) {
        if (place >= length) continue;
        const value = bad[(length + place) % 3] as number;
        const values = Float32Array.from({ length }, (_, i) =>
          i > place && i % 3 === 0 ? Number.NaN : i - 7,
        );
        values[place] = value;
        expect(await messageOf(values)).toBe(`who: expected finite numbers, got ${value} at place ${place}`);
      }
    }
  });

  it('T-21.1 zeros, subnormal and the largest numbers are finite, and so is nothing at all', async () => {
    const extremes = [0, -0, bits(1), bits(0x807fffff), bits(0x7f7fffff), bits(0xff7fffff), bits(0x3fffffff)];
    expect(await messageOf(Float32Array.from(extremes))).toBeNull();
    expect(await messageOf(new Float32Array(0), [2, 0])).toBeNull();
    expect(await messageOf(new Float32Array(1000).fill(-1), [10, 100])).toBeNull();
  });

  it('T-21.1 NaN of any bits is found', async () => {
    for (const word of [0x7f800001, 0x7fc00000, 0x7fffffff, 0xff800001, 0xffffffff]) {
      const values = new Float32Array(Uint32Array.of(0x3f800000, word).buffer);
      expect(await messageOf(values), word.toString(16)).toMatch(/got NaN at place 1$/);
    }
  });

  it('T-21.1 asking maps no buffer; the answer is read with something else', async () => {
    const x = tensor(gpu, Float32Array.of(1, Number.NaN), [2]);
    const mappings = await countMappings(gpu, async () => {
      const check = checkFinite(x, 'who: expected finite numbers', (place) => `place ${place}`);
      const [values, found] = await readAll(gpu, [x, check.found]);
      expect(values[0]).toBe(1);
      expect(() => throwIfNonFinite(check, found)).toThrow(/got NaN at place 1/);
      dispose(check);
    });
    expect(mappings).toBe(1);
    dispose(x);
  });
});
