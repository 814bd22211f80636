// The markers of a JPEG file, walked strictly up to the end of image (ITU-T T.81 annex B). SPEC M-1.3.
//
//     file      FFD8, segment..., FFD9         segment   FF, code, length u16 with itself, data
//     after a scan header (SOS): entropy-coded bytes, where FF00 is a byte FF and FFD0..FFD7 are restarts
//
// The walk refuses what the decoder would have to guess at. Whether the bytes of an interval suffice only
// the decoder can tell: see jpeg-wasm.ts. What follows FFD9 (a second picture, a maker's data) is not read.

import { FileError } from '../../tensor/errors.ts';
import { exifOrientation, UPRIGHT } from './exif.ts';
import { checkImageSides } from './image-guard.ts';
import {
  type Component,
  checkCoverage,
  checkRestarts,
  checkScanCount,
  type Frame,
  readScanHeader,
  type Scan,
} from './jpeg-scans.ts';

export interface JpegFile {
  readonly width: number;
  readonly height: number;
  readonly exifOrientation: number;
  readonly bytes: Uint8Array; // from FFD8 to FFD9
}

const START_OF_IMAGE = 0xd8;
const END_OF_IMAGE = 0xd9;
const START_OF_SCAN = 0xda;
const RESTART_INTERVAL = 0xdd;
const EXIF_SEGMENT = 0xe1;

/**
 * Walks a file that begins with FFD8. Throws FileError for a file that ends before FFD9 or has bytes
 * between its segments, a missing or second frame, scans that are missing or too many (jpeg-scans.ts), a
 * side of zero, more than 50 megapixels, and for what is not decoded: arithmetic coding, lossless and
 * hierarchical files, 12 bits, CMYK and YCCK.
 */
export function readJpegFile(bytes: Uint8Array, name: string): JpegFile {
  let frame: Frame | undefined;
  let orientation = UPRIGHT;
  let interval = 0; // of restarts, in units of a scan
  const scans: Scan[] = [];
  let at = 2;
  for (;;) {
    const { code, data, end } = readSegment(bytes, at, name);
    at = end;
    if (code === END_OF_IMAGE) break;
    if (isFrame(code)) {
      if (frame !== undefined) {
        throw new FileError(`${name}: expected one frame (SOF) in a JPEG, got a second`);
      }
      frame = readFrame(code, data, name);
    } else if (code === EXIF_SEGMENT && isExif(data)) {
      orientation = exifOrientation(data.subarray(6));
    } else if (code === RESTART_INTERVAL) {
      interval = ((data[0] ?? 0) << 8) | (data[1] ?? 0);
    } else if (code === START_OF_SCAN) {
      if (frame === undefined) {
        throw new FileError(`${name}: expected a frame (SOF) before the first scan, got none`);
      }
      const { end, restarts } = readEntropy(bytes, at);
      scans.push({ header: readScanHeader(data, frame, name), interval, restarts });
      checkScanCount(scans.length, frame, name);
      at = end;
    }
  }
  if (frame === undefined || scans.length === 0) {
    throw new FileError(`${name}: expected a frame (SOF) and a scan (SOS) in a JPEG, got none`);
  }
  checkCoverage(scans, frame, name);
  checkRestarts(scans, frame, name);
  return {
    width: frame.width,
    height: frame.height,
    exifOrientation: orientation,
    bytes: bytes.subarray(0, at),
  };
}

interface Segment {
  readonly code: number;
  readonly data: Uint8Array;
  readonly end: number; // where the next one begins
}

function readSegment(bytes: Uint8Array, start: number, name: string): Segment {
  if (start >= bytes.length) throw cutOff(name, start);
  if (bytes[start] !== 0xff) {
    throw new FileError(`${name}: expected a JPEG marker at byte ${start}, got other data`);
  }
  let at = start;
  while (bytes[at] === 0xff) at++; // any number of FF may stand before the code
  const code = bytes[at++];
  if (code === undefined) throw cutOff(name, start);
  if (code === END_OF_IMAGE) return { code, data: new Uint8Array(0), end: at };
  if (code === START_OF_IMAGE || code < 0xc0 || (code >= 0xd0 && code <= 0xd7)) {
    throw new FileError(`${name}: expected a JPEG segment at byte ${start}, got marker ${hex(code)}`);
  }
  const length = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  if (at + Math.max(length, 2) > bytes.length) throw cutOff(name, start);
  if (length < 2) {
    throw new FileError(
      `${name}: expected a JPEG segment of at least 2 bytes at byte ${start}, got ${length}`,
    );
  }
  return { code, data: bytes.subarray(at + 2, at + length), end: at + length };
}

/** Where, from `at` on, a marker other than a restart begins, or the end of the file; and the restarts up to there. */
function readEntropy(bytes: Uint8Array, at: number): { readonly end: number; readonly restarts: number } {
  let restarts = 0;
  for (let i = bytes.indexOf(0xff, at); i >= 0; i = bytes.indexOf(0xff, i)) {
    const start = i++;
    while (bytes[i] === 0xff) i++;
    const code = bytes[i++] ?? 0;
    const isCodedByte = code === 0 && i === start + 2; // FF FF 00 is neither: decoders disagree on it
    const isRestart = code >= 0xd0 && code <= 0xd7;
    if (!isCodedByte && !isRestart) return { end: start, restarts };
    if (isRestart) restarts++;
  }
  return { end: bytes.length, restarts };
}

// C0..CF are frames, but for DHT, JPG and DAC.
function isFrame(code: number): boolean {
  return code >= 0xc0 && code <= 0xcf && code !== 0xc4 && code !== 0xc8;
}

function readFrame(code: number, data: Uint8Array, name: string): Frame {
  if (code > 0xc8) {
    throw new FileError(`${name}: expected a JPEG with Huffman coding, got arithmetic coding (${hex(code)})`);
  }
  if (code > 0xc2) {
    throw new FileError(
      `${name}: expected a baseline or progressive JPEG, got a lossless or hierarchical one (${hex(code)})`,
    );
  }
  const [precision = 0, high = 0, low = 0, wideHigh = 0, wideLow = 0, count = 0] = data;
  if (data.length < 6 || data.length !== 6 + 3 * count) {
    throw new FileError(`${name}: expected ${6 + 3 * count} bytes of frame (SOF), got ${data.length}`);
  }
  if (precision !== 8) throw new FileError(`${name}: expected a JPEG of 8 bits per sample, got ${precision}`);
  if (count === 4) {
    throw new FileError(`${name}: expected a grey or colour JPEG, got CMYK or YCCK (4 components)`);
  }
  if (count !== 1 && count !== 3) {
    throw new FileError(`${name}: expected a JPEG of 1 or 3 components, got ${count}`);
  }
  const [height, width] = [(high << 8) | low, (wideHigh << 8) | wideLow];
  checkImageSides(width, height, name);
  const components: Component[] = Array.from({ length: count }, (_, i) => {
    const [id = 0, sampling = 0] = data.subarray(6 + 3 * i);
    return { id, h: sampling >> 4, v: sampling & 15 };
  });
  return { width, height, progressive: code === 0xc2, components };
}

function isExif(data: Uint8Array): boolean {
  return String.fromCharCode(...data.subarray(0, 6)) === 'Exif\0\0';
}

function cutOff(name: string, at: number): FileError {
  return new FileError(
    `${name}: expected a JPEG up to its end marker (FFD9), got one cut off after byte ${at}`,
  );
}

function hex(code: number): string {
  return `FF${code.toString(16).toUpperCase().padStart(2, '0')}`;
}
