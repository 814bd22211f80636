import fc from 'fast-check';
import { decode } from 'fast-png';
import { describe, expect, it } from 'vitest';
import {
  CLIP_336,
  type PreprocessorConfig,
  preprocessCrop,
  preprocessPad,
} from '../../../src/models/preprocess/clip-pixels.ts';
import { ShapeError } from '../../../src/tensor/errors.ts';
import { type GoldenConfig, goldenBytes, image, manifest, sha256 } from './picture-files.ts';

const runs = { numRuns: 200, seed: 7 };

function configOf(golden: GoldenConfig): PreprocessorConfig {
  return {
    shortestEdge: golden.size.shortest_edge,
    cropHeight: golden.crop_size.height,
    cropWidth: golden.crop_size.width,
    rescaleFactor: 1 / 255,
    mean: golden.image_mean,
    std: golden.image_std,
  };
}

function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.slice().buffer);
}

/** One pixel, taken as it is. */
const pixelConfig: PreprocessorConfig = { ...CLIP_336, shortestEdge: 1, cropHeight: 1, cropWidth: 1 };

describe('values', () => {
  it.each(manifest.pixelValues)('M-1.9 $input, $config, $mode: bit-equal to transformers', (golden) => {
    const { width, height, data } = decode(goldenBytes(golden.input));
    const config = configOf(manifest.configs[golden.config] as GoldenConfig);
    const preprocess = golden.mode === 'pad' ? preprocessPad : preprocessCrop;
    const values = preprocess(image(width, height, data as Uint8Array), config);
    expect(values.shape).toEqual(golden.shape);
    if (golden.f32 !== undefined) expect([...values.data]).toEqual([...floats(goldenBytes(golden.f32))]);
    expect(sha256(values.data)).toBe(golden.f32Sha256);
  });

  it('M-1.9 the default config is that of the golden clip-336', () => {
    expect(configOf(manifest.configs['clip-336'] as GoldenConfig)).toEqual(CLIP_336);
  });
});

describe('laws', () => {
  const byte = fc.integer({ min: 0, max: 255 });
  const unit = fc.double({ min: 0.01, max: 1, noNaN: true });

  it('M-1.9 value · std + mean gives the byte back, in its own channel', () => {
    fc.assert(
      fc.property(
        fc.tuple(byte, byte, byte),
        fc.tuple(unit, unit, unit),
        fc.tuple(unit, unit, unit),
        (rgb, mean, std) => {
          const { data } = preprocessCrop(image(1, 1, Uint8Array.from(rgb)), { ...pixelConfig, mean, std });
          rgb.forEach((value, c) => {
            const back = ((data[c] as number) * (std[c] as number) + (mean[c] as number)) * 255;
            // four roundings to f32 of numbers below 1.01 in size, hence 255 · 4 · 2⁻²⁴ at most
            expect(Math.abs(back - value)).toBeLessThan(255 * 4 * 2 ** -24);
          });
        },
      ),
      runs,
    );
  });

  it('M-1.9 a byte of the mean is 0, and mean 0 and std 1 leave byte / 255', () => {
    const half: PreprocessorConfig = { ...pixelConfig, mean: [51 / 255, 102 / 255, 1], std: [0.3, 0.2, 0.1] };
    expect([...preprocessCrop(image(1, 1, Uint8Array.of(51, 102, 255)), half).data]).toEqual([0, 0, 0]);
    const plain: PreprocessorConfig = { ...pixelConfig, mean: [0, 0, 0], std: [1, 1, 1] };
    for (let value = 0; value < 256; value++) {
      const { data } = preprocessCrop(image(1, 1, Uint8Array.of(value, 0, 0)), plain);
      expect(data[0]).toBe(Math.fround(value * (1 / 255)));
    }
  });

  it('M-1.10 pad and crop agree on square pictures', () => {
    const small: PreprocessorConfig = { ...CLIP_336, shortestEdge: 6, cropHeight: 5, cropWidth: 4 };
    const squares = fc.integer({ min: 1, max: 10 }).chain((side) => {
      const length = side * side * 3;
      return fc
        .array(byte, { minLength: length, maxLength: length })
        .map((bytes) => image(side, side, Uint8Array.from(bytes)));
    });
    fc.assert(
      fc.property(squares, (picture) => {
        expect(preprocessPad(picture, small)).toEqual(preprocessCrop(picture, small));
      }),
      runs,
    );
  });

  it('M-1.10 pad fills with trunc(255 · mean), crop cuts the long sides off', () => {
    const config: PreprocessorConfig = {
      ...CLIP_336,
      shortestEdge: 4,
      cropHeight: 4,
      cropWidth: 4,
      mean: [0.5, 0.25, 0.1],
    };
    const white = image(4, 2, new Uint8Array(24).fill(255));
    const padded = preprocessPad(white, config).data;
    const value = (bytes: number, c: 0 | 1 | 2) =>
      Math.fround(
        Math.fround(Math.fround(bytes / 255) - Math.fround(config.mean[c])) / Math.fround(config.std[c]),
      );
    expect([padded[0], padded[16], padded[32]]).toEqual([value(127, 0), value(63, 1), value(25, 2)]);
    expect([padded[4], padded[20], padded[36]]).toEqual([value(255, 0), value(255, 1), value(255, 2)]);
    const cropped = preprocessCrop(white, config).data;
    expect(new Set(cropped.subarray(0, 16))).toEqual(new Set([value(255, 0)]));
  });
});

describe('rejections', () => {
  const picture = image(2, 1, new Uint8Array(6));
  const bothRefuse = (change: Partial<PreprocessorConfig>) => {
    expect(() => preprocessPad(picture, { ...pixelConfig, ...change })).toThrow(RangeError);
    expect(() => preprocessCrop(picture, { ...pixelConfig, ...change })).toThrow(RangeError);
  };

  it('M-1.10 a config out of range is refused', () => {
    expect(preprocessPad(picture, pixelConfig).shape).toEqual([1, 3, 1, 1]);
    bothRefuse({ shortestEdge: 0 });
    bothRefuse({ cropHeight: 0 });
    bothRefuse({ cropWidth: 1.5 });
    bothRefuse({ rescaleFactor: Number.NaN });
    bothRefuse({ mean: [0, Number.POSITIVE_INFINITY, 0] });
    bothRefuse({ std: [1, 1, 0] });
    bothRefuse({ std: [1, -1, 1] });
    bothRefuse({ std: [1, 1e-60, 1] }); // 0 in f32
  });

  it('M-1.10 a mean that is no colour cannot be padded with', () => {
    const bright: PreprocessorConfig = { ...pixelConfig, mean: [1.5, 0, 0] };
    expect(preprocessCrop(picture, bright).shape).toEqual([1, 3, 1, 1]);
    expect(() => preprocessPad(picture, bright)).toThrow(RangeError);
  });

  it('M-1.1 an image whose bytes do not fit its sides is refused', () => {
    expect(() => preprocessPad(image(2, 2, new Uint8Array(11)), pixelConfig)).toThrow(ShapeError);
    expect(() => preprocessCrop(image(2, 2, new Uint8Array(13)), pixelConfig)).toThrow(ShapeError);
  });
});
