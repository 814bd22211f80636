// From the inflated bytes of a PNG to RGB (PNG, third edition, sections 7 to 9). SPEC M-1.3, M-1.4.
//
//     line     one filter byte, then a row of samples, packed from the high bit down
//     filter   byte = coded + predictor(left, above, above left)      modulo 256
//     Adam7    seven small pictures, each a grid of the whole; an empty one has no lines
//
// Samples become bytes as Pillow makes them: 1, 2 and 4 bits of grey are spread over 0..255, 16 bits per
// channel give their high byte, but 16 bits of grey alone are clipped at 255. Alpha is dropped, and an
// index beyond the palette is black.

import { FileError } from '../../tensor/errors.ts';
import type { PngFile, PngHeader } from './png-chunks.ts';
import { inflateExactly } from './png-inflate.ts';
import type { RgbImage } from './rgb-image.ts';

/**
 * The pixels of a PNG file in RGB. Lines are undone as they come out of the inflater, so that only the
 * result and two lines are held. Throws FileError for data that do not fit the header and for an unknown
 * filter.
 */
export async function decodePngPixels(png: PngFile, name: string): Promise<RgbImage> {
  const { width, height } = png.header;
  const image: RgbImage = { width, height, data: new Uint8Array(width * height * 3) };
  const grids = gridsOf(png.header);
  const expected = grids.reduce((sum, grid) => sum + grid.height * grid.lineBytes, 0);
  await inflateExactly(png.compressed, expected, name, lineWriter(png, grids, image, name));
  return image;
}

/** The pixels (left + i · stepX, top + j · stepY) of the picture, i < width, j < height. */
interface Grid {
  readonly left: number;
  readonly top: number;
  readonly stepX: number;
  readonly stepY: number;
  readonly width: number;
  readonly height: number;
  readonly lineBytes: number; // with the filter byte
}

// left, top, stepX, stepY of the seven passes
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

function gridsOf(header: PngHeader): Grid[] {
  const passes = header.interlaced ? ADAM7 : ([[0, 0, 1, 1]] as const);
  const grids = passes.map(([left, top, stepX, stepY]) => {
    const width = Math.ceil((header.width - left) / stepX);
    const height = Math.ceil((header.height - top) / stepY);
    const lineBytes = 1 + Math.ceil((width * bitsPerPixel(header)) / 8);
    return { left, top, stepX, stepY, width, height, lineBytes };
  });
  return grids.filter((grid) => grid.width > 0 && grid.height > 0);
}

const CHANNELS: { readonly [colourType: number]: number } = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

function bitsPerPixel({ colourType, bitDepth }: PngHeader): number {
  return (CHANNELS[colourType] as number) * bitDepth;
}

/** Takes the inflated bytes in pieces of any length, and writes each line into `image` once it is whole. */
function lineWriter(
  png: PngFile,
  grids: readonly Grid[],
  image: RgbImage,
  name: string,
): (piece: Uint8Array) => void {
  const lookBack = Math.ceil(bitsPerPixel(png.header) / 8);
  const writeSamples = sampleWriter(png);
  let gridIndex = 0;
  let grid = grids[0] as Grid;
  let y = 0;
  let filled = 0;
  let line = new Uint8Array(grid.lineBytes);
  let above = new Uint8Array(grid.lineBytes);

  function finishLine(): void {
    undoFilter(line, above, lookBack, name);
    const first = (grid.top + y * grid.stepY) * image.width + grid.left;
    writeSamples(line, grid.width, image.data, first * 3, grid.stepX * 3);
    [line, above] = [above, line];
    filled = 0;
    y++;
    if (y < grid.height || gridIndex + 1 === grids.length) return;
    grid = grids[++gridIndex] as Grid;
    y = 0;
    line = new Uint8Array(grid.lineBytes);
    above = new Uint8Array(grid.lineBytes);
  }

  return (piece) => {
    for (let at = 0; at < piece.length; ) {
      const count = Math.min(line.length - filled, piece.length - at);
      line.set(piece.subarray(at, at + count), filled);
      filled += count;
      at += count;
      if (filled === line.length) finishLine();
    }
  };
}

/** Section 9.2. `line` in place; both lines begin with their filter byte, `above` is undone already. */
function undoFilter(line: Uint8Array, above: Uint8Array, lookBack: number, name: string): void {
  const filter = line[0] as number;
  if (filter > 4) throw new FileError(`${name}: expected a PNG filter of 0 to 4, got ${filter}`);
  if (filter === 0) return;
  for (let i = 1; i < line.length; i++) {
    const left = i > lookBack ? (line[i - lookBack] as number) : 0;
    const up = above[i] as number;
    let predictor = left;
    if (filter === 2) predictor = up;
    else if (filter === 3) predictor = (left + up) >> 1;
    else if (filter === 4) predictor = paeth(left, up, i > lookBack ? (above[i - lookBack] as number) : 0);
    line[i] = (line[i] as number) + predictor;
  }
}

/** Section 9.4: whichever of the three lies nearest to left + up - upLeft; ties in that order. */
function paeth(left: number, up: number, upLeft: number): number {
  const toLeft = Math.abs(up - upLeft);
  const toUp = Math.abs(left - upLeft);
  const toUpLeft = Math.abs(left + up - 2 * upLeft);
  if (toLeft <= toUp && toLeft <= toUpLeft) return left;
  return toUp <= toUpLeft ? up : upLeft;
}

/** Writes `count` pixels of a line (samples from byte 1 on) to `data`, from `at` on, `step` bytes apart. */
type SampleWriter = (line: Uint8Array, count: number, data: Uint8Array, at: number, step: number) => void;

function sampleWriter(png: PngFile): SampleWriter {
  const { bitDepth, colourType } = png.header;
  if (colourType === 3) return writeFromTable(bitDepth, paletteTable(png.palette));
  if (colourType === 0) return bitDepth === 16 ? writeGrey16 : writeFromTable(bitDepth, greyTable(bitDepth));
  return writeChannels(CHANNELS[colourType] as number, bitDepth / 8);
}

function greyTable(bitDepth: number): Uint8Array {
  const step = 255 / (2 ** bitDepth - 1); // 255, 85, 17 or 1
  return Uint8Array.from({ length: 256 * 3 }, (_, i) => Math.floor(i / 3) * step);
}

function paletteTable(palette: Uint8Array): Uint8Array {
  const table = new Uint8Array(256 * 3);
  table.set(palette);
  return table;
}

function writeFromTable(bitDepth: number, table: Uint8Array): SampleWriter {
  const mask = 2 ** bitDepth - 1;
  return (line, count, data, at, step) => {
    for (let x = 0; x < count; x++, at += step) {
      const bit = x * bitDepth;
      const byte = line[1 + (bit >> 3)] as number;
      const sample = (byte >> (8 - bitDepth - (bit & 7))) & mask;
      data[at] = table[sample * 3] as number;
      data[at + 1] = table[sample * 3 + 1] as number;
      data[at + 2] = table[sample * 3 + 2] as number;
    }
  };
}

function writeGrey16(line: Uint8Array, count: number, data: Uint8Array, at: number, step: number): void {
  for (let x = 0; x < count; x++, at += step) {
    const high = line[1 + 2 * x] as number;
    data.fill(high > 0 ? 255 : (line[2 + 2 * x] as number), at, at + 3);
  }
}

// Of every sample the first byte: all of it at 8 bits, the high one at 16.
function writeChannels(channels: number, sampleBytes: number): SampleWriter {
  const [green, blue] = channels >= 3 ? [sampleBytes, 2 * sampleBytes] : [0, 0];
  return (line, count, data, at, step) => {
    for (let x = 0; x < count; x++, at += step) {
      const source = 1 + x * channels * sampleBytes;
      data[at] = line[source] as number;
      data[at + 1] = line[source + green] as number;
      data[at + 2] = line[source + blue] as number;
    }
  };
}
