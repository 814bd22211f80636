// Bringing a picture to the square that the vision tower takes. SPEC M-1.6 to M-1.8.
//
//     pad    LLaVA-1.5: the whole picture on a square of the mean colour     llava/mm_utils.py, expand2square
//     crop   transformers: shortest edge resized, the centre cut out         CLIPImageProcessor, image_transforms.py

import { LARGEST_RESULT_PIXELS, resizeBicubic } from './resize.ts';
import { checkRgbImage, isSide, type RgbImage } from './rgb-image.ts';

export type RgbColour = readonly [red: number, green: number, blue: number];

/** CLIP's mean colour in whole bytes: trunc(mean · 255). */
export const CLIP_MEAN_COLOUR: RgbColour = [122, 116, 104];

/**
 * The picture in the middle of the smallest square that holds it, the rest filled with `colour`. An odd
 * rest puts the smaller half above or to the left. Throws RangeError for a colour that is not three
 * bytes and for a square beyond 150 megapixels. Equation: `expand2square` of LLaVA's mm_utils.py.
 */
export function padToSquare(image: RgbImage, colour: RgbColour = CLIP_MEAN_COLOUR): RgbImage {
  checkRgbImage('padToSquare', image);
  checkColour(colour);
  const { width, height } = image;
  if (width === height) return image;

  const side = Math.max(width, height);
  if (side * side > LARGEST_RESULT_PIXELS) {
    throw new RangeError(
      `padToSquare: expected a square of at most ${LARGEST_RESULT_PIXELS / 1e6} megapixels, ` +
        `got ${side} x ${side} for an image of ${width} x ${height}`,
    );
  }
  const data = new Uint8Array(side * side * 3);
  data.set(colour);
  for (let filled = 3; filled < data.length; filled *= 2) data.copyWithin(filled, 0, filled);
  const square = { width: side, height: side, data };
  paste(image, square, Math.floor((side - width) / 2), Math.floor((side - height) / 2));
  return square;
}

/**
 * The picture resized (bicubic) so that its shorter edge is `edge` pixels long; the longer one becomes
 * trunc(edge · long / short). Throws RangeError for an edge below 1 and for a result beyond 150
 * megapixels. Equation: `get_resize_output_image_size` of transformers 4.37.
 */
export function resizeShortestEdge(image: RgbImage, edge: number): RgbImage {
  checkRgbImage('resizeShortestEdge', image);
  if (!isSide(edge)) {
    throw new RangeError(`resizeShortestEdge: expected an edge of at least 1 pixel, got ${edge}`);
  }
  const { width, height } = image;
  const longer = Math.trunc((edge * Math.max(width, height)) / Math.min(width, height));
  return width <= height ? resizeBicubic(image, edge, longer) : resizeBicubic(image, longer, edge);
}

/**
 * The middle `height` x `width` pixels. Where the picture is smaller than that, it lies on black; an odd
 * rest goes below or to the right. Throws RangeError for a side below 1. Equation: `center_crop` of
 * transformers 4.37, which returns one row or column too few when that rest is odd: we return all.
 */
export function centerCrop(image: RgbImage, height: number, width: number): RgbImage {
  checkRgbImage('centerCrop', image);
  if (!isSide(height) || !isSide(width)) {
    throw new RangeError(`centerCrop: expected sides of at least 1 pixel, got ${width} x ${height}`);
  }
  const cropped = { width, height, data: new Uint8Array(width * height * 3) };
  paste(image, cropped, cropOffset(image.width, width), cropOffset(image.height, height));
  return cropped;
}

// Where the first pixel of the picture lands in the crop; negative: that many are cut off.
function cropOffset(length: number, cropLength: number): number {
  return length >= cropLength
    ? -Math.floor((length - cropLength) / 2)
    : Math.floor((cropLength - length) / 2);
}

/** Copies what of `image` falls on `target` when its top left pixel lies at (left, top), in place. */
function paste(image: RgbImage, target: RgbImage, left: number, top: number): void {
  const firstColumn = Math.max(-left, 0);
  const endColumn = Math.min(image.width, target.width - left);
  const endRow = Math.min(image.height, target.height - top);
  for (let y = Math.max(-top, 0); y < endRow; y++) {
    const row = y * image.width;
    const pixels = image.data.subarray((row + firstColumn) * 3, (row + endColumn) * 3);
    target.data.set(pixels, ((top + y) * target.width + left + firstColumn) * 3);
  }
}

function checkColour(colour: RgbColour): void {
  const isByte = (value: number) => Number.isInteger(value) && value >= 0 && value <= 255;
  if (colour.length !== 3 || !colour.every(isByte)) {
    throw new RangeError(`padToSquare: expected a colour of three bytes, got (${colour.join(', ')})`);
  }
}
