// What a picture file is, and whether it may be decoded, before anything is decoded. SPEC M-1.2, M-1.3.

import { FileError } from '../../tensor/errors.ts';

export const LARGEST_FILE_BYTES: number = 32 * 1024 * 1024;
export const LARGEST_IMAGE_PIXELS = 50_000_000;

export type ImageFormat = 'png' | 'jpeg';

/**
 * The format of a file, by its first bytes. Throws FileError for an empty file, one beyond 32 MB (2²⁵
 * bytes), and any format but JPEG and PNG.
 */
export function imageFormat(bytes: Uint8Array, name: string): ImageFormat {
  if (bytes.length > LARGEST_FILE_BYTES) {
    throw new FileError(
      `${name}: expected an image of at most ${LARGEST_FILE_BYTES} bytes, got ${bytes.length}`,
    );
  }
  if (startsWith(bytes, PNG_SIGNATURE)) return 'png';
  if (startsWith(bytes, JPEG_SIGNATURE)) return 'jpeg';
  throw new FileError(`${name}: expected a JPEG or PNG image, got ${describeOther(bytes)}`);
}

/** Throws FileError for a side of zero and for more than 50 megapixels. */
export function checkImageSides(width: number, height: number, name: string): void {
  if (width < 1 || height < 1) {
    throw new FileError(
      `${name}: expected an image with sides of at least 1 pixel, got ${width} x ${height}`,
    );
  }
  if (width * height > LARGEST_IMAGE_PIXELS) {
    throw new FileError(
      `${name}: expected an image of at most ${LARGEST_IMAGE_PIXELS / 1e6} megapixels, got ${width} x ${height}`,
    );
  }
}

const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const JPEG_SIGNATURE = [0xff, 0xd8, 0xff];

function startsWith(bytes: Uint8Array, signature: readonly number[]): boolean {
  return bytes.length >= signature.length && signature.every((byte, i) => bytes[i] === byte);
}

function describeOther(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'an empty file';
  const text = (start: number, end: number) => String.fromCharCode(...bytes.subarray(start, end));
  if (text(0, 4) === 'GIF8') return 'a GIF';
  if (text(0, 2) === 'BM') return 'a BMP';
  if (text(0, 4) === 'RIFF' && text(8, 12) === 'WEBP') return 'a WebP';
  if (text(0, 4) === 'II*\0' || text(0, 4) === 'MM\0*') return 'a TIFF';
  if (text(4, 8) === 'ftyp') return describeBrand(text(8, 12));
  if (text(0, 4) === '\0\0\x01\0') return 'an ICO';
  if (text(0, 4) === '%PDF') return 'a PDF';
  if (/^\s*<(\?xml|svg)/.test(text(0, 64))) return 'an SVG or XML text';
  const first = Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0'));
  return `a file that begins with ${first.join(' ')}`;
}

// ISO base media files name their kind after 'ftyp'.
function describeBrand(brand: string): string {
  if (brand === 'avif' || brand === 'avis') return 'an AVIF';
  if (['heic', 'heix', 'hevc', 'hevx', 'heim', 'heis', 'mif1', 'msf1'].includes(brand)) return 'a HEIC';
  return 'a video or other ISO media file';
}
