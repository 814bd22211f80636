// A picture file to RGB, as Pillow's `Image.open(file).convert('RGB')` gives it. SPEC M-1.3, M-1.4.
//
// PNG is decoded here; JPEG by mozjpeg in WebAssembly, whose samples are those of Pillow's libjpeg-turbo.

import { FileError } from '../../tensor/errors.ts';
import { imageFormat } from './image-guard.ts';
import { readJpegFile } from './jpeg-markers.ts';
import { decodeJpegWasm } from './jpeg-wasm.ts';
import { readPngFile } from './png-chunks.ts';
import { decodePngPixels } from './png-pixels.ts';
import type { RgbImage } from './rgb-image.ts';

export interface DecodedImage {
  readonly image: RgbImage;
  readonly exifOrientation: number; // 1..8; not applied: other than 1, the caller may say so
}

/**
 * Decodes a JPEG or PNG; `name` is how messages call the file. Throws FileError for another format, a file
 * that is too large, damaged or cut off, and for the kinds of JPEG and PNG that are refused (image-guard.ts,
 * jpeg-markers.ts, png-chunks.ts).
 */
export async function decodeImage(bytes: Uint8Array, name: string): Promise<DecodedImage> {
  if (imageFormat(bytes, name) === 'jpeg') return decodeJpeg(bytes, name);
  const png = readPngFile(bytes, name);
  return { image: await decodePngPixels(png, name), exifOrientation: png.exifOrientation };
}

async function decodeJpeg(bytes: Uint8Array, name: string): Promise<DecodedImage> {
  const jpeg = readJpegFile(bytes, name);
  const { width, height } = jpeg;
  const { decoded, complaints } = await decodeJpegWasm(jpeg.bytes);
  if (decoded === null || complaints.some((line) => !isHarmless(line))) {
    throw new FileError(
      `${name}: expected a whole JPEG, got one the decoder complains about: ${complaints.join('; ')}`,
    );
  }
  if (decoded.width !== width || decoded.height !== height) {
    throw new FileError(
      `${name}: expected ${width} x ${height} pixels as the JPEG's frame says, got ${decoded.width} x ${decoded.height}`,
    );
  }
  return {
    image: { width, height, data: withoutAlpha(decoded.data) },
    exifOrientation: jpeg.exifOrientation,
  };
}

// libjpeg prints its first warning only, and goes on with grey where data are missing. So any warning
// refuses the file, but for the one that comes when all pixels are done: bytes left over before FFD9.
function isHarmless(line: string): boolean {
  return /extraneous bytes before marker 0xd9$/.test(line);
}

function withoutAlpha(rgba: Uint8ClampedArray): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from] as number;
    rgb[to + 1] = rgba[from + 1] as number;
    rgb[to + 2] = rgba[from + 2] as number;
  }
  return rgb;
}
