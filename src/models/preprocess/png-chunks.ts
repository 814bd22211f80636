// The chunks of a PNG file, read strictly (PNG, third edition, sections 5 and 11). SPEC M-1.3.
//
//     file   signature, chunk...        chunk   length u32, type 4 letters, data, CRC-32 of type and data
//
// Only IHDR, PLTE, IDAT, eXIf and IEND are looked into. Transparency is not: the pixels are the colours
// that lie in the file, as Pillow's convert('RGB') drops alpha without blending. What follows IEND is not read.

import { FileError } from '../../tensor/errors.ts';
import { exifOrientation, UPRIGHT } from './exif.ts';
import { checkImageSides } from './image-guard.ts';

export interface PngHeader {
  readonly width: number;
  readonly height: number;
  readonly bitDepth: number; //   bits per sample: 1, 2, 4, 8, 16
  readonly colourType: number; // 0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGB + alpha
  readonly interlaced: boolean; // Adam7
}

export interface PngFile {
  readonly header: PngHeader;
  readonly palette: Uint8Array; // [entries, 3]  empty unless colour type 3
  readonly compressed: readonly Uint8Array[]; // the zlib stream, as cut into IDAT chunks
  readonly exifOrientation: number;
}

const SIGNATURE_BYTES = 8;
const IHDR_BYTES = 13;
// libpng cuts the data into chunks of 8 KiB: 4,096 of them in the largest file that is read.
const MOST_CHUNKS = 100_000;
const BIT_DEPTHS: { readonly [colourType: number]: readonly number[] } = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
};

/**
 * Reads every chunk up to IEND. Throws FileError for a truncated file, a CRC that does not fit, a chunk
 * missing, doubled, out of order or unknown though critical, more than 100,000 of them, a field out of range, a side of zero, and
 * more than 50 megapixels.
 */
export function readPngFile(bytes: Uint8Array, name: string): PngFile {
  const chunks = readChunks(bytes, name);
  const header = readHeader(chunks[0], name);
  checkOrder(chunks, name);
  const exif = chunks.find((chunk) => chunk.type === 'eXIf');
  return {
    header,
    palette: header.colourType === 3 ? readPalette(chunks, name) : new Uint8Array(0),
    compressed: chunks.filter((chunk) => chunk.type === 'IDAT').map((chunk) => chunk.data),
    exifOrientation: exif === undefined ? UPRIGHT : exifOrientation(exif.data),
  };
}

interface Chunk {
  readonly type: string;
  readonly data: Uint8Array;
}

function readChunks(bytes: Uint8Array, name: string): Chunk[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks: Chunk[] = [];
  let at = SIGNATURE_BYTES;
  while (chunks.at(-1)?.type !== 'IEND') {
    if (at + 12 > bytes.length) {
      throw new FileError(`${name}: expected a PNG up to IEND, got one cut off at byte ${at}`);
    }
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (!/^[A-Za-z]{4}$/.test(type)) {
      throw new FileError(
        `${name}: expected a chunk type of four letters at byte ${at + 4}, got other bytes`,
      );
    }
    const end = at + 8 + length;
    if (end + 4 > bytes.length) {
      throw new FileError(
        `${name}: expected ${length} bytes of ${type} at byte ${at}, got a file cut off before`,
      );
    }
    if (view.getUint32(end) !== crc32(bytes.subarray(at + 4, end))) {
      throw new FileError(`${name}: expected the CRC of ${type} at byte ${at} to fit its data, got another`);
    }
    if (chunks.length === MOST_CHUNKS) {
      throw new FileError(`${name}: expected at most ${MOST_CHUNKS} chunks in a PNG, got more`);
    }
    chunks.push({ type, data: bytes.subarray(at + 8, end) });
    // The size is refused as soon as it is known, before the rest of the file is walked.
    if (chunks.length === 1) readHeader(chunks[0], name);
    at = end + 4;
  }
  return chunks;
}

function readHeader(chunk: Chunk | undefined, name: string): PngHeader {
  if (chunk?.type !== 'IHDR' || chunk.data.length !== IHDR_BYTES) {
    throw new FileError(
      `${name}: expected IHDR of ${IHDR_BYTES} bytes first, got ${chunk?.type} of ${chunk?.data.length}`,
    );
  }
  const view = new DataView(chunk.data.buffer, chunk.data.byteOffset, IHDR_BYTES);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  checkImageSides(width, height, name);
  const [bitDepth, colourType] = [view.getUint8(8), view.getUint8(9)];
  if (!BIT_DEPTHS[colourType]?.includes(bitDepth)) {
    throw new FileError(
      `${name}: expected a colour type and bit depth of PNG, got ${colourType} and ${bitDepth}`,
    );
  }
  const [compression, filter, interlace] = [view.getUint8(10), view.getUint8(11), view.getUint8(12)];
  if (compression !== 0 || filter !== 0 || interlace > 1) {
    throw new FileError(
      `${name}: expected compression 0, filter 0, interlace 0 or 1 in IHDR, got ${compression}, ${filter}, ${interlace}`,
    );
  }
  return { width, height, bitDepth, colourType, interlaced: interlace === 1 };
}

function checkOrder(chunks: readonly Chunk[], name: string): void {
  const types = chunks.map((chunk) => chunk.type);
  for (const type of ['IHDR', 'PLTE']) {
    if (types.filter((other) => other === type).length > 1) {
      throw new FileError(`${name}: expected one ${type}, got more`);
    }
  }
  const firstData = types.indexOf('IDAT');
  const lastData = types.lastIndexOf('IDAT');
  if (firstData < 0) throw new FileError(`${name}: expected image data (IDAT), got none`);
  const between = types.slice(firstData, lastData).find((type) => type !== 'IDAT');
  if (between !== undefined) {
    throw new FileError(`${name}: expected the IDAT chunks in a row, got ${between} among them`);
  }
  if (types.indexOf('PLTE') > firstData) {
    throw new FileError(`${name}: expected PLTE before IDAT, got it after`);
  }
  // A capital first letter: whoever does not know this chunk cannot show the picture.
  const unknown = types.find(
    (type) => /^[A-Z]/.test(type) && !['IHDR', 'PLTE', 'IDAT', 'IEND'].includes(type),
  );
  if (unknown !== undefined) {
    throw new FileError(`${name}: expected the critical chunks of PNG, got ${unknown}`);
  }
}

function readPalette(chunks: readonly Chunk[], name: string): Uint8Array {
  const palette = chunks.find((chunk) => chunk.type === 'PLTE')?.data ?? new Uint8Array(0);
  if (palette.length === 0 || palette.length % 3 !== 0 || palette.length > 256 * 3) {
    throw new FileError(
      `${name}: expected a palette (PLTE) of 1 to 256 colours, got ${palette.length} bytes`,
    );
  }
  return palette;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) {
    crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ (bytes[i] as number)) & 0xff] as number);
  }
  return ~crc >>> 0;
}
