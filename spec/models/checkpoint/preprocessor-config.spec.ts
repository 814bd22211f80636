import { expect, it } from 'vitest';
import { modelDirectory } from '../../../src/models/checkpoint/model-directory.ts';
import { readPreprocessorConfig } from '../../../src/models/checkpoint/preprocessor-config.ts';
import type { PreprocessorConfig } from '../../../src/models/preprocess/clip-pixels.ts';
import { FileError } from '../../../src/tensor/errors.ts';
import { memoryFiles } from './memory-files.ts';

const read = (config: unknown, imageSize = 336): Promise<PreprocessorConfig> =>
  readPreprocessorConfig(memoryFiles({ 'preprocessor_config.json': config }), imageSize);
const base = { size: 336, crop_size: 336 };
const clip = {
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
  rescaleFactor: 1 / 255,
};

it('M-2.20 the embedded model has the pixels of CLIP at 336', async () => {
  const config = await readPreprocessorConfig(modelDirectory('golden/tiny-llava'), 336);
  expect(config).toEqual({ shortestEdge: 336, cropHeight: 336, cropWidth: 336, ...clip });
});

it('M-2.20 what is left out takes the defaults of CLIPImageProcessor', async () => {
  const expected = { shortestEdge: 224, cropHeight: 224, cropWidth: 224, ...clip };
  expect(await read({}, 224)).toEqual(expected);
  expect(await readPreprocessorConfig(memoryFiles({}), 224)).toEqual(expected);
  const elsewhere = memoryFiles({ 'processor_config.json': { processor_class: 'LlavaProcessor' } });
  expect(await readPreprocessorConfig(elsewhere, 224)).toEqual(expected);
});

it('M-2.20 sizes are read as numbers and by name, also from processor_config.json', async () => {
  const named = { size: { shortest_edge: 400 }, crop_size: { height: 336, width: 336 } };
  expect(await read({ size: 400, crop_size: 336 })).toEqual(await read(named));
  const nested = memoryFiles({ 'processor_config.json': { image_processor: named } });
  expect(await readPreprocessorConfig(nested, 336)).toEqual(await read(named));
});

const refused: readonly (readonly [string, object, RegExp])[] = [
  ['a crop that the tower does not take', { crop_size: 224 }, /crop_size: expected 336 x 336.*got 224/],
  ['a crop that is not square', { crop_size: { height: 336, width: 224 } }, /crop_size/],
  ['an edge below the crop', { size: 224 }, /size: expected at least/],
  ['a size with another key', { size: { longest_edge: 336 } }, /size/],
  ['a size of 10^6', { size: 1_000_000 }, /size/],
  ['no resize', { do_resize: false }, /do_resize: expected true, got false/],
  ['no crop', { do_center_crop: false }, /do_center_crop/],
  ['no rescaling', { do_rescale: false }, /do_rescale/],
  ['no normalisation', { do_normalize: false }, /do_normalize/],
  ['no RGB', { do_convert_rgb: false }, /do_convert_rgb/],
  ['bilinear resampling', { resample: 2 }, /resample: expected 3, got 2/],
  ['two means', { image_mean: [0.5, 0.5] }, /image_mean/],
  ['a mean of text', { image_mean: [0.5, 0.5, '0.5'] }, /image_mean\.2/],
  ['a std of 0', { image_std: [0.5, 0.5, 0] }, /image_std\.2/],
  ['another processor', { image_processor_type: 'SiglipImageProcessor' }, /image_processor_type/],
];
it.each(refused)('M-2.21 %s is refused, naming the field', async (_, change, message) => {
  await expect(read(base)).resolves.toBeDefined();
  await expect(read({ ...base, ...change })).rejects.toThrow(FileError);
  await expect(read({ ...base, ...change })).rejects.toThrow(message);
});

it('M-2.19 a list in the place of the settings is refused, not taken for defaults', async () => {
  await expect(read([] as object)).rejects.toThrow(/expected an object, got \[\]/);
});
