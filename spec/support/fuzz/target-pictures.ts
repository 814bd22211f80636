// Pictures under tampering. SPEC T-1.3.

import { crc32, inflateSync } from 'node:zlib';
import { decodeImage } from '../../../src/models/index.ts';
import { goldenBytes } from '../../models/preprocess/picture-files.ts';
import { brokenJpegRule } from '../../oracle/jpeg-rules.ts';
import { brokenPngRule, type Inflate } from '../../oracle/png-rules.ts';
import type { Draw } from './draw.ts';
import type { Target } from './judge.ts';
import { mutateJpeg, mutatePng } from './mutate-pictures.ts';
import { keepsPicture } from './promises.ts';

export const inflate: Inflate = (bytes) => {
  try {
    const { buffer, engine } = inflateSync(bytes, { info: true }) as unknown as {
      readonly buffer: Uint8Array;
      readonly engine: { readonly bytesWritten: number };
    };
    return { data: buffer, consumed: engine.bytesWritten };
  } catch {
    return null;
  }
};

function pictureTarget(
  name: string,
  files: readonly string[],
  mutate: (draw: Draw, bytes: Uint8Array) => Uint8Array,
  broken: Target<Uint8Array>['broken'],
): Target<Uint8Array> {
  const pictures = files.map(goldenBytes);
  return {
    name,
    file: new RegExp(`^${name}: `),
    mutate: (draw) => mutate(draw, draw.pick(pictures)),
    read: async (bytes) => keepsPicture((await decodeImage(bytes, name)).image),
    broken,
  };
}

const pngs = [
  'rgb-8-interlaced',
  'palette-4',
  'grey-1-interlaced',
  'grey-16',
  'exif-3',
  'rgb-8-transparent',
  'interlaced-3x3',
];
const jpegs = [
  'one-pixel',
  'exif-6',
  'grey-progressive',
  '420-baseline',
  '420-progressive',
  'restart-intervals',
];

export const png: Target<Uint8Array> = pictureTarget(
  'a.png',
  pngs.map((name) => `${name}.png`),
  mutatePng,
  (bytes) => brokenPngRule(bytes, crc32, inflate),
);
export const jpeg: Target<Uint8Array> = pictureTarget(
  'a.jpg',
  jpegs.map((name) => `${name}.jpg`),
  mutateJpeg,
  brokenJpegRule,
);
