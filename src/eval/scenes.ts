// The generated scenes that the embedded model was made for: coloured shapes on a woven ground. SPEC E-1.2, E-1.3.
// scripts/train-tiny-llava/scenes.py draws the same kind for training, from another stream of random numbers.
//
//     ground   = gradient + Σ₃ strength · wave(place · frequency + phase)      wave(t) = 4 q (1 − |q|),  q = 2 (t − ⌊t⌋) − 1
//     coverage = clip(1/2 − d · radius, 0, 1)      d: signed distance to the outline, in radii, at the pixel's centre
//     circle    √(x² + y²) − 1                     ring   |√(x² + y²) − 0.78| − 0.22
//     square    max(|x|, |y|) − 0.85               cross  min(max(|x| − 0.32, |y| − 1), max(|y| − 0.32, |x| − 1))
//     triangle  max(y − 0.75, 1.6 |x| − 0.9 y − 0.675)
//
// x and y count from the object's centre in radii, y downwards.

import type { RgbImage } from '../models/index.ts';
import { below, nearlyNormal, pick, type Random, sample, uniform } from './random.ts';

export const SCENE_SIZE = 336;
const CELL = 112;
const JITTER = 24;

export const shapes = ['circle', 'square', 'triangle', 'cross', 'ring'] as const;
export type Shape = (typeof shapes)[number];

type Rgb = readonly [red: number, green: number, blue: number];

export const colors = ['red', 'green', 'blue', 'yellow', 'purple', 'white'] as const;
export type Color = (typeof colors)[number];

export const colorValues: Readonly<Record<Color, Rgb>> = {
  red: [220, 40, 40],
  green: [40, 170, 60],
  blue: [50, 80, 220],
  yellow: [235, 210, 50],
  purple: [150, 60, 180],
  white: [240, 240, 240],
};

/** The cells of the 3 x 3 grid, row by row. */
export const places: readonly string[] = [
  'top left',
  'top',
  'top right',
  'left',
  'center',
  'right',
  'bottom left',
  'bottom',
  'bottom right',
];

export interface SceneObject {
  readonly cell: number; //   into `places`
  readonly shape: Shape;
  readonly color: Color;
  readonly radius: number; // pixels
  readonly x: number; //      of the centre, pixels from the left edge
  readonly y: number; //      of the centre, pixels from the top edge
}

export interface Scene {
  readonly objects: readonly SceneObject[]; // by cell, no two in one
  readonly background: Background;
}

export interface Background {
  readonly from: Rgb;
  readonly to: Rgb;
  readonly direction: readonly [x: number, y: number]; // of length 1
  readonly waves: readonly Wave[]; //                     three
}

export interface Wave {
  readonly frequency: readonly [x: number, y: number]; // periods a pixel
  readonly phase: number; //                              periods
  readonly strength: Rgb; //                              at the crest, of either sign
}

/** A scene of `objectCount` objects, by default one to five. What is drawn depends on `random` alone. */
export function drawScene(random: Random, objectCount: number = 1 + below(random, 5)): Scene {
  const background = drawBackground(random);
  const cells = sample(random, 9, objectCount).sort((a, b) => a - b);
  return { background, objects: cells.map((cell) => drawObject(random, cell)) };
}

function drawObject(random: Random, cell: number): SceneObject {
  return {
    cell,
    shape: pick(random, shapes),
    color: pick(random, colors),
    radius: pick(random, [16, 24]) * uniform(random, 0.92, 1.08),
    x: ((cell % 3) + 0.5) * CELL + uniform(random, -JITTER, JITTER),
    y: (Math.floor(cell / 3) + 0.5) * CELL + uniform(random, -JITTER, JITTER),
  };
}

/** Six uniform values make two colours, each pulled 65 % towards the mean of all six. */
function drawBackground(random: Random): Background {
  const values = Array.from({ length: 6 }, () => uniform(random, 60, 190));
  const mean = values.reduce((sum, value) => sum + value, 0) / 6;
  const [r, g, b, ...to] = values.map((value) => value + 0.65 * (mean - value));
  return {
    from: [r, g, b] as unknown as Rgb,
    to: to as unknown as Rgb,
    direction: drawDirection(random),
    waves: Array.from({ length: 3 }, () => drawWave(random)),
  };
}

function drawWave(random: Random): Wave {
  const length = uniform(random, 16, 72); // pixels
  const [x, y] = drawDirection(random);
  return {
    frequency: [x / length, y / length],
    phase: uniform(random, 0, 1),
    strength: [uniform(random, -9, 9), uniform(random, -9, 9), uniform(random, -9, 9)],
  };
}

/** A point drawn from the unit disc, but for its very middle, moved to the rim: needs no sine, which engines round apart. */
function drawDirection(random: Random): [number, number] {
  for (;;) {
    const [x, y] = [uniform(random, -1, 1), uniform(random, -1, 1)];
    const length = Math.sqrt(x * x + y * y);
    if (length <= 1 && length > 0.01) return [x / length, y / length];
  }
}

/** Signed distance, in radii, from the outline of a shape; negative inside. */
export function outlineDistance(shape: Shape, x: number, y: number): number {
  const [ax, ay] = [Math.abs(x), Math.abs(y)];
  switch (shape) {
    case 'circle':
      return Math.sqrt(x * x + y * y) - 1;
    case 'ring':
      return Math.abs(Math.sqrt(x * x + y * y) - 0.78) - 0.22;
    case 'square':
      return Math.max(ax, ay) - 0.85;
    case 'triangle':
      return Math.max(y - 0.75, 1.6 * ax - 0.9 * y - 0.675);
    case 'cross':
      return Math.min(Math.max(ax - 0.32, ay - 1), Math.max(ay - 0.32, ax - 1));
    default:
      return shape satisfies never;
  }
}

/**
 * The picture of a scene, 336 x 336. `random` gives the noise, of deviation `noise` (6 in every scene of an evaluation).
 */
export function renderScene(scene: Scene, random: Random, noise = 6): RgbImage {
  const values = paintBackground(scene.background); // [336 · 336 · 3]
  for (const object of scene.objects) paintObject(values, object);
  const data = Uint8Array.from(values, (value) => {
    const noisy = value + noise * nearlyNormal(random);
    return Math.min(255, Math.max(0, Math.floor(noisy + 0.5)));
  });
  return { width: SCENE_SIZE, height: SCENE_SIZE, data };
}

/** From corner to corner along the direction, linearly; on it the waves. */
function paintBackground({ from, to, direction: [dx, dy], waves }: Background): Float64Array {
  const values = new Float64Array(SCENE_SIZE * SCENE_SIZE * 3);
  const half = SCENE_SIZE / 2;
  const reach = half * (Math.abs(dx) + Math.abs(dy));
  for (let i = 0; i < SCENE_SIZE * SCENE_SIZE; i++) {
    const [x, y] = pixelCentre(i);
    const t = 0.5 + ((x - half) * dx + (y - half) * dy) / (2 * reach);
    const heights = waves.map(({ frequency: [fx, fy], phase }) => waveHeight(x * fx + y * fy + phase));
    from.forEach((value, channel) => {
      values[3 * i + channel] = heights.reduce(
        (sum, height, wave) => sum + height * (waves[wave]?.strength[channel] as number),
        value + t * ((to[channel] as number) - value),
      );
    });
  }
  return values;
}

/** Two parabolas, nearly a sine of period 1: a sine itself is rounded apart by engines. */
function waveHeight(t: number): number {
  const q = 2 * (t - Math.floor(t)) - 1;
  return 4 * q * (1 - Math.abs(q));
}

function paintObject(values: Float64Array, { shape, color, radius, x, y, cell }: SceneObject): void {
  const [left, top] = [(cell % 3) * CELL, Math.floor(cell / 3) * CELL]; // no object leaves its cell
  for (let row = top; row < top + CELL; row++) {
    for (let column = left; column < left + CELL; column++) {
      const i = row * SCENE_SIZE + column;
      const [px, py] = pixelCentre(i);
      const d = outlineDistance(shape, (px - x) / radius, (py - y) / radius);
      const coverage = Math.min(1, Math.max(0, 0.5 - d * radius));
      colorValues[color].forEach((value, channel) => {
        const under = values[3 * i + channel] as number;
        values[3 * i + channel] = under + coverage * (value - under);
      });
    }
  }
}

function pixelCentre(i: number): [x: number, y: number] {
  return [(i % SCENE_SIZE) + 0.5, Math.floor(i / SCENE_SIZE) + 0.5];
}
