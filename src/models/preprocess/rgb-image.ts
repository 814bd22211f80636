// A picture in memory: rows from top to bottom, pixels from left to right, R G B. SPEC M-1.1.

import { ShapeError } from '../../tensor/errors.ts';

export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array; // [height, width, 3]
}

/** Throws ShapeError unless `image` has sides of at least one pixel and exactly width x height x 3 bytes. */
export function checkRgbImage(who: string, image: RgbImage): void {
  const { width, height, data } = image;
  if (!isSide(width) || !isSide(height)) {
    throw new ShapeError(
      `${who}: expected an image with sides of at least 1 pixel, got ${width} x ${height}`,
    );
  }
  if (data.length !== width * height * 3) {
    throw new ShapeError(
      `${who}: expected ${width * height * 3} bytes for an image of ${width} x ${height}, got ${data.length}`,
    );
  }
}

/** Whether `length` can be the side of a picture: a whole number of pixels, at least one. */
export function isSide(length: number): boolean {
  return Number.isSafeInteger(length) && length >= 1;
}
