import { describe, expect, it } from 'vitest';
import { seededRandom, uniform } from '../../src/eval/random.ts';
import { ratioInterval, wilsonInterval } from '../../src/eval/statistics.ts';

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

  it('E-1.9 of 100 intervals of a ratio about 95 hold the true one, whether answers go together or not', () => {
    const random = seededRandom(4);
    for (const together of [0, 0.8]) {
      let held = 0;
      for (let trial = 0; trial < 1500; trial++) {
        let [first, second, both] = [0, 0, 0];
        for (let question = 0; question < 400; question++) {
          const luck = uniform(random, 0, 1);
          const isRight = (share: number): boolean =>
            (uniform(random, 0, 1) < together ? luck : uniform(random, 0, 1)) < share;
          const [a, b] = [isRight(0.6), isRight(0.75)];
          first += a ? 1 : 0;
          second += b ? 1 : 0;
          both += a && b ? 1 : 0;
        }
        const { low, high } = ratioInterval(first, second, both);
        held += low <= 0.8 && 0.8 <= high ? 1 : 0;
      }
      expect(Math.abs(held / 1500 - 0.95)).toBeLessThan(0.02);
    }
  });

  it('E-1.9 the interval of a ratio is a point where all answers are the same, and nothing is known of nothing', () => {
    expect(ratioInterval(7, 7, 7)).toEqual({ low: 1, high: 1 });
    const { low, high } = ratioInterval(30, 40, 25);
    expect(Math.sqrt(low * high)).toBeCloseTo(0.75, 12);
    expect(Math.log(high / 0.75)).toBeCloseTo(1.959964 * Math.sqrt(20 / 1200), 5);
    for (const counts of [
      [0, 5, 0],
      [5, 0, 0],
    ] as const) {
      expect(ratioInterval(...(counts as [number, number, number]))).toEqual({
        low: 0,
        high: Number.POSITIVE_INFINITY,
      });
    }
    for (const counts of [
      [5, 5, 6],
      [4, 5, 5],
      [-1, 5, -1],
      [1.5, 2, 1],
      [2, 2, Number.NaN],
    ] as const) {
      expect(() => ratioInterval(...(counts as [number, number, number]))).toThrow(RangeError);
    }
  });
});
