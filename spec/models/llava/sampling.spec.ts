// Sampling against a longhand of it, and its generator against published numbers. SPEC M-8.1 to M-8.4.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type SamplingOptions, sampler } from '../../../src/models/index.ts';
import { randomNumbers, xoshiro128 } from '../../../src/models/llava/sampling.ts';
import { expand, recipes } from '../../support/recipe.ts';

const SEED = Number(process.env.SPEC_SEED ?? 20240612);

/** The ids to draw from and their probabilities, by asking of each token whether it belongs to them. */
function candidates(logits: Float32Array, temperature: number, topP: number): Map<number, number> {
  const largest = Math.max(...logits);
  const weights = Array.from(logits, (logit) => Math.exp((logit - largest) / temperature));
  const whole = weights.reduce((a, b) => a + b);
  const kept = new Map<number, number>();
  weights.forEach((weight, id) => {
    let better = 0;
    weights.forEach((other, i) => {
      if (other > weight || (other === weight && i < id)) better += other / whole;
    });
    if (better === 0 || better < topP) kept.set(id, weight / whole);
  });
  return kept;
}

function frequencies(logits: Float32Array, options: SamplingOptions, draws: number): Map<number, number> {
  const sample = sampler(options);
  const counts = new Map<number, number>();
  for (let i = 0; i < draws; i++) {
    const id = sample(logits);
    counts.set(id, (counts.get(id) ?? 0) + 1 / draws);
  }
  return counts;
}

describe('M-8 sampling', () => {
  it('M-8.1 tokens are drawn as often as the softmax of logits / temperature says', () => {
    const logits = Float32Array.of(1, -2, 0.5, 3, 3, -30);
    for (const temperature of [0.5, 1, 2.5]) {
      const wanted = candidates(logits, temperature, 1);
      const got = frequencies(logits, { temperature, seed: 3 }, 20_000);
      for (const [id, probability] of wanted) {
        const deviation = Math.sqrt((probability * (1 - probability)) / 20_000);
        expect(Math.abs((got.get(id) ?? 0) - probability), `${id} at ${temperature}`).toBeLessThanOrEqual(
          4 * deviation + 2 / 20_000,
        );
      }
    }
  });

  it('M-8.2 only the likeliest tokens are drawn, those before which less than topP is summed up', () => {
    const cases = fc.record({
      V: fc.integer({ min: 1, max: 9 }),
      recipe: recipes('subnormal', 'huge', 'heavy_tail'),
      temperature: fc.constantFrom(0.2, 1, 3),
      topP: fc.constantFrom(1e-9, 0.3, 0.6, 0.9, 1),
    });
    const draws = fc.sample(cases, { seed: SEED, numRuns: 300 });
    let left = 0;
    for (const { V, recipe, temperature, topP } of draws) {
      const logits = expand('logits', recipe, [V]).values;
      const allowed = candidates(logits, temperature, topP);
      left += V - allowed.size;
      const got = frequencies(logits, { temperature, topP, seed: 1 }, 60);
      for (const id of got.keys())
        expect(allowed.has(id), JSON.stringify({ logits, temperature, topP, id })).toBe(true);
      for (const [id, probability] of allowed) {
        const share = probability / [...allowed.values()].reduce((a, b) => a + b);
        if (share > 0.2) expect(got.has(id), JSON.stringify({ logits, topP, id })).toBe(true);
      }
    }
    expect(left).toBeGreaterThan(300);
  });

  it('M-8.2 of equals the lower ids are kept, and one token at least', () => {
    const equal = new Float32Array(8);
    const drawn = (topP: number) => [...frequencies(equal, { temperature: 1, topP }, 200).keys()].sort();
    expect(drawn(0.5)).toEqual([0, 1, 2, 3]);
    expect(drawn(0.51)).toEqual([0, 1, 2, 3, 4]);
    expect(drawn(1e-300)).toEqual([0]);
    expect(drawn(1)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it('M-8.1 a small temperature is greedy, and no temperature overflows', () => {
    const logits = Float32Array.of(1, 5, 5.001, -3e38, 2);
    const ids = (temperature: number) => [...frequencies(logits, { temperature }, 100).keys()];
    for (const temperature of [1e-300, 1e-6]) expect(ids(temperature)).toEqual([2]);
    expect(ids(1e300).length).toBeGreaterThan(3);
  });

  it('M-8.3 a draw takes the first token at which the kept sum exceeds its share of the whole', () => {
    const logits = Float32Array.of(0, 2, 1);
    const [first, second] = [Math.exp(0), Math.exp(-1)].map((w) => w / (1 + Math.exp(-1) + Math.exp(-2))) as [
      number,
      number,
    ];
    const random = randomNumbers(11);
    const sample = sampler({ temperature: 1, seed: 11 });
    for (let i = 0; i < 200; i++) {
      const share = random();
      expect(sample(logits)).toBe(share < first ? 1 : share < first + second ? 2 : 0);
    }
    const ofTwo = sampler({ temperature: 1, topP: 0.8, seed: 12 });
    const again = randomNumbers(12);
    for (let i = 0; i < 200; i++) {
      expect(ofTwo(logits)).toBe(again() * (first + second) < first ? 1 : 2);
    }
  });

  it('M-8.4 the generator gives the published numbers, and the seed is expanded as its authors say', () => {
    const next = xoshiro128([1, 2, 3, 4]);
    expect(Array.from({ length: 6 }, next)).toEqual([
      641, 1573767, 3222811527, 3517856514, 836907274, 4247214768,
    ]);
    // SplitMix64 from 0 gives 0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4.
    const words = xoshiro128([0x7b1dcdaf, 0xe220a839, 0xa1b965f4, 0x6e789e6a]);
    const random = randomNumbers(0);
    for (let i = 0; i < 5; i++) {
      const wanted = (Math.floor(words() / 32) * 2 ** 26 + Math.floor(words() / 64)) / 2 ** 53;
      expect(random()).toBe(wanted);
    }
    expect(randomNumbers(1)()).not.toBe(randomNumbers(2)());
    expect(randomNumbers(2 ** 32)()).not.toBe(randomNumbers(0)());
  });

  it('M-8.4 the same seed draws the same tokens, and draws follow one another', () => {
    const logits = new Float32Array(50);
    const draw = (seed: number) => {
      const sample = sampler({ temperature: 1, seed });
      return Array.from({ length: 30 }, () => sample(logits));
    };
    expect(draw(5)).toEqual(draw(5));
    expect(draw(5)).not.toEqual(draw(6));
    expect(new Set(draw(5)).size).toBeGreaterThan(10);
  });

  it('M-8.1 options out of range and logits that are none are rejected', () => {
    const good = { temperature: 1, topP: 0.5, seed: 0 };
    expect(sampler(good)(Float32Array.of(1))).toBe(0);
    const wrong = [
      ...[0, -1, Number.NaN, Number.POSITIVE_INFINITY].map((temperature) => ({ ...good, temperature })),
      ...[0, -1, 1.0001, Number.NaN].map((topP) => ({ ...good, topP })),
      ...[-1, 0.5, Number.NaN, 2 ** 53].map((seed) => ({ ...good, seed })),
    ];
    for (const options of wrong) expect(() => sampler(options), JSON.stringify(options)).toThrow(RangeError);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => sampler(good)(Float32Array.of(1, bad))).toThrow(/sampler: expected finite logits/);
    }
    expect(() => sampler(good)(new Float32Array(0))).toThrow(RangeError);
  });
});
