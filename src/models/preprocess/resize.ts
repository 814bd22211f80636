// Bicubic resize with antialiasing, to the bit as Pillow does it on 8-bit pictures. SPEC M-1.5.
//
//     kernel    k(x) = 1.5|x|³ − 2.5|x|² + 1            for |x| < 1
//               k(x) = −0.5|x|³ + 2.5|x|² − 4|x| + 2    for 1 ≤ |x| < 2     (Keys, a = −0.5), else 0
//     output i  sees the input around centre c = (i + 0.5) · r, r = inputLength / outputLength,
//               through k((j + 0.5 − c) / max(r, 1)); its weights are divided by their sum
//
// Weights are rounded to whole multiples of 2⁻²², sums are whole numbers, and the sum is rounded and
// clipped to 0..255 after each pass. The horizontal pass comes first. A pass along a side that keeps
// its length is left out.

import { checkRgbImage, isSide, type RgbImage } from './rgb-image.ts';

const FRACTION_BITS = 22;
const ONE = 1 << FRACTION_BITS;
const HALF = 1 << (FRACTION_BITS - 1);
const KERNEL_RADIUS = 2;

/** Larger results are refused: a thin strip would otherwise grow into gigabytes. */
export const LARGEST_RESULT_PIXELS = 150_000_000;

/**
 * The picture in `width` x `height` pixels, bit-equal to Pillow's `resize((width, height), BICUBIC)` on
 * RGB. Throws RangeError for a side that is not a whole number >= 1 and for a result, or the picture
 * between the two passes, beyond 150 megapixels.
 */
export function resizeBicubic(image: RgbImage, width: number, height: number): RgbImage {
  checkRgbImage('resizeBicubic', image);
  if (!isSide(width) || !isSide(height)) {
    throw new RangeError(`resizeBicubic: expected sides of at least 1 pixel, got ${width} x ${height}`);
  }
  if (width * Math.max(height, image.height) > LARGEST_RESULT_PIXELS) {
    throw new RangeError(
      `resizeBicubic: expected at most ${LARGEST_RESULT_PIXELS / 1e6} megapixels, ` +
        `got ${image.width} x ${image.height} to ${width} x ${height}`,
    );
  }
  const widened = width === image.width ? image : resizeRows(image, width);
  return height === image.height ? widened : resizeColumns(widened, height);
}

/** What one output position along an axis is made of: `count` weights, from input position `first` on. */
interface Taps {
  readonly first: number;
  readonly weights: Int32Array; // [count]  multiples of 2⁻²²
}

function resizeRows(image: RgbImage, width: number): RgbImage {
  const { height, data } = image;
  const taps = bicubicTaps(image.width, width);
  const resized = new Uint8Array(width * height * 3);
  let at = 0;
  for (let y = 0; y < height; y++) {
    for (const { first, weights } of taps) {
      let source = (y * image.width + first) * 3;
      let [red, green, blue] = [HALF, HALF, HALF];
      for (let k = 0; k < weights.length; k++) {
        const weight = weights[k] as number;
        red += weight * (data[source++] as number);
        green += weight * (data[source++] as number);
        blue += weight * (data[source++] as number);
      }
      resized[at++] = roundedByte(red);
      resized[at++] = roundedByte(green);
      resized[at++] = roundedByte(blue);
    }
  }
  return { width, height, data: resized };
}

function resizeColumns(image: RgbImage, height: number): RgbImage {
  const { width, data } = image;
  const rowLength = width * 3;
  const resized = new Uint8Array(rowLength * height);
  // One row of sums, filled input row by input row, so that memory is read in the order it lies.
  const sums = new Int32Array(rowLength);
  bicubicTaps(image.height, height).forEach(({ first, weights }, y) => {
    sums.fill(HALF);
    weights.forEach((weight, k) => {
      const source = (first + k) * rowLength;
      for (let x = 0; x < rowLength; x++) {
        sums[x] = (sums[x] as number) + weight * (data[source + x] as number);
      }
    });
    for (let x = 0; x < rowLength; x++) resized[y * rowLength + x] = roundedByte(sums[x] as number);
  });
  return { width, height, data: resized };
}

function bicubicTaps(inputLength: number, outputLength: number): Taps[] {
  const ratio = inputLength / outputLength;
  const stretch = Math.max(ratio, 1); // shrinking widens the kernel, enlarging does not narrow it
  const radius = KERNEL_RADIUS * stretch;
  return Array.from({ length: outputLength }, (_, i) => {
    const centre = (i + 0.5) * ratio;
    const first = Math.max(Math.trunc(centre - radius + 0.5), 0);
    const end = Math.min(Math.trunc(centre + radius + 0.5), inputLength);
    const reals = Array.from({ length: end - first }, (_, k) =>
      bicubicKernel((k + first - centre + 0.5) * (1 / stretch)),
    );
    const sum = reals.reduce((total, real) => total + real, 0);
    return { first, weights: Int32Array.from(reals, (real) => fixedPoint(real / sum)) };
  });
}

// The order of operations decides the last bit, so it is part of the definition.
function bicubicKernel(x: number): number {
  const distance = Math.abs(x);
  if (distance < 1) return (1.5 * distance - 2.5) * distance * distance + 1;
  if (distance < 2) return (((distance - 5) * distance + 8) * distance - 4) * -0.5;
  return 0;
}

/** Half away from zero. */
function fixedPoint(real: number): number {
  return Math.trunc(real * ONE + (real < 0 ? -0.5 : 0.5));
}

function roundedByte(sum: number): number {
  return Math.min(Math.max(sum >> FRACTION_BITS, 0), 255);
}
