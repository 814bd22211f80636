import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RgbImage } from '../../src/models/index.ts';
import { ShapeError } from '../../src/tensor/index.ts';
import { type OverlayPlan, overlayImage } from '../../src/visionzip/index.ts';
import { grid8 } from '../support/grid8.ts';

interface Drawn {
  readonly rows: number;
  readonly columns: number;
  readonly cell: number;
  readonly seed: number;
}

const drawn: fc.Arbitrary<Drawn> = fc.record({
  rows: fc.integer({ min: 1, max: 5 }),
  columns: fc.integer({ min: 1, max: 5 }),
  cell: fc.integer({ min: 4, max: 11 }),
  seed: fc.nat({ max: 9999 }),
});

/** Every patch is kept, dropped, a target or a source; colours from 55 to 255, so that dim is visible. */
function planOf({ rows, columns, seed }: Drawn): OverlayPlan {
  const roles = grid8(`roles ${seed}`, rows * columns + 1).map((q) => (q + 127) % 4);
  const tokens = (role: number): number[] =>
    Array.from(roles, (_, token) => token).filter((token) => token > 0 && roles[token] === role);
  const targetTokenIndices = tokens(2);
  const sourceTokenIndices = targetTokenIndices.length === 0 ? [] : tokens(3);
  const groups = grid8(`groups ${seed}`, sourceTokenIndices.length + 1);
  return {
    gridColumns: columns,
    keptTokenIndices: [0, ...tokens(1)],
    targetTokenIndices,
    sourceTokenIndices,
    assignment: sourceTokenIndices.map((_, s) => ((groups[s] as number) + 127) % targetTokenIndices.length),
  };
}

function pictureOf({ rows, columns, cell, seed }: Drawn): RgbImage {
  const [width, height] = [columns * cell, rows * cell];
  const noise = grid8(`picture ${seed}`, 3 * width * height);
  return { width, height, data: Uint8Array.from(noise, (q) => 155 + (q * 100) / 127) };
}

const flat = ({ rows, columns, cell }: Drawn, grey = 200): RgbImage => ({
  width: columns * cell,
  height: rows * cell,
  data: new Uint8Array(3 * rows * columns * cell * cell).fill(grey),
});

/** The pixels of a patch, [cell · cell][3]. */
function patchOf({ data, width }: RgbImage, { columns, cell }: Drawn, token: number): number[][] {
  const patch = token - 1;
  const [top, left] = [Math.floor(patch / columns) * cell, (patch % columns) * cell];
  return Array.from({ length: cell * cell }, (_, i) => {
    const at = 3 * ((top + Math.floor(i / cell)) * width + left + (i % cell));
    return Array.from(data.subarray(at, at + 3));
  });
}

/** The pixel in the middle of a patch, beyond any frame. */
const middle = (image: RgbImage, one: Drawn, token: number): number[] =>
  patchOf(image, one, token)[Math.floor(one.cell / 2) * (one.cell + 1)] as number[];

const light = (pixels: readonly (readonly number[])[]): number =>
  pixels.reduce((sum, pixel) => sum + pixel.reduce((a, b) => a + b, 0), 0);

const tokensOf = ({ rows, columns }: Drawn): number[] =>
  Array.from({ length: rows * columns }, (_, i) => i + 1);

function check(property: (one: Drawn, plan: OverlayPlan) => void): void {
  fc.assert(
    fc.property(drawn, (one) => property(one, planOf(one))),
    { seed: 5, numRuns: 200 },
  );
}

describe('VZ-5 overlay', () => {
  it('VZ-5.1 the overlay is a new picture of the same size', () =>
    check((one, plan) => {
      const picture = pictureOf(one);
      const before = picture.data.slice();
      const overlay = overlayImage(picture, plan);
      expect([overlay.width, overlay.height, overlay.data.length]).toEqual([
        picture.width,
        picture.height,
        picture.data.length,
      ]);
      expect(String(picture.data) === String(before)).toBe(true);
      expect(overlay.data.buffer).not.toBe(picture.data.buffer);
    }));

  it('VZ-5.1 kept patches stay as they are', () =>
    check((one, plan) => {
      const picture = pictureOf(one);
      const overlay = overlayImage(picture, plan);
      for (const token of Array.from(plan.keptTokenIndices).slice(1)) {
        expect(String(patchOf(overlay, one, token))).toBe(String(patchOf(picture, one, token)));
      }
    }));

  it('VZ-5.1 patches that are neither kept nor merged are grey and darker', () =>
    check((one, plan) => {
      const picture = pictureOf(one);
      const overlay = overlayImage(picture, plan);
      const used = [plan.keptTokenIndices, plan.targetTokenIndices, plan.sourceTokenIndices].flatMap(
        (tokens) => [...Array.from(tokens)],
      );
      for (const token of tokensOf(one).filter((each) => !used.includes(each))) {
        const pixels = patchOf(overlay, one, token);
        expect(pixels.every(([red, green, blue]) => red === green && green === blue)).toBe(true);
        expect(light(pixels)).toBeLessThan(0.6 * light(patchOf(picture, one, token)));
        expect(light(pixels)).toBeGreaterThan(0);
      }
    }));

  it('VZ-5.1 the patches of a group have its colour, which is that of no other of the first ten groups', () =>
    check((one, plan) => {
      const picture = flat(one);
      const overlay = overlayImage(picture, plan);
      const colours = new Map<number, string>();
      const members = Array.from(
        plan.sourceTokenIndices,
        (token, s) => [token, plan.assignment[s] as number] as const,
      );
      const targets = Array.from(plan.targetTokenIndices, (token, m) => [token, m] as const);
      for (const [token, group] of [...targets, ...members]) {
        const pixel = middle(overlay, one, token);
        expect(new Set(pixel).size, 'a colour, not a grey').toBeGreaterThan(1);
        expect(light([pixel])).toBeLessThan(light([middle(picture, one, token)]));
        expect(colours.get(group) ?? String(pixel)).toBe(String(pixel));
        colours.set(group, String(pixel));
      }
      const first = [...colours].filter(([group]) => group < 10).map(([, colour]) => colour);
      expect(new Set(first).size).toBe(first.length);
    }));

  it('VZ-5.1 targets have a frame, sources have none', () =>
    check((one, plan) => {
      const overlay = overlayImage(flat(one), plan);
      const { cell } = one;
      const isEdge = (i: number): boolean =>
        [i % cell, Math.floor(i / cell)].some((place) => place === 0 || place === cell - 1);
      for (const token of Array.from(plan.targetTokenIndices)) {
        const inside = String(middle(overlay, one, token));
        const edges = patchOf(overlay, one, token).filter((_, i) => isEdge(i));
        expect(new Set(edges.map(String)).size).toBe(1);
        expect(String(edges[0])).not.toBe(inside);
      }
      for (const token of Array.from(plan.sourceTokenIndices)) {
        expect(new Set(patchOf(overlay, one, token).map(String)).size).toBe(1);
      }
    }));

  it('VZ-5.1 a tinted patch still shows what was in it', () =>
    check((one, plan) => {
      const [bright, dark] = [flat(one, 255), flat(one, 60)].map((picture) => overlayImage(picture, plan));
      for (const token of [...Array.from(plan.targetTokenIndices), ...Array.from(plan.sourceTokenIndices)]) {
        expect(light([middle(bright as RgbImage, one, token)])).toBeGreaterThan(
          light([middle(dark as RgbImage, one, token)]) + 30,
        );
      }
    }));

  it('VZ-5.1 a picture that the patches do not divide is rejected', () => {
    const plan = {
      gridColumns: 3,
      keptTokenIndices: [0],
      targetTokenIndices: [],
      sourceTokenIndices: [],
      assignment: [],
    };
    const picture = (width: number, height: number): RgbImage => ({
      width,
      height,
      data: new Uint8Array(3 * width * height),
    });
    expect(() => overlayImage(picture(12, 8), plan)).not.toThrow();
    expect(() => overlayImage(picture(13, 8), plan)).toThrow(RangeError);
    expect(() => overlayImage(picture(12, 9), plan)).toThrow(RangeError);
    expect(() => overlayImage({ ...picture(12, 8), data: new Uint8Array(5) }, plan)).toThrow(ShapeError);
  });
});
