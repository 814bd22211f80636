import { constants, deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { decodeImage } from '../../../src/models/preprocess/decode-image.ts';
import { imageFormat, LARGEST_FILE_BYTES } from '../../../src/models/preprocess/image-guard.ts';
import { FileError } from '../../../src/tensor/errors.ts';
import { timed } from '../../support/processor-time.ts';
import {
  goldenBytes,
  type HeaderFields,
  header,
  imageData,
  joined,
  latin1,
  type PngPart,
  part,
  patched,
  pngFile,
  SMALL_LINES,
  smallPng,
} from './picture-files.ts';

/** The message with which `bytes` are refused; fails unless they are, by a FileError that names the file. */
async function refusal(bytes: Uint8Array): Promise<string> {
  const outcome = await decodeImage(bytes, 'picture').catch((error: unknown) => error);
  expect(outcome).toBeInstanceOf(FileError);
  const { message } = outcome as FileError;
  expect(message).toMatch(/^picture: expected .+, got .+/);
  return message;
}

function size(data: Uint8Array): number {
  return new DataView(data.buffer, data.byteOffset).getUint16(0);
}

describe('formats', () => {
  it.each([
    ['a GIF', 'GIF89a\x01\0\x01\0'],
    ['a BMP', 'BM\x46\0\0\0\0\0'],
    ['a WebP', 'RIFF\x24\0\0\0WEBPVP8 '],
    ['a TIFF', 'II*\0\x08\0\0\0'],
    ['a TIFF', 'MM\0*\0\0\0\x08'],
    ['an AVIF', '\0\0\0\x1cftypavif\0\0\0\0'],
    ['a HEIC', '\0\0\0\x18ftypheic\0\0\0\0'],
    ['a HEIC', '\0\0\0\x18ftypmif1\0\0\0\0'],
    ['a video', '\0\0\0\x18ftypisom\0\0\0\0'],
    ['an ICO', '\0\0\x01\0\x01\0'],
    ['a PDF', '%PDF-1.7'],
    ['an SVG', '<svg xmlns="http://www.w3.org/2000/svg"/>'],
    ['an empty file', ''],
    ['a file that begins with 68 65 6c 6c 6f', 'hello'],
  ])('M-1.2 %s is refused, naming JPEG and PNG', async (what, text) => {
    const message = await refusal(latin1(text));
    expect(message).toContain('JPEG or PNG');
    expect(message).toContain(what);
  });

  it('M-1.2 the first bytes alone decide, and part of a signature is none', async () => {
    expect(imageFormat(smallPng(), 'picture')).toBe('png');
    expect(imageFormat(goldenBytes('420-baseline.jpg'), 'picture')).toBe('jpeg');
    const changed = patched(smallPng(), 7, [0x0b]);
    for (const bytes of [smallPng().subarray(0, 7), changed, Uint8Array.of(0xff, 0xd8)]) {
      expect(await refusal(bytes)).toContain('JPEG or PNG');
    }
  });

  it('M-1.2 a file beyond 32 MB is refused, one of 32 MB is not', async () => {
    const bytes = new Uint8Array(LARGEST_FILE_BYTES + 1);
    bytes.set(smallPng());
    expect((await decodeImage(bytes.subarray(0, LARGEST_FILE_BYTES), 'picture')).image.width).toBe(2);
    expect(await refusal(bytes)).toContain('33554433');
  });
});

describe('PNG', () => {
  const end = part('IEND');
  const data = imageData(SMALL_LINES);
  const refused = (...parts: PngPart[]) => refusal(pngFile(parts));
  const refusedHeader = (fields: HeaderFields) => refused(header(fields), data, end);

  it('M-1.3 the control case is decoded', async () => {
    const { image, exifOrientation } = await decodeImage(smallPng(), 'picture');
    expect([image.width, image.height, exifOrientation]).toEqual([2, 2, 1]);
    expect([...image.data]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  });

  it('M-1.3 a file cut off at any byte is refused', async () => {
    const bytes = smallPng();
    for (let length = 0; length < bytes.length; length++) await refusal(bytes.subarray(0, length));
  });

  it('M-1.3 a side of zero and more than 50 megapixels are refused, from the header alone', async () => {
    await refusedHeader({ width: 0 });
    await refusedHeader({ height: 0 });
    expect(await refused(header({ width: 30_000, height: 30_000 }))).toContain('50 megapixels');
    expect(await refused(header({ width: 0x7fffffff, height: 0x7fffffff }))).toContain('50 megapixels');
    expect(await refused(header({ width: 50_000_001, height: 1 }))).toContain('50 megapixels');
    expect(await refused(header({ width: 50_000_000, height: 1 }))).not.toContain('megapixels');
  });

  it('M-1.3 fields of the header that PNG does not know are refused', async () => {
    await refusedHeader({ bitDepth: 4 });
    await refusedHeader({ bitDepth: 3, colourType: 0 });
    await refusedHeader({ bitDepth: 16, colourType: 3 });
    await refusedHeader({ colourType: 1 });
    await refusedHeader({ colourType: 7 });
    await refusedHeader({ compression: 1 });
    await refusedHeader({ filter: 1 });
    await refusedHeader({ interlace: 2 });
    await refused(part('IHDR', header().data.subarray(0, 12)), data, end);
  });

  it('M-1.3 chunks missing, doubled, out of order or unknown though critical are refused', async () => {
    const [palette, indexed] = [part('PLTE', [1, 2, 3]), header({ colourType: 3 })];
    const indices = imageData([0, 0, 0, 0, 0, 0]);
    expect((await decodeImage(pngFile([indexed, palette, indices, end]), 'picture')).image.data[0]).toBe(1);
    await refused(data, end);
    await refused(data, header(), end);
    await refused(part('tEXt'), header(), data, end);
    await refused(header(), header(), data, end);
    await refused(header(), data, header(), end);
    await refused(header(), end);
    await refused(header(), data, part('tEXt'), data, end);
    await refused(header(), part('CgBI'), data, end);
    await refused(header(), part('te t'), data, end);
    await refused(indexed, indices, end);
    await refused(indexed, indices, palette, end);
    await refused(indexed, palette, palette, indices, end);
    await refused(indexed, part('PLTE', [1, 2]), indices, end);
    await refused(indexed, part('PLTE', new Uint8Array(257 * 3)), indices, end);
  });

  it('M-1.3 ancillary chunks, even broken ones, are passed over', async () => {
    const bomb = part('iCCP', joined([latin1('a\0\0'), deflateSync(new Uint8Array(1e6))]));
    const bytes = pngFile([
      header(),
      bomb,
      part('tEXt', [0, 0]),
      part('pHYs'),
      data,
      part('eXIf', [73]),
      end,
    ]);
    expect((await decodeImage(bytes, 'picture')).image.data[11]).toBe(12);
  });

  it('M-1.3 a CRC that does not fit is refused, in every chunk', async () => {
    const parts = [header(), part('tEXt', latin1('a\0b')), data, end];
    let at = 8;
    for (const {
      data: { length },
    } of parts) {
      const crc = at + 8 + length;
      const bytes = pngFile(parts);
      expect(await refusal(patched(bytes, crc, [(bytes[crc] as number) ^ 1]))).toContain('CRC');
      at = crc + 4;
    }
  });

  it('M-1.3 data that do not inflate to exactly what the header asks for are refused', async () => {
    await refused(header(), imageData(SMALL_LINES.slice(1)), end);
    await refused(header(), imageData([...SMALL_LINES, 0]), end);
    await refused(header(), imageData([]), end);
    await refused(header(), part('IDAT'), end);
    await refused(header(), part('IDAT', [1, 2, 3, 4, 5, 6]), end);
    await refused(header(), part('IDAT', data.data.subarray(0, -1)), end);
    await refused(header(), part('IDAT', joined([data.data, [0]])), end);
    await refused(header(), part('IDAT', joined([data.data, data.data.subarray(-4)])), end); // the checksum again
    await refused(header(), part('IDAT', joined([data.data, [1, 2, 3], data.data.subarray(-4)])), end);
    await refused(header(), part('IDAT', data.data), part('IDAT', data.data), end);
    await refused(header(), part('IDAT', patched(data.data, data.data.length - 1, [0])), end);
    await refused(header(), imageData([5, ...SMALL_LINES.slice(1)]), end);
    await refused(header({ interlace: 1 }), data, end);
  });

  it('M-1.3 a 1 x 1 picture that holds 300 MB of deflate takes neither time nor memory', async () => {
    const bomb = pngFile([
      header({ width: 1, height: 1 }),
      part('IDAT', deflateSync(new Uint8Array(3e8), { strategy: constants.Z_RLE })),
      end,
    ]);
    expect(bomb.length).toBeLessThan(300_000);
    const before = process.memoryUsage().rss;
    const { result, ms } = await timed(() => refusal(bomb));
    expect(result).toContain('got more');
    expect(ms).toBeLessThan(1000);
    expect(process.memoryUsage().rss - before).toBeLessThan(50e6);
  });

  it('M-1.3 more than 100,000 chunks are refused', async () => {
    const bytes = pngFile([header(), data, end]);
    const wide = new Uint8Array(bytes.length + 100_000 * 12);
    wide.set(bytes.subarray(0, 33));
    wide.set(pngFile([part('tEXt')]).subarray(8), 33);
    for (let i = 0; i < 100_000; i++) wide.copyWithin(33 + 12 * i, 33, 45);
    wide.set(bytes.subarray(33), 33 + 100_000 * 12);
    expect(await refusal(wide)).toContain('100000 chunks');
  });
});

describe('JPEG', () => {
  const baseline = goldenBytes('420-baseline.jpg');
  const progressive = goldenBytes('420-progressive.jpg');
  const frameAt = (bytes: Uint8Array) =>
    bytes.findIndex((byte, i) => byte === 0xff && [0xc0, 0xc2].includes(bytes[i + 1] as number));
  const frame = frameAt(baseline); // FF C0, length, precision, height, width, components

  it('M-1.3 a file cut off anywhere is refused, with or without an end marker put behind', async () => {
    for (let length = 2; length < baseline.length - 2; length += 7) {
      const cut = baseline.subarray(0, length);
      await refusal(cut);
      await refusal(joined([cut, [0xff, 0xd9]]));
    }
  });

  it('M-1.3 a progressive file that ends after any of its scans but the last is refused', async () => {
    const scans = markersAt(progressive, 0xda);
    expect(scans.length).toBeGreaterThan(5);
    for (const scan of scans.slice(1)) {
      // cut before the tables that precede the scan, too
      const tables = markersAt(progressive, 0xc4)
        .filter((at) => at < scan)
        .at(-1) as number;
      for (const at of [scan, tables]) {
        await refusal(joined([progressive.subarray(0, at), [0xff, 0xd9]]));
      }
    }
  });

  it('M-1.3 bytes left over before the end marker change nothing', async () => {
    const { image } = await decodeImage(baseline, 'picture');
    for (const count of [1, 3, 40]) {
      const longer = joined([baseline.subarray(0, -2), Array(count).fill(0), [0xff, 0xd9]]);
      expect((await decodeImage(longer, 'picture')).image).toEqual(image);
    }
  });

  it('M-1.3 bytes left over before another scan are refused', async () => {
    const scan = markersAt(progressive, 0xda)[3] as number;
    const tables = markersAt(progressive, 0xc4)
      .filter((at) => at < scan)
      .at(-1) as number;
    await refusal(joined([progressive.subarray(0, tables), Array(40).fill(0), progressive.subarray(tables)]));
  });

  it('M-1.3 fewer restarts than the interval of a scan demands are refused', async () => {
    const bytes = goldenBytes('restart-intervals.jpg');
    const scan = markersAt(bytes, 0xda)[0] as number;
    const restarts = [0, 1, 2, 3, 4, 5, 6, 7]
      .flatMap((n) => markersAt(bytes, 0xd0 + n))
      .filter((at) => at > scan);
    // The decoder's only complaint is of the byte that is left over, which is harmless elsewhere.
    const withoutLast = joined([bytes.subarray(0, Math.max(...restarts)), [0], [0xff, 0xd9]]);
    expect(await refusal(withoutLast)).toContain(
      `a scan of a JPEG with ${restarts.length} restarts, got ${restarts.length - 1}`,
    );
  });

  it('M-1.3 any number of FF may stand before a marker, none before the 0 of a coded FF', async () => {
    const bytes = goldenBytes('restart-intervals.jpg');
    const { image } = await decodeImage(bytes, 'picture');
    const scan = markersAt(bytes, 0xda)[0] as number;
    const restart = markersAt(bytes, 0xd0).find((at) => at > scan) as number;
    const filled = (at: number) => joined([bytes.subarray(0, at), [0xff, 0xff], bytes.subarray(at)]);
    for (const at of [frameAt(bytes), scan, restart, bytes.length - 2]) {
      expect((await decodeImage(filled(at), 'picture')).image).toEqual(image);
    }
    const coded = markersAt(bytes, 0).find((at) => at > scan) as number;
    expect(await refusal(filled(coded))).toContain('FF00');
  });

  it.each([
    ['12 bits', 4, [12], '8 bits'],
    ['a height of zero', 5, [0, 0], 'at least 1 pixel'],
    ['a width of zero', 7, [0, 0], 'at least 1 pixel'],
    ['more than 50 megapixels', 5, [0x75, 0x30, 0x75, 0x30], '50 megapixels'],
    ['arithmetic coding', 1, [0xc9], 'arithmetic'],
    ['progressive arithmetic coding', 1, [0xca], 'arithmetic'],
    ['a lossless frame', 1, [0xc3], 'lossless'],
    ['a hierarchical frame', 1, [0xc5], 'hierarchical'],
    ['a frame whose length does not fit', 9, [2], 'frame (SOF)'],
    ['a component that the scan does not know', 10, [77], 'components'],
  ])('M-1.3 %s is refused', async (_, offset, replacement, words) => {
    expect(await refusal(patched(baseline, frame + offset, replacement))).toContain(words);
  });

  it('M-1.3 CMYK and two components are refused', async () => {
    const four = (count: number) =>
      joined([
        [0xff, 0xd8, 0xff, 0xc0, 0, 8 + 3 * count, 8, 0, 16, 0, 16, count],
        ...Array.from({ length: count }, (_, i) => [i + 1, 0x11, 0]),
      ]);
    expect(await refusal(four(4))).toContain('CMYK');
    expect(await refusal(four(2))).toContain('1 or 3 components');
    expect(await refusal(four(0))).toContain('1 or 3 components');
  });

  it('M-1.3 a second frame, a scan before the frame, and a file without frame or scan are refused', async () => {
    const frameBytes = baseline.subarray(frame, frame + 2 + size(baseline.subarray(frame + 2)));
    const scan = markersAt(baseline, 0xda)[0] as number;
    const twice = joined([baseline.subarray(0, frame), frameBytes, baseline.subarray(frame)]);
    expect(await refusal(twice)).toContain('expected one frame (SOF)');
    const without = joined([baseline.subarray(0, frame), baseline.subarray(scan)]);
    expect(await refusal(without)).toContain('before the first scan');
    await refusal(Uint8Array.of(0xff, 0xd8, 0xff, 0xd9));
    await refusal(joined([baseline.subarray(0, scan), [0xff, 0xd9]]));
    await refusal(joined([baseline.subarray(0, 2), baseline]));
  });

  it('M-1.3 bytes between segments and segments shorter than their length are refused', async () => {
    await refusal(joined([baseline.subarray(0, frame), [0], baseline.subarray(frame)]));
    await refusal(joined([baseline.subarray(0, 2), [0xff, 0xfe, 0, 1], baseline.subarray(2)]));
    const comment = joined([baseline.subarray(0, 2), [0xff, 0xff, 0xfe, 0, 3, 65], baseline.subarray(2)]);
    expect((await decodeImage(comment, 'picture')).image.width).toBe(67);
  });

  it('M-1.3 more than 100 scans, and more than 10⁹ pixels over all scans, are refused', async () => {
    const scan = markersAt(progressive, 0xda)[0] as number;
    const segment = progressive.subarray(scan, scan + 2 + size(progressive.subarray(scan + 2)));
    const many = (count: number, start: Uint8Array) =>
      joined([start, ...Array(count).fill(segment), [0xff, 0xd9]]);
    const start = progressive.subarray(0, scan);
    expect(await refusal(many(101, start))).toContain('100 scans');
    expect(await refusal(many(100, start))).not.toContain('100 scans');
    const huge = patched(start, frameAt(progressive) + 5, [7000 >> 8, 7000 & 255, 7000 >> 8, 7000 & 255]); // 49 MP
    expect(await refusal(many(21, huge))).toContain('all scans');
    expect(await refusal(many(20, huge))).not.toContain('all scans');
  });
});

describe('Exif', () => {
  it('M-1.4 a broken Exif block means upright, and costs nothing', async () => {
    const bytes = goldenBytes('exif-6.jpg');
    const exif = markersAt(bytes, 0xe1)[0] as number;
    const tiff = exif + 10; // byte order, 42, directory, count, then the entry
    const orientation = async (at: number, replacement: number[]) =>
      (await decodeImage(patched(bytes, tiff + at, replacement), 'picture')).exifOrientation;
    expect(await orientation(0, [])).toBe(6);
    expect(await orientation(18, [8])).toBe(8);
    expect(await orientation(18, [9])).toBe(1);
    expect(await orientation(18, [0])).toBe(1);
    expect(await orientation(0, [0x4d])).toBe(1);
    expect(await orientation(2, [43])).toBe(1);
    expect(await orientation(4, [255, 255])).toBe(1);
    expect(await orientation(8, [0])).toBe(1);
    expect(await orientation(10, [0x13])).toBe(1);
    expect(await orientation(12, [4])).toBe(1);
    expect(await orientation(-4, [0x66])).toBe(1);
  });
});

/** Where the markers of one code stand. */
function markersAt(bytes: Uint8Array, code: number): number[] {
  return Array.from(bytes.keys()).filter((i) => bytes[i] === 0xff && bytes[i + 1] === code);
}
