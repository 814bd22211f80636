import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CLIP_MEAN_COLOUR,
  centerCrop,
  padToSquare,
  resizeShortestEdge,
} from '../../../src/models/preprocess/fit.ts';
import type { RgbImage } from '../../../src/models/preprocess/rgb-image.ts';
import { ShapeError } from '../../../src/tensor/errors.ts';
import { image } from './picture-files.ts';

const runs = { numRuns: 200, seed: 6 };
const side = fc.integer({ min: 1, max: 12 });
const pictures = fc.tuple(side, side).map(([width, height]) => numbered(width, height));

/** No two neighbours alike. */
function numbered(width: number, height: number): RgbImage {
  return image(
    width,
    height,
    Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7 + 1) % 251),
  );
}

function pixel({ width, height, data }: RgbImage, x: number, y: number): number[] | null {
  if (x < 0 || y < 0 || x >= width || y >= height) return null;
  return [...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)];
}

function composed(width: number, height: number, at: (x: number, y: number) => readonly number[]): RgbImage {
  const bytes = Array.from({ length: width * height }, (_, i) => at(i % width, Math.floor(i / width)));
  return image(width, height, Uint8Array.from(bytes.flat()));
}

describe('padToSquare', () => {
  it('M-1.6 the picture stands in the middle of the colour, the smaller half above or to the left', () => {
    fc.assert(
      fc.property(pictures, (picture) => {
        const square = padToSquare(picture, [9, 99, 199]);
        const longer = Math.max(picture.width, picture.height);
        const left = Math.floor((longer - picture.width) / 2);
        const top = Math.floor((longer - picture.height) / 2);
        const expected = composed(
          longer,
          longer,
          (x, y) => pixel(picture, x - left, y - top) ?? [9, 99, 199],
        );
        expect(square).toEqual(expected);
      }),
      runs,
    );
  });

  it('M-1.6 the colour is (122, 116, 104) unless another is given', () => {
    expect(CLIP_MEAN_COLOUR).toEqual([122, 116, 104]);
    expect([...padToSquare(image(2, 1, new Uint8Array(6))).data.slice(6)]).toEqual([
      122, 116, 104, 122, 116, 104,
    ]);
    expect([...padToSquare(image(4, 1, new Uint8Array(12))).data.slice(0, 3)]).toEqual([122, 116, 104]);
  });

  it('M-1.6 cutting the square back gives the picture, where the rest is even or one pixel', () => {
    fc.assert(
      fc.property(pictures, (picture) => {
        const rest = Math.abs(picture.width - picture.height);
        fc.pre(rest % 2 === 0 || rest === 1);
        expect(centerCrop(padToSquare(picture), picture.height, picture.width)).toEqual(picture);
      }),
      runs,
    );
  });

  it('M-1.6 a colour that is not three bytes is refused', () => {
    const picture = numbered(2, 1);
    expect(padToSquare(picture, [0, 255, 0]).width).toBe(2);
    for (const bad of [-1, 256, 0.5, Number.NaN]) {
      expect(() => padToSquare(picture, [bad, 0, 0])).toThrow(RangeError);
      expect(() => padToSquare(picture, [0, 0, bad])).toThrow(RangeError);
    }
  });

  it('M-1.6 a square beyond 150 megapixels is refused', () => {
    expect(padToSquare(image(1, 1300, new Uint8Array(3900))).data.length).toBe(1300 * 1300 * 3);
    expect(() => padToSquare(image(1, 12_248, new Uint8Array(3 * 12_248)))).toThrow(RangeError);
    expect(() => padToSquare(image(30_000, 1, new Uint8Array(90_000)))).toThrow(RangeError);
  });
});

describe('resizeShortestEdge', () => {
  it('M-1.7 the shorter side takes the edge, the longer one trunc(edge · long / short)', () => {
    const sizes = ([width, height]: [number, number], edge: number) => {
      const resized = resizeShortestEdge(numbered(width, height), edge);
      return [resized.width, resized.height];
    };
    expect(sizes([62, 45], 336)).toEqual([462, 336]); // 462.93
    expect(sizes([45, 62], 336)).toEqual([336, 462]);
    expect(sizes([7, 7], 5)).toEqual([5, 5]);
    expect(sizes([1, 9], 3)).toEqual([3, 27]);
    expect(sizes([10, 3], 3)).toEqual([10, 3]);
    expect(sizes([11, 3], 1)).toEqual([3, 1]); // 3.67
  });

  it('M-1.7 an edge that is no whole number of at least one pixel, and a result beyond 150 megapixels, are refused', () => {
    for (const edge of [0, -3, 2.5, Number.NaN]) {
      expect(() => resizeShortestEdge(numbered(2, 3), edge)).toThrow(RangeError);
    }
    expect(() => resizeShortestEdge(numbered(1, 30_000), 336)).toThrow(RangeError);
    expect(() => resizeShortestEdge(numbered(30_000, 1), 336)).toThrow(RangeError);
  });
});

describe('centerCrop', () => {
  it('M-1.8 the middle is cut out at floor(rest / 2), or the picture laid on black at floor(gap / 2)', () => {
    fc.assert(
      fc.property(pictures, side, side, (picture, height, width) => {
        const cropped = centerCrop(picture, height, width);
        const offset = (length: number, crop: number) =>
          length >= crop ? Math.floor((length - crop) / 2) : -Math.floor((crop - length) / 2);
        const [left, top] = [offset(picture.width, width), offset(picture.height, height)];
        const expected = composed(width, height, (x, y) => pixel(picture, x + left, y + top) ?? [0, 0, 0]);
        expect(cropped).toEqual(expected);
      }),
      runs,
    );
  });

  it('M-1.8 the size of the picture changes nothing', () => {
    fc.assert(
      fc.property(pictures, (picture) => {
        expect(centerCrop(picture, picture.height, picture.width)).toEqual(picture);
      }),
      runs,
    );
  });

  it('M-1.8 a side that is no whole number of at least one pixel is refused', () => {
    for (const bad of [0, -1, 1.5, Number.NaN]) {
      expect(() => centerCrop(numbered(2, 2), bad, 1)).toThrow(RangeError);
      expect(() => centerCrop(numbered(2, 2), 1, bad)).toThrow(RangeError);
    }
  });
});

it('M-1.1 an image whose bytes do not fit its sides is refused', () => {
  for (const byteCount of [11, 13]) {
    const broken = image(2, 2, new Uint8Array(byteCount));
    expect(() => padToSquare(broken)).toThrow(ShapeError);
    expect(() => resizeShortestEdge(broken, 2)).toThrow(ShapeError);
    expect(() => centerCrop(broken, 1, 1)).toThrow(ShapeError);
  }
});
