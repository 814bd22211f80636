// From a picture to the numbers the vision tower takes. SPEC M-1.9, M-1.10.
//
//     value = (byte · rescaleFactor − mean) / std      per channel
//
// To the bit as transformers' CLIPImageProcessor computes it: the product in f64 rounded once to f32,
// then an f32 subtraction and an f32 division by the f32 mean and std.

import { centerCrop, padToSquare, type RgbColour, resizeShortestEdge } from './fit.ts';
import type { RgbImage } from './rgb-image.ts';

/** The fields of preprocessor_config.json that decide the pixels. */
export interface PreprocessorConfig {
  readonly shortestEdge: number; //  size.shortest_edge, pixels
  readonly cropHeight: number; //    crop_size.height, pixels
  readonly cropWidth: number; //     crop_size.width, pixels
  readonly rescaleFactor: number; // 1 / 255
  readonly mean: readonly [red: number, green: number, blue: number]; // image_mean, of values in 0..1
  readonly std: readonly [red: number, green: number, blue: number]; //  image_std
}

export interface PixelValues {
  readonly shape: readonly [1, 3, number, number]; // [1, 3, height, width]
  readonly data: Float32Array;
}

/** CLIP ViT-L/14 at 336 pixels, the tower of LLaVA-1.5. */
export const CLIP_336: PreprocessorConfig = {
  shortestEdge: 336,
  cropHeight: 336,
  cropWidth: 336,
  rescaleFactor: 1 / 255,
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
};

/**
 * Pixel values [1, 3, cropHeight, cropWidth] as LLaVA-1.5 makes them (`image_aspect_ratio: pad`): the
 * whole picture on a square of the mean colour, then as `preprocessCrop`. Throws RangeError for a config
 * out of range and for a picture whose square is beyond 150 megapixels.
 */
export function preprocessPad(image: RgbImage, config: PreprocessorConfig = CLIP_336): PixelValues {
  checkConfig('preprocessPad', config);
  return fitAndNormalize(padToSquare(image, meanColour(config)), config);
}

/**
 * Pixel values [1, 3, cropHeight, cropWidth] as transformers' CLIPImageProcessor makes them by default:
 * shortest edge, centre crop, rescale, normalise. Throws RangeError for a config out of range and for a
 * picture that grows beyond 150 megapixels.
 */
export function preprocessCrop(image: RgbImage, config: PreprocessorConfig = CLIP_336): PixelValues {
  checkConfig('preprocessCrop', config);
  return fitAndNormalize(image, config);
}

function fitAndNormalize(image: RgbImage, config: PreprocessorConfig): PixelValues {
  const resized = resizeShortestEdge(image, config.shortestEdge);
  return normalizePixels(centerCrop(resized, config.cropHeight, config.cropWidth), config);
}

function normalizePixels(image: RgbImage, config: PreprocessorConfig): PixelValues {
  const planeLength = image.height * image.width;
  const data = new Float32Array(3 * planeLength);
  for (let channel = 0; channel < 3; channel++) {
    const values = channelValues(channel, config);
    for (let i = 0; i < planeLength; i++) {
      data[channel * planeLength + i] = values[image.data[i * 3 + channel] as number] as number;
    }
  }
  return { shape: [1, 3, image.height, image.width], data };
}

/** The value of each of the 256 bytes in one channel. */
function channelValues(channel: number, config: PreprocessorConfig): Float32Array {
  const mean = Math.fround(config.mean[channel] as number);
  const std = Math.fround(config.std[channel] as number);
  return Float32Array.from({ length: 256 }, (_, byte) => {
    const rescaled = Math.fround(byte * config.rescaleFactor);
    return Math.fround(rescaled - mean) / std;
  });
}

function meanColour(config: PreprocessorConfig): RgbColour {
  const [red, green, blue] = config.mean;
  return [Math.trunc(red * 255), Math.trunc(green * 255), Math.trunc(blue * 255)];
}

function checkConfig(who: string, config: PreprocessorConfig): void {
  const { rescaleFactor, mean, std } = config;
  if (!Number.isFinite(rescaleFactor)) {
    throw new RangeError(`${who}: expected a finite rescaleFactor, got ${rescaleFactor}`);
  }
  if (mean.length !== 3 || !mean.every(Number.isFinite)) {
    throw new RangeError(`${who}: expected a mean of three finite numbers, got [${mean.join(', ')}]`);
  }
  if (std.length !== 3 || !std.every((value) => Number.isFinite(value) && Math.fround(value) > 0)) {
    throw new RangeError(`${who}: expected a std of three numbers above 0, got [${std.join(', ')}]`);
  }
}
