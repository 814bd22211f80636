import fc from 'fast-check';
import { encode } from 'fast-png';
import { describe, expect, it } from 'vitest';
import { decodeImage } from '../../../src/models/preprocess/decode-image.ts';
import { goldenBytes, header, imageData, manifest, part, pngFile, sha256, shifted } from './picture-files.ts';

describe('values', () => {
  it.each(manifest.decode)(
    'M-1.4 $name (mode $pillowMode) becomes the RGB bytes of Pillow',
    async (golden) => {
      const { image, exifOrientation } = await decodeImage(goldenBytes(golden.name), golden.name);
      expect([image.width, image.height]).toEqual([golden.width, golden.height]);
      expect(image.data.length).toBe(golden.width * golden.height * 3);
      expect(sha256(image.data)).toBe(golden.rgbSha256);
      expect(exifOrientation).toBe(golden.exifOrientation);
    },
  );

  it.each(manifest.embedded)('M-1.4 $path becomes the RGB bytes of Pillow', async ({ path, rgbSha256 }) => {
    const { image } = await decodeImage(goldenBytes(path), path);
    expect(sha256(image.data)).toBe(rgbSha256);
  });

  it('M-1.4 the golden pictures hold every colour type and depth, and the orientations 3, 6 and 8', () => {
    const modes = new Set(manifest.decode.map((golden) => golden.pillowMode));
    expect([...modes].sort()).toEqual(['1', 'I;16', 'L', 'LA', 'P', 'RGB', 'RGBA']);
    const orientations = new Set(manifest.decode.map((golden) => golden.exifOrientation));
    expect([...orientations].sort()).toEqual([1, 3, 6, 8]);
  });

  it('M-1.4 a view into a larger buffer and bytes after the end of the image change nothing', async () => {
    for (const name of ['palette-4.png', '420-progressive.jpg']) {
      const bytes = goldenBytes(name);
      const longer = new Uint8Array([...bytes, 1, 2, 3, 0xff, 0xd8, 0xff]);
      const { image } = await decodeImage(shifted(longer), name);
      expect(sha256(image.data)).toBe(manifest.decode.find((golden) => golden.name === name)?.rgbSha256);
    }
  });

  it('M-1.4 a palette index beyond the palette is black', async () => {
    const bytes = pngFile([
      header({ height: 1, colourType: 3 }),
      part('PLTE', [9, 8, 7]),
      imageData([0, 0, 200]),
      part('IEND'),
    ]);
    const { image } = await decodeImage(bytes, 'index.png');
    expect([...image.data]).toEqual([9, 8, 7, 0, 0, 0]);
  });
});

describe('laws', () => {
  it('M-1.4 what another encoder writes is read back: RGB as it is, the others by their colours', async () => {
    const picture = fc
      .record({
        width: fc.integer({ min: 1, max: 9 }),
        height: fc.integer({ min: 1, max: 9 }),
        channels: fc.constantFrom(1, 2, 3, 4),
        depth: fc.constantFrom(8 as const, 16 as const),
      })
      .chain((shape) => {
        const length = shape.width * shape.height * shape.channels;
        const samples = fc.array(fc.integer({ min: 0, max: 2 ** shape.depth - 1 }), {
          minLength: length,
          maxLength: length,
        });
        return fc.record({ shape: fc.constant(shape), samples });
      });
    await fc.assert(
      fc.asyncProperty(picture, async ({ shape, samples }) => {
        const data = shape.depth === 8 ? Uint8Array.from(samples) : Uint16Array.from(samples);
        const { image } = await decodeImage(encode({ ...shape, data }), 'random.png');
        const expected = rgbOf(samples, shape.channels, shape.depth);
        expect([...image.data]).toEqual(expected);
      }),
      { numRuns: 200, seed: 4 },
    );
  });

  it('M-1.4 decoding leaves its input, and no stand-in for ImageData, behind', async () => {
    const bytes = goldenBytes('420-baseline.jpg');
    const before = sha256(bytes);
    await Promise.all([decodeImage(bytes, 'a.jpg'), decodeImage(bytes, 'b.jpg')]);
    expect(sha256(bytes)).toBe(before);
    expect('ImageData' in globalThis).toBe(false);
  });
});

function rgbOf(samples: readonly number[], channels: number, depth: number): number[] {
  const pixels: number[] = [];
  for (let i = 0; i < samples.length; i += channels) {
    const bytes = samples
      .slice(i, i + channels)
      .map((sample) => (depth === 8 ? sample : Math.floor(sample / 256)));
    if (channels >= 3) pixels.push(...bytes.slice(0, 3));
    else if (channels === 1 && depth === 16) pixels.push(...Array(3).fill(Math.min(samples[i] ?? 0, 255)));
    else pixels.push(...Array(3).fill(bytes[0]));
  }
  return pixels;
}
