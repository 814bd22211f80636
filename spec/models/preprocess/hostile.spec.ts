import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decodeImage } from '../../../src/models/preprocess/decode-image.ts';
import { FileError } from '../../../src/tensor/errors.ts';
import { timed } from '../../support/processor-time.ts';
import { goldenBytes, joined, type PngPart, part, pngFile } from './picture-files.ts';

const JPEGS = [
  '420-baseline.jpg',
  '444-progressive.jpg',
  'grey-progressive.jpg',
  'restart-intervals.jpg',
  'exif-6.jpg',
];
const PNGS = ['rgb-8-interlaced.png', 'palette-4.png', 'grey-16.png', 'many-idat.png', 'exif-3.png'];
const runs = { numRuns: 400, seed: 8 };

const change = fc.record({
  kind: fc.constantFrom('set', 'flip', 'remove', 'insert', 'double'),
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  byte: fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff, 0xd9, 0xda), fc.integer({ min: 0, max: 255 })),
  length: fc.integer({ min: 1, max: 40 }),
});
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;
const changes = fc.array(change, { minLength: 1, maxLength: 4 });

function changed(bytes: Uint8Array, { kind, at, byte, length }: Change): Uint8Array {
  const i = Math.floor(at * bytes.length);
  const [before, after] = [bytes.subarray(0, i), bytes.subarray(i)];
  if (kind === 'remove') return joined([before, after.subarray(length)]);
  if (kind === 'insert') return joined([before, [byte], after]);
  if (kind === 'double') return joined([before, after.subarray(0, length), after]);
  const value = kind === 'flip' ? (after[0] ?? 0) ^ (1 << (byte & 7)) : byte;
  return joined([before, [value], after.subarray(1)]);
}

let largestRss = 0;

/** A picture of the size it claims, or FileError; within a second either way. */
async function decodedOrRefused(bytes: Uint8Array): Promise<boolean> {
  const { result: outcome, ms } = await timed(() =>
    decodeImage(bytes, 'picture').catch((error: unknown) => error),
  );
  expect(ms).toBeLessThan(1000);
  largestRss = Math.max(largestRss, process.memoryUsage().rss);
  if (outcome instanceof FileError) return false;
  if (outcome instanceof Error) throw outcome;
  const { image } = outcome as Awaited<ReturnType<typeof decodeImage>>;
  expect(image.data.length).toBe(image.width * image.height * 3);
  return true;
}

async function survives(
  files: readonly string[],
  mutate: (bytes: Uint8Array, changes: Change[]) => Uint8Array,
) {
  const startRss = process.memoryUsage().rss;
  largestRss = startRss;
  let decoded = 0;
  let refused = 0;
  const property = fc.asyncProperty(fc.constantFrom(...files), changes, async (file, list) => {
    if (await decodedOrRefused(mutate(goldenBytes(file), list))) decoded++;
    else refused++;
  });
  await fc.assert(property, runs);
  expect(refused).toBeGreaterThan(0);
  expect(largestRss - startRss).toBeLessThan(200e6);
  return { decoded, refused };
}

it('M-1.3 a JPEG with bytes changed, removed or put in is decoded or refused, nothing else', async () => {
  const { decoded } = await survives(JPEGS, (bytes, list) => list.reduce(changed, bytes));
  expect(decoded).toBeGreaterThan(0); // the pixels of some are changed without anybody's notice
});

it('M-1.3 a PNG with bytes changed, removed or put in is decoded or refused, nothing else', async () => {
  await survives(PNGS, (bytes, list) => list.reduce(changed, bytes));
});

it('M-1.3 a PNG with changed chunks under fitting CRCs is decoded or refused, nothing else', async () => {
  await survives(PNGS, (bytes, list) => {
    const parts = chunksOf(bytes);
    for (const one of list) {
      const i = Math.floor(one.at * parts.length);
      const chosen = parts[i] as PngPart;
      // A position within the chunk from the digits of `at` that did not choose the chunk.
      const within = (one.at * parts.length) % 1;
      if (chosen.data.length === 0) continue;
      parts[i] = part(chosen.type, changed(chosen.data, { ...one, at: within }));
    }
    return pngFile(parts);
  });
});

function chunksOf(bytes: Uint8Array): PngPart[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const parts: PngPart[] = [];
  for (let at = 8; at < bytes.length; ) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    parts.push(part(type, bytes.subarray(at + 8, at + 8 + length)));
    at += 12 + length;
  }
  return parts;
}
