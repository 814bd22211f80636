// Compares the preprocessing with Pillow and transformers on random pictures: `npm run build`, then
//
//     VENV/bin/python scripts/export-golden/preprocess.py --random 200 FOLDER
//     node scripts/preprocess-compare.mjs FOLDER
//
// Every picture of FOLDER/manifest.json is decoded from its file, preprocessed, and compared value by value, to the bit. SPEC M-1.4,
// M-1.9, M-1.10. Ends with 1 if any differ.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeImage, preprocessCrop, preprocessPad } from '../dist/models.js';
import { optionsOf, refuse } from './options.mjs';

const [folder] = optionsOf('preprocess-compare', { allowPositionals: true }).positionals;
if (folder === undefined || !existsSync(join(folder, 'manifest.json'))) {
  refuse(
    'preprocess-compare',
    `expected the folder that preprocess.py --random wrote, got ${folder ?? 'nothing'}.`,
  );
}
const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
const pictures = new Set();
let compared = 0;
let differing = 0;
for (const golden of manifest.pixelValues) {
  const { image } = await decodeImage(readFileSync(join(folder, golden.input)), golden.input);
  const preprocess = golden.mode === 'pad' ? preprocessPad : preprocessCrop;
  const values = preprocess(image, configOf(manifest.configs[golden.config]));
  const expected = readFileSync(join(folder, golden.f32));
  const different = differingWords(values.data, expected);
  if (different > 0 || values.shape.join() !== golden.shape.join()) {
    console.log(
      `${golden.input} ${golden.config} ${golden.mode}: ${different} of ${values.data.length} values differ`,
    );
  }
  pictures.add(golden.input);
  compared += values.data.length;
  differing += different;
}
const { pillow, transformers } = manifest.provenance;
console.log(
  `Pillow ${pillow}, transformers ${transformers}: ${differing} of ${compared} values differ, ${pictures.size} pictures`,
);
process.exitCode = differing === 0 ? 0 : 1;

function configOf({ size, crop_size, image_mean, image_std }) {
  return {
    shortestEdge: size.shortest_edge,
    cropHeight: crop_size.height,
    cropWidth: crop_size.width,
    rescaleFactor: 1 / 255,
    mean: image_mean,
    std: image_std,
  };
}

/** How many of the f32 differ in their bits; all, if there are more or fewer. */
function differingWords(values, bytes) {
  if (bytes.length !== values.byteLength) return values.length;
  const ours = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return ours.reduce((sum, word, i) => sum + (word === bytes.readUInt32LE(4 * i) ? 0 : 1), 0);
}
