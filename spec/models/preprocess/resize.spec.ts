import fc from 'fast-check';
import { decode } from 'fast-png';
import { describe, expect, it } from 'vitest';
import { resizeBicubic } from '../../../src/models/preprocess/resize.ts';
import type { RgbImage } from '../../../src/models/preprocess/rgb-image.ts';
import { ShapeError } from '../../../src/tensor/errors.ts';
import { bicubicInReals } from '../../oracle/bicubic-resize.ts';
import { goldenBytes, image, manifest, sha256 } from './picture-files.ts';

const SEED = 5;
const runs = { numRuns: 200, seed: SEED };

/** Half of them noise, half of them black and white: the latter overshoot. */
function pictures(longest = 12): fc.Arbitrary<RgbImage> {
  const side = fc.integer({ min: 1, max: longest });
  return fc.tuple(side, side, fc.boolean()).chain(([width, height, extreme]) => {
    const length = width * height * 3;
    const byte = extreme ? fc.constantFrom(0, 255) : fc.integer({ min: 0, max: 255 });
    return fc
      .array(byte, { minLength: length, maxLength: length })
      .map((bytes) => image(width, height, Uint8Array.from(bytes)));
  });
}
const sides = fc.integer({ min: 1, max: 40 });

describe('values', () => {
  it.each(manifest.resize)('M-1.5 $input in $width x $height has the bytes of Pillow', (golden) => {
    const { width, height, data } = decode(goldenBytes(golden.input));
    const resized = resizeBicubic(image(width, height, data as Uint8Array), golden.width, golden.height);
    expect([resized.width, resized.height]).toEqual([golden.width, golden.height]);
    if (golden.rgb !== undefined) expect([...resized.data]).toEqual([...goldenBytes(golden.rgb)]);
    expect(sha256(resized.data)).toBe(golden.rgbSha256);
  });

  it('M-1.5 differs from two rounded passes in real numbers by at most 2', () => {
    // A weight is off by at most 2⁻²³, hence a pass by at most 1 where a sum lies that close to a half; the
    // second pass carries such a 1 on with weights that sum to less than 1.5 in size, and may add its own.
    fc.assert(
      fc.property(pictures(), sides, sides, (picture, width, height) => {
        const resized = resizeBicubic(picture, width, height).data;
        const reals = bicubicInReals(picture.data, picture.width, picture.height, width, height);
        resized.forEach((byte, i) => {
          if (Math.abs(byte - (reals[i] as number)) > 2) {
            throw new Error(`at ${i}: expected ${reals[i]} +- 2, got ${byte}`);
          }
        });
      }),
      runs,
    );
  });
});

describe('laws', () => {
  it('M-1.5 the same size changes nothing', () => {
    fc.assert(
      fc.property(pictures(), (picture) => {
        expect(resizeBicubic(picture, picture.width, picture.height)).toEqual(picture);
      }),
      runs,
    );
  });

  it('M-1.5 one colour stays that colour', () => {
    const byte = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(fc.tuple(byte, byte, byte), sides, sides, sides, sides, (colour, w, h, width, height) => {
        const flat = (count: number) =>
          Uint8Array.from({ length: count * 3 }, (_, i) => colour[i % 3] as number);
        expect(resizeBicubic(image(w, h, flat(w * h)), width, height).data).toEqual(flat(width * height));
      }),
      runs,
    );
  });

  it('M-1.5 channels do not mix', () => {
    fc.assert(
      fc.property(pictures(), sides, sides, (picture, width, height) => {
        const turned = resizeBicubic(rolled(picture), width, height);
        expect(turned).toEqual(rolled(resizeBicubic(picture, width, height)));
      }),
      runs,
    );
  });

  it('M-1.5 a mirror before is a mirror after, where halves and doubles leave no rounding of positions', () => {
    // The weights of mirrored positions are the same reals, but computed from other numbers: only for ratios
    // that are powers of two are they the same bits.
    fc.assert(
      fc.property(
        pictures(),
        fc.constantFrom(0.5, 1, 2, 4),
        fc.constantFrom(0.5, 1, 2, 4),
        (picture, across, down) => {
          const doubled = resizeBicubic(picture, picture.width * 2, picture.height * 2);
          const [width, height] = [doubled.width * across, doubled.height * down];
          expect(resizeBicubic(mirrored(doubled), width, height)).toEqual(
            mirrored(resizeBicubic(doubled, width, height)),
          );
        },
      ),
      runs,
    );
  });

  it('M-1.5 the input is left alone', () => {
    const picture = image(3, 1, Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9]));
    resizeBicubic(picture, 5, 4);
    expect([...picture.data]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

describe('rejections', () => {
  const picture = image(2, 1, new Uint8Array(6));

  it('M-1.5 a side that is no whole number of at least one pixel is refused', () => {
    expect(resizeBicubic(picture, 1, 1).data.length).toBe(3);
    for (const side of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => resizeBicubic(picture, side, 1)).toThrow(RangeError);
      expect(() => resizeBicubic(picture, 1, side)).toThrow(RangeError);
    }
  });

  it('M-1.5 a result, or a picture between the passes, beyond 150 megapixels is refused', () => {
    const strip = image(1, 1500, new Uint8Array(4500));
    expect(() => resizeBicubic(picture, 1, 150_000_001)).toThrow(RangeError);
    expect(() => resizeBicubic(picture, 150_000_001, 1)).toThrow(RangeError);
    expect(() => resizeBicubic(strip, 100_001, 1)).toThrow(RangeError);
  });

  it('M-1.1 an image whose bytes do not fit its sides is refused', () => {
    expect(() => resizeBicubic(image(2, 1, new Uint8Array(5)), 1, 1)).toThrow(ShapeError);
    expect(() => resizeBicubic(image(2, 1, new Uint8Array(7)), 1, 1)).toThrow(ShapeError);
    expect(() => resizeBicubic(image(0, 1, new Uint8Array(0)), 1, 1)).toThrow(ShapeError);
    expect(() => resizeBicubic(image(1.5, 2, new Uint8Array(9)), 1, 1)).toThrow(ShapeError);
  });
});

function mirrored({ width, height, data }: RgbImage): RgbImage {
  const flipped = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) {
        flipped[(y * width + width - 1 - x) * 3 + c] = data[(y * width + x) * 3 + c] as number;
      }
    }
  }
  return { width, height, data: flipped };
}

/** Red in the place of green, green in that of blue, blue in that of red. */
function rolled({ width, height, data }: RgbImage): RgbImage {
  return { width, height, data: data.map((_, i) => data[i - (i % 3) + ((i + 2) % 3)] as number) };
}
