// A picture file, as a command takes it.

import {
  decodeImage,
  type ImageMode,
  openFile,
  type PixelValues,
  type PreprocessorConfig,
  preprocessCrop,
  preprocessPad,
  type RgbImage,
} from '../models/index.ts';
import { LARGEST_FILE_BYTES } from '../models/preprocess/image-guard.ts';
import { FileError } from '../tensor/index.ts';

export type { ImageMode };

/** The mode that --image-mode names; without it, the model's own is to be taken. Throws RangeError. */
export function imageMode(name: string | undefined): ImageMode | undefined {
  if (name === undefined || name === 'pad' || name === 'crop') return name;
  throw new RangeError(`--image-mode: expected pad or crop, got ${JSON.stringify(name)}`);
}

/**
 * Reads and decodes a picture. Says on stderr if its EXIF orientation asks for a turn, which is not made, as in the
 * original. Throws FileError.
 */
export async function readPicture(path: string): Promise<RgbImage> {
  const { image, exifOrientation } = await decodeImage(await readBytes(path), path);
  if (exifOrientation !== 1) {
    process.stderr.write(`${path}: EXIF orientation ${exifOrientation} is ignored, as the original does.\n`);
  }
  return image;
}

async function readBytes(path: string): Promise<Uint8Array> {
  if (path === '') throw new RangeError('picture: expected the name of a file, got none');
  const file = await openFile(path);
  try {
    if (file.size > LARGEST_FILE_BYTES) {
      throw new FileError(`${path}: expected at most ${LARGEST_FILE_BYTES} bytes, got ${file.size}`);
    }
    return await file.read(0, file.size);
  } finally {
    await file.close();
  }
}

/** The pixels that the encoder takes. Throws RangeError for a picture so narrow that it grows beyond all bounds. */
export function preprocess(image: RgbImage, mode: ImageMode, config: PreprocessorConfig): PixelValues {
  return mode === 'pad' ? preprocessPad(image, config) : preprocessCrop(image, config);
}
