// Changes of a PNG file, chunk by chunk under CRCs that fit, or of any byte; and of a JPEG file, segment by segment.

import { crc32, deflateSync, inflateSync } from 'node:zlib';
import type { Draw } from './draw.ts';
import { joinBytes, mutateBytes } from './mutate-bytes.ts';

export interface Chunk {
  readonly type: Uint8Array; // four letters
  readonly data: Uint8Array;
}

export function isPng(file: Uint8Array): boolean {
  return file.length > 8 && String.fromCharCode(...file.subarray(0, 8)) === '\x89PNG\r\n\x1a\n';
}

export function pngChunks(file: Uint8Array): Chunk[] {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const chunks: Chunk[] = [];
  for (let at = 8; at + 12 <= file.length; ) {
    const end = at + 8 + view.getUint32(at);
    chunks.push({ type: file.slice(at + 4, at + 8), data: file.slice(at + 8, end) });
    at = end + 4;
  }
  return chunks;
}

function u32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

export function pngOf(signature: Uint8Array, chunks: readonly Chunk[]): Uint8Array {
  const parts = chunks.flatMap(({ type, data }) => {
    const body = joinBytes(type, data);
    return [u32(data.length), body, u32(crc32(body))];
  });
  return joinBytes(signature, ...parts);
}

const letters = ['IHDR', 'PLTE', 'IDAT', 'IEND', 'tRNS', 'eXIf', 'teXt', 'ABCD', 'ab1d'];

export function mutatePng(draw: Draw, file: Uint8Array): Uint8Array {
  if (draw.oneIn(4)) return mutateBytes(draw, file);
  const chunks = pngChunks(file);
  const at = draw.below(chunks.length);
  const { type, data } = chunks[at] as Chunk;
  const named = (name: string): Uint8Array => new TextEncoder().encode(name);
  const changed = (): readonly Chunk[] => {
    switch (draw.below(8)) {
      case 0:
        return chunks.toSpliced(at, 1);
      case 1:
        return [...chunks.slice(0, at), chunks[at] as Chunk, ...chunks.slice(at)];
      case 2:
        return chunks.with(at, chunks[draw.below(chunks.length)] as Chunk);
      case 3:
        return chunks.with(at, { type: named(draw.pick(letters)), data });
      case 4:
        return chunks.toSpliced(at, 0, { type: named(draw.pick(letters)), data: data.slice(0, 3) });
      case 5: {
        const header = (chunks[0] as Chunk).data.slice();
        const values = [0, 1, 2, 3, 4, 6, 7, 8, 16, 255];
        header[draw.oneIn(2) ? 8 + draw.below(5) : draw.below(8)] = draw.pick(values);
        return chunks.with(0, { type: named('IHDR'), data: header });
      }
      case 6:
        return withLines(draw, chunks);
      default:
        return chunks.with(at, {
          type,
          data: data.length === 0 ? Uint8Array.of(1) : mutateBytes(draw, data),
        });
    }
  };
  return pngOf(file.slice(0, 8), changed());
}

/** The lines changed and deflated anew, in one IDAT. */
function withLines(draw: Draw, chunks: readonly Chunk[]): readonly Chunk[] {
  const isData = ({ type }: Chunk): boolean => String.fromCharCode(...type) === 'IDAT';
  const lines = inflateSync(joinBytes(...chunks.filter(isData).map(({ data }) => data)));
  const changed = draw.oneIn(3)
    ? joinBytes([draw.pick([1, 2, 3, 4, 5, 6, 255])], lines.subarray(1)) // the first filter
    : mutateBytes(draw, lines);
  const deflated = deflateSync(changed);
  const data = draw.oneIn(4) ? joinBytes(deflated, deflated.subarray(-4)) : deflated;
  const first = chunks.findIndex(isData);
  return chunks
    .filter((chunk) => !isData(chunk))
    .toSpliced(first, 0, { type: Uint8Array.of(73, 68, 65, 84), data });
}

/** The start of the image, each segment up to the first scan, and that with all behind it. */
export function jpegSegments(file: Uint8Array): Uint8Array[] {
  const segments: Uint8Array[] = [file.slice(0, 2)];
  let at = 2;
  while (file[at] === 0xff && file[at + 1] !== 0xda && at < file.length) {
    const end = at + 2 + (((file[at + 2] ?? 0) << 8) | (file[at + 3] ?? 0));
    segments.push(file.slice(at, end));
    at = end;
  }
  segments.push(file.slice(at));
  return segments;
}

export function mutateJpeg(draw: Draw, file: Uint8Array): Uint8Array {
  if (draw.oneIn(2)) return mutateBytes(draw, file);
  const segments = jpegSegments(file);
  const i = draw.below(segments.length);
  const segment = segments[i] as Uint8Array;
  switch (draw.below(5)) {
    case 0:
      return joinBytes(...segments.toSpliced(i, 1));
    case 1:
      return joinBytes(...segments.toSpliced(i, 0, segment));
    case 2:
      return joinBytes(...segments.with(i, segments[draw.below(segments.length)] as Uint8Array));
    default: {
      // Within the segment, so that its length still fits.
      const bytes = segment.slice();
      const places = Math.max(1, bytes.length - 4);
      bytes[Math.min(bytes.length - 1, 4 + draw.below(places))] = draw.pick([
        0, 1, 2, 4, 17, 63, 64, 127, 255,
      ]);
      return joinBytes(...segments.with(i, bytes));
    }
  }
}
