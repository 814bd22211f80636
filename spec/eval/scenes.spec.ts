// Scenes: reproducible from their seeds, and drawn by the formulas of their shapes.

import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { nearlyNormal, sample, seededRandom, uniform } from '../../src/eval/random.ts';
import { colors, drawScene, places, renderScene, type Scene, shapes } from '../../src/eval/scenes.ts';

const EXPECTED_SCENES = 'c2fedc9611fe3519';
const EXPECTED_PICTURE = '8c6c06997103e5bf';

const COUNT = 300;
const scenes = Array.from({ length: COUNT }, (_, i) => drawScene(seededRandom(7, i)));

function hash(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}

describe('E-1 random numbers', () => {
  it('E-1.1 the numbers of a path are those of xoshiro128**, begun with stirred words', () => {
    const known = [1n, 2n, 3n, 4n]; // the state of published test vectors
    expect(Array.from({ length: 5 }, () => xoshiro(known))).toEqual([
      11520n,
      0n,
      5927040n,
      70819200n,
      2031721883n,
    ]);
    for (const path of [[1, 2, 3], [0], [2 ** 32 - 1, 5, 0, 64]]) {
      const random = seededRandom(...path);
      const words = firstWords(path);
      for (let i = 0; i < 50; i++) expect(BigInt(random())).toBe(xoshiro(words));
    }
  });

  it('E-1.1 other paths give other numbers, the same path the same', () => {
    const paths = [[0], [1], [0, 0], [0, 1], [1, 0], [1, 1], [0, 0, 0], [2 ** 32 - 1]];
    const firsts = paths.map((path) => seededRandom(...path)());
    expect(new Set(firsts).size).toBe(paths.length);
    expect(paths.map((path) => seededRandom(...path)())).toEqual(firsts);
    for (const path of [[-1], [0.5], [2 ** 32], [Number.NaN]]) {
      expect(() => seededRandom(...path)).toThrow(RangeError);
    }
  });

  it('E-1.1 numbers are even in every bit, and uniform, sample and nearlyNormal are what they are called', () => {
    const random = seededRandom(99);
    const [n, bits] = [20_000, new Array<number>(32).fill(0)];
    for (let i = 0; i < n; i++) {
      const word = random();
      for (let bit = 0; bit < 32; bit++) bits[bit] = (bits[bit] as number) + ((word >>> bit) & 1);
    }
    for (const ones of bits) expect(Math.abs(ones / n - 0.5)).toBeLessThan(0.02);
    const flat = Array.from({ length: n }, () => uniform(random, -3, 5));
    expect(Math.min(...flat)).toBeGreaterThanOrEqual(-3);
    expect(Math.max(...flat)).toBeLessThan(5);
    const normal = Array.from({ length: n }, () => nearlyNormal(random));
    expect(Math.abs(mean(normal))).toBeLessThan(0.03);
    expect(Math.abs(mean(normal.map((x) => x * x)) - 1)).toBeLessThan(0.05);
    expect(Math.abs(mean(normal.map((x) => (Math.abs(x) < 1 ? 1 : 0))) - 0.68)).toBeLessThan(0.02);
    for (const count of [0, 1, 5, 9]) {
      const drawn = sample(random, 9, count);
      expect(new Set(drawn).size).toBe(count);
      for (const i of drawn) expect(places[i]).toBeDefined();
    }
    expect(() => sample(random, 3, 4)).toThrow(RangeError);
  });
});

describe('E-1 scenes', () => {
  it('E-1.2 one to five objects on different cells, all numbers, shapes, colours and sizes', () => {
    const objects = scenes.flatMap((scene) => scene.objects);
    expect(new Set(scenes.map((scene) => scene.objects.length))).toEqual(new Set([1, 2, 3, 4, 5]));
    expect(new Set(objects.map(({ shape }) => shape))).toEqual(new Set(shapes));
    expect(new Set(objects.map(({ color }) => color))).toEqual(new Set(colors));
    expect(new Set(objects.map(({ cell }) => cell)).size).toBe(9);
    for (const { objects: own } of scenes) {
      expect(new Set(own.map(({ cell }) => cell)).size).toBe(own.length);
      expect(own.map(({ cell }) => cell)).toEqual(own.map(({ cell }) => cell).sort((a, b) => a - b));
    }
    for (const { cell, radius, x, y } of objects) {
      expect(Math.abs(x - (56 + 112 * (cell % 3)))).toBeLessThanOrEqual(24);
      expect(Math.abs(y - (56 + 112 * Math.floor(cell / 3)))).toBeLessThanOrEqual(24);
      const times = radius < 20 ? radius / 16 : radius / 24;
      expect(times).toBeGreaterThanOrEqual(0.92);
      expect(times).toBeLessThan(1.08);
    }
  });

  it('E-1.2 a background is muted and runs along a direction of length 1', () => {
    for (const { background } of scenes) {
      const { from, to, direction } = background;
      expect(Math.hypot(...direction)).toBeCloseTo(1, 12);
      const values = [...from, ...to];
      expect(Math.min(...values)).toBeGreaterThan(60);
      expect(Math.max(...values)).toBeLessThan(190);
      // 35 % of what lies between 60 and 190.
      expect(Math.max(...values) - Math.min(...values)).toBeLessThan(0.35 * 130 + 1e-9);
    }
  });

  it('E-1.2 a background has three waves of 16 to 72 pixels, no channel of which is stronger than 9', () => {
    for (const { background } of scenes) {
      expect(background.waves.length).toBe(3);
      for (const { frequency, phase, strength } of background.waves) {
        const length = 1 / Math.hypot(...frequency);
        expect(length).toBeGreaterThan(16 - 1e-9);
        expect(length).toBeLessThan(72 + 1e-9);
        expect([phase >= 0, phase < 1]).toEqual([true, true]);
        expect(Math.max(...strength.map(Math.abs))).toBeLessThanOrEqual(9);
      }
    }
    const strengths = scenes.flatMap(({ background }) =>
      background.waves.flatMap(({ strength }) => [...strength]),
    );
    expect(Math.min(...strengths)).toBeLessThan(-8.9);
    expect(Math.max(...strengths)).toBeGreaterThan(8.9);
  });

  it('E-1.1 scenes and their pictures are the same everywhere', () => {
    expect(hash(JSON.stringify(scenes))).toBe(EXPECTED_SCENES);
    const image = renderScene(scenes[3] as Scene, seededRandom(7, 3, 1));
    expect([image.width, image.height, image.data.length]).toEqual([336, 336, 336 * 336 * 3]);
    expect(hash(image.data)).toBe(EXPECTED_PICTURE);
    expect(hash(renderScene(scenes[3] as Scene, seededRandom(7, 3, 1)).data)).toBe(EXPECTED_PICTURE);
    expect(hash(renderScene(scenes[3] as Scene, seededRandom(7, 4, 1)).data)).not.toBe(EXPECTED_PICTURE);
  });

  it('E-1.3 without noise every pixel is the blend that the coverage formulas say', () => {
    for (const scene of scenes.slice(0, 10)) {
      const { data } = renderScene(scene, seededRandom(0), 0);
      for (let row = 0; row < 336; row += 5) {
        for (let column = 0; column < 336; column++) {
          const expected = pixel(scene, column + 0.5, row + 0.5);
          for (let channel = 0; channel < 3; channel++) {
            const got = data[(row * 336 + column) * 3 + channel] as number;
            if (Math.abs(got - (expected[channel] as number)) > 0.5 + 1e-9) {
              throw new Error(
                `(${column}, ${row}) of ${JSON.stringify(scene)}: got ${got}, expected ${expected}`,
              );
            }
          }
        }
      }
    }
  });

  it('E-1.3 noise has deviation 6 and is clipped', () => {
    const scene = scenes[0] as Scene;
    const quiet = renderScene(scene, seededRandom(1), 0).data;
    const noisy = renderScene(scene, seededRandom(1)).data;
    const errors = Array.from(noisy, (value, i) => value - (quiet[i] as number)).filter(
      (_, i) => Math.abs((quiet[i] as number) - 128) < 90,
    );
    expect(errors.length).toBeGreaterThan(100_000);
    expect(Math.abs(mean(errors))).toBeLessThan(0.1);
    expect(Math.abs(Math.sqrt(mean(errors.map((e) => e * e))) - 6.01)).toBeLessThan(0.08);
    const loud = renderScene(scene, seededRandom(1), 400).data;
    expect([Math.min(...loud.subarray(0, 3000)), Math.max(...loud.subarray(0, 3000))]).toEqual([0, 255]);
  });
});

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

const MASK = 0xffffffffn;

/** One step of xoshiro128** on words, which it changes. */
function xoshiro(words: bigint[]): bigint {
  const turn = (word: bigint, bits: bigint): bigint => ((word << bits) | (word >> (32n - bits))) & MASK;
  let [a, b, c, d] = words as [bigint, bigint, bigint, bigint];
  const result = (turn((b * 5n) & MASK, 7n) * 9n) & MASK;
  const shifted = (b << 9n) & MASK;
  c ^= a;
  d ^= b;
  b ^= c;
  a ^= d;
  c ^= shifted;
  words.splice(0, 4, a, b, c, turn(d, 11n));
  return result;
}

/** The words that a path begins with: h ← stir((31 h + g) xor stir(part)), then four times stir(h += g); the last odd. */
function firstWords(path: readonly number[]): bigint[] {
  const golden = 0x9e3779b9n;
  const stir = (word: bigint): bigint => {
    let mixed = ((word ^ (word >> 16n)) * 0x85ebca6bn) & MASK;
    mixed = ((mixed ^ (mixed >> 13n)) * 0xc2b2ae35n) & MASK;
    return mixed ^ (mixed >> 16n);
  };
  const hash = path.reduce((h, part) => stir(((h * 31n + golden) & MASK) ^ stir(BigInt(part))), golden);
  const words = [1n, 2n, 3n, 4n].map((i) => stir((hash + i * golden) & MASK));
  return words.map((word, i) => (i === 3 ? word | 1n : word));
}

/** What a pixel is without noise, from the definitions: the gradient, the waves, then the objects, each over what is below. */
function pixel({ background, objects }: Scene, px: number, py: number): number[] {
  const { from, to, direction, waves } = background;
  const [dx, dy] = direction;
  const project = (x: number, y: number): number => x * dx + y * dy;
  const corners = [project(0, 0), project(336, 0), project(0, 336), project(336, 336)];
  const [low, high] = [Math.min(...corners), Math.max(...corners)];
  const t = (project(px, py) - low) / (high - low);
  let value = [0, 1, 2].map((c) => (from[c] as number) * (1 - t) + (to[c] as number) * t);
  for (const { frequency, phase, strength } of waves) {
    const periods = px * frequency[0] + py * frequency[1] + phase;
    const part = periods - Math.floor(periods);
    // A valley over the first half of a period, a crest over the second; both parabolas.
    const height = part < 0.5 ? -16 * part * (0.5 - part) : 16 * (part - 0.5) * (1 - part);
    value = value.map((under, c) => under + height * (strength[c] as number));
  }
  for (const { shape, color, radius, x: cx, y: cy } of objects) {
    const x = (px - cx) / radius;
    const y = (py - cy) / radius;
    let d = 0;
    if (shape === 'circle') d = Math.hypot(x, y) - 1;
    if (shape === 'ring') d = Math.abs(Math.hypot(x, y) - 0.78) - 0.22;
    if (shape === 'square') d = Math.max(Math.abs(x), Math.abs(y)) - 0.85;
    if (shape === 'triangle') d = Math.max(y - 0.75, 1.6 * Math.abs(x) - 0.9 * y - 0.675);
    if (shape === 'cross') {
      const upright = Math.max(Math.abs(x) - 0.32, Math.abs(y) - 1);
      const level = Math.max(Math.abs(y) - 0.32, Math.abs(x) - 1);
      d = Math.min(upright, level);
    }
    const coverage = Math.min(1, Math.max(0, 0.5 - d * radius));
    value = value.map((under, c) => under * (1 - coverage) + (PALETTE[color]?.[c] as number) * coverage);
  }
  return value;
}

const PALETTE: Readonly<Record<string, readonly number[]>> = {
  red: [220, 40, 40],
  green: [40, 170, 60],
  blue: [50, 80, 220],
  yellow: [235, 210, 50],
  purple: [150, 60, 180],
  white: [240, 240, 240],
};
