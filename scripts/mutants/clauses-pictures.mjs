// Bugs between a picture file and its pixel values, that the tests of clauses catch. Numbers below 200 are those of the
// published list of bugs in ports.

const fit = 'src/models/preprocess/fit.ts';
const guard = ['spec/models/preprocess/image-guard.spec.ts'];
const pixels = 'src/models/preprocess/clip-pixels.ts';

const byPixels = [
  {
    id: 1,
    bug: 'red and blue are swapped',
    edits: [['image.data[i * 3 + channel]', 'image.data[i * 3 + 2 - channel]']],
  },
  {
    id: 2,
    bug: 'mean and deviation of ImageNet instead of CLIP',
    edits: [
      ['mean: [0.48145466, 0.4578275, 0.40821073],', 'mean: [0.485, 0.456, 0.406],'],
      ['std: [0.26862954, 0.26130258, 0.27577711],', 'std: [0.229, 0.224, 0.225],'],
    ],
  },
  {
    id: 3,
    bug: 'bytes are not divided by 255',
    edits: [['Math.fround(byte * config.rescaleFactor)', 'Math.fround(byte)']],
  },
  {
    id: 4,
    bug: 'rows and columns are swapped',
    edits: [
      [
        'image.data[i * 3 + channel]',
        'image.data[((i % image.width) * image.height + Math.floor(i / image.width)) * 3 + channel]',
      ],
    ],
  },
  {
    id: 2109,
    bug: 'the factor 1 / 255 is rounded to f32 before the product',
    edits: [
      ['Math.fround(byte * config.rescaleFactor)', 'Math.fround(byte * Math.fround(config.rescaleFactor))'],
    ],
  },
].map((mutant) => ({
  ...mutant,
  file: pixels,
  clauses: ['M-1.9'],
  specs: ['spec/models/preprocess/clip-pixels.spec.ts'],
}));

export const pictureClauseMutants = [
  ...byPixels,
  {
    id: 2101,
    bug: 'bytes beyond the last pixel are taken',
    file: 'src/models/preprocess/rgb-image.ts',
    edits: [['if (data.length !== width * height * 3) {', 'if (data.length < width * height * 3) {']],
    clauses: ['M-1.1'],
    specs: ['spec/models/preprocess/fit.spec.ts'],
  },
  {
    id: 2102,
    bug: 'a PNG is told by its first four bytes',
    file: 'src/models/preprocess/image-guard.ts',
    edits: [
      [
        'bytes.length >= signature.length && signature.every(',
        'bytes.length >= 4 && signature.slice(0, 4).every(',
      ],
    ],
    clauses: ['M-1.2'],
    specs: guard,
  },
  {
    id: 2103,
    bug: 'the CRC of IEND is not looked at',
    file: 'src/models/preprocess/png-chunks.ts',
    edits: [['if (view.getUint32(end) !== crc32(', "if (type !== 'IEND' && view.getUint32(end) !== crc32("]],
    clauses: ['M-1.3'],
    tests: 'a CRC that does not fit',
    specs: guard,
  },
  {
    id: 2153,
    bug: 'a palette behind the pixels is taken',
    file: 'src/models/preprocess/png-chunks.ts',
    edits: [["if (types.indexOf('PLTE') > firstData) {", "if (types.indexOf('PLTE') > types.length) {"]],
    clauses: ['M-1.3'],
    tests: 'chunks missing',
    specs: guard,
  },
  {
    id: 2163,
    bug: 'a second frame of a JPEG replaces the first',
    file: 'src/models/preprocess/jpeg-markers.ts',
    edits: [['if (frame !== undefined) {', 'if (frame !== undefined && scans.length > 1) {']],
    clauses: ['M-1.3'],
    tests: 'a second frame',
    specs: guard,
  },
  {
    id: 2173,
    bug: 'the last interval of a scan may be missing',
    file: 'src/models/preprocess/jpeg-scans.ts',
    edits: [['if (restarts < needed) {', 'if (restarts < needed - 1) {']],
    clauses: ['M-1.3'],
    tests: 'fewer restarts',
    specs: guard,
  },
  {
    id: 2104,
    bug: 'of 16 bits of grey the high byte is taken',
    file: 'src/models/preprocess/png-pixels.ts',
    edits: [
      [
        'data.fill(high > 0 ? 255 : (line[2 + 2 * x] as number), at, at + 3);',
        'data.fill(high, at, at + 3);',
      ],
    ],
    clauses: ['M-1.4'],
    specs: ['spec/models/preprocess/decode-image.spec.ts'],
  },
  {
    id: 2105,
    bug: 'columns are resized before rows',
    file: 'src/models/preprocess/resize.ts',
    edits: [
      [
        'const widened = width === image.width ? image : resizeRows(image, width);',
        'const widened = height === image.height ? image : resizeColumns(image, height);',
      ],
      [
        'return height === image.height ? widened : resizeColumns(widened, height);',
        'return width === image.width ? widened : resizeRows(widened, width);',
      ],
    ],
    clauses: ['M-1.5'],
    specs: ['spec/models/preprocess/resize.spec.ts'],
  },
  {
    id: 2155,
    bug: 'shrinking does not widen the kernel (no antialiasing)',
    file: 'src/models/preprocess/resize.ts',
    edits: [['const stretch = Math.max(ratio, 1);', 'const stretch = 1;']],
    clauses: ['M-1.5'],
    specs: ['spec/models/preprocess/resize.spec.ts'],
  },
  {
    id: 2106,
    bug: 'the larger half of the border stands above and to the left',
    file: fit,
    edits: [
      [
        'Math.floor((side - width) / 2), Math.floor((side - height) / 2)',
        'Math.ceil((side - width) / 2), Math.ceil((side - height) / 2)',
      ],
    ],
    clauses: ['M-1.6'],
    specs: ['spec/models/preprocess/fit.spec.ts'],
  },
  {
    id: 2107,
    bug: 'the longer side is rounded to the nearest pixel',
    file: fit,
    edits: [['Math.trunc((edge * Math.max(width, height))', 'Math.round((edge * Math.max(width, height))']],
    clauses: ['M-1.7'],
    specs: ['spec/models/preprocess/fit.spec.ts'],
  },
  {
    id: 2108,
    bug: 'the crop begins at the larger half of the rest',
    file: fit,
    edits: [['? -Math.floor((length - cropLength) / 2)', '? -Math.ceil((length - cropLength) / 2)']],
    clauses: ['M-1.8'],
    specs: ['spec/models/preprocess/fit.spec.ts'],
  },
  {
    id: 2110,
    bug: 'the border has the mean colour, rounded to the nearest byte',
    file: pixels,
    edits: [
      [
        '[Math.trunc(red * 255), Math.trunc(green * 255), Math.trunc(blue * 255)]',
        '[Math.round(red * 255), Math.round(green * 255), Math.round(blue * 255)]',
      ],
    ],
    clauses: ['M-1.10'],
    specs: ['spec/models/preprocess/clip-pixels.spec.ts'],
  },
];
