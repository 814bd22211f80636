// Pictures for the specs of preprocess: the golden ones, and PNG files put together chunk by chunk.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import type { RgbImage } from '../../../src/models/preprocess/rgb-image.ts';

const golden = 'golden/preprocess';

export function goldenBytes(file: string): Uint8Array {
  return new Uint8Array(readFileSync(join(golden, file)));
}

export interface GoldenConfig {
  readonly size: { readonly shortest_edge: number };
  readonly crop_size: { readonly height: number; readonly width: number };
  readonly image_mean: readonly [number, number, number];
  readonly image_std: readonly [number, number, number];
}

export interface GoldenManifest {
  readonly configs: { readonly [name: string]: GoldenConfig };
  readonly decode: readonly {
    readonly name: string;
    readonly pillowMode: string;
    readonly width: number;
    readonly height: number;
    readonly exifOrientation: number;
    readonly rgbSha256: string;
  }[];
  readonly embedded: readonly { readonly path: string; readonly rgbSha256: string }[];
  readonly resize: readonly {
    readonly input: string;
    readonly width: number;
    readonly height: number;
    readonly rgbSha256: string;
    readonly rgb?: string;
  }[];
  readonly pixelValues: readonly {
    readonly input: string;
    readonly config: string;
    readonly mode: 'pad' | 'crop';
    readonly shape: readonly number[];
    readonly f32Sha256: string;
    readonly f32?: string;
  }[];
}

export const manifest: GoldenManifest = JSON.parse(readFileSync(join(golden, 'manifest.json'), 'utf8'));

export function sha256(data: Uint8Array | Float32Array): string {
  return createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex');
}

/** `data` beginning at an odd place of a larger buffer: offsets must be honoured. */
export function shifted(data: Uint8Array): Uint8Array {
  const larger = new Uint8Array(data.length + 9);
  larger.set(data, 5);
  return larger.subarray(5, 5 + data.length);
}

export interface PngPart {
  readonly type: string;
  readonly data: Uint8Array;
}

export function pngFile(parts: readonly PngPart[]): Uint8Array {
  return joined([Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a), ...parts.map(pngChunk)]);
}

function pngChunk({ type, data }: PngPart): Uint8Array {
  const chunk = new Uint8Array(12 + data.length);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, data.length);
  chunk.set(latin1(type), 4);
  chunk.set(data, 8);
  view.setUint32(8 + data.length, crc32(chunk.subarray(4, 8 + data.length)));
  return chunk;
}

export interface HeaderFields {
  readonly width?: number;
  readonly height?: number;
  readonly bitDepth?: number;
  readonly colourType?: number;
  readonly compression?: number;
  readonly filter?: number;
  readonly interlace?: number;
}

/** IHDR; by default of a picture of 2 x 2 in 8-bit RGB. */
export function header(fields: HeaderFields = {}): PngPart {
  const data = new Uint8Array(13);
  const view = new DataView(data.buffer);
  view.setUint32(0, fields.width ?? 2);
  view.setUint32(4, fields.height ?? 2);
  data.set([fields.bitDepth ?? 8, fields.colourType ?? 2], 8);
  data.set([fields.compression ?? 0, fields.filter ?? 0, fields.interlace ?? 0], 10);
  return { type: 'IHDR', data };
}

export function part(type: string, data: Uint8Array | readonly number[] = []): PngPart {
  return { type, data: Uint8Array.from(data) };
}

/** IDAT with the lines of a picture, filter bytes included. */
export function imageData(lines: Uint8Array | readonly number[]): PngPart {
  return part('IDAT', deflateSync(Uint8Array.from(lines)));
}

export const SMALL_LINES: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 10, 11, 12];

export function smallPng(): Uint8Array {
  return pngFile([header(), imageData(SMALL_LINES), part('IEND')]);
}

export function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

export function joined(parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((bytes) => Array.from(bytes)));
}

/** `bytes` with `replacement` written over it from `at` on. */
export function patched(bytes: Uint8Array, at: number, replacement: readonly number[]): Uint8Array {
  const copy = bytes.slice();
  copy.set(replacement, at);
  return copy;
}

export function image(width: number, height: number, data: Uint8Array): RgbImage {
  return { width, height, data };
}
