import { describe, expect, it } from 'vitest';
import { wilsonInterval } from '../../src/eval/statistics.ts';

describe('E-1 statistics', () => {
  // Newcombe (1998), table I, method 3, which is Wilson's without continuity correction.
  it.each([
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
    [29, 29, 0.883, 1],
  ])('E-1.9 the interval of %i in %i is %d to %d', (correct, total, low, high) => {
    const got = wilsonInterval(correct, total);
    expect(Math.abs(got.low - low)).toBeLessThan(5e-5);
    expect(Math.abs(got.high - high)).toBeLessThan(5e-5);
  });

  it('E-1.9 its ends are the shares from which the counted one lies 1.96 deviations away', () => {
    for (const total of [1, 2, 7, 70, 560]) {
      for (let correct = 0; correct <= total; correct++) {
        const { low, high } = wilsonInterval(correct, total);
        const share = correct / total;
        expect(low).toBeGreaterThanOrEqual(0);
        expect(high).toBeLessThanOrEqual(1);
        expect(low <= share && share <= high).toBe(true);
        for (const end of [low, high].filter((one) => one > 0 && one < 1)) {
          const deviations = Math.abs(share - end) / Math.sqrt((end * (1 - end)) / total);
          expect(deviations).toBeCloseTo(1.959964, 5);
        }
      }
    }
  });

  it('E-1.9 of nothing counted it is everything, and counts that are none are rejected', () => {
    expect(wilsonInterval(0, 0)).toEqual({ low: 0, high: 1 });
    for (const [correct, total] of [
      [-1, 5],
      [6, 5],
      [1.5, 5],
      [1, Number.NaN],
    ] as const) {
      expect(() => wilsonInterval(correct, total)).toThrow(RangeError);
    }
  });
});
