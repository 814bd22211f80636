// preprocessor_config.json: how an image becomes pixel values. SPEC M-2.20, M-2.21.
//
// The defaults are those of CLIPImageProcessor (transformers 4.37). Every step of it is always done:
// a file that turns one off is refused, since the model was not made for such pixels.

import * as v from 'valibot';
import { FileError } from '../../tensor/errors.ts';
import { CLIP_336, type PreprocessorConfig } from '../preprocess/clip-pixels.ts';
import { type ModelFiles, readJson, sizeCaps } from './model-files.ts';
import { checkSchema, object, only, positiveNumber, wholeNumber } from './schema.ts';

const edge = wholeNumber(1, 4096);
const channel = v.pipe(v.number(), v.finite());
const done = v.optional(only(true), true);
const processorNames = ['CLIPImageProcessor', 'CLIPImageProcessorFast', 'CLIPFeatureExtractor'] as const;
const bicubic = 3;

const { mean: clipMean, std: clipStd } = CLIP_336;

const schema = object({
  image_processor_type: v.nullish(v.picklist(processorNames)),
  size: v.optional(v.union([edge, v.strictObject({ shortest_edge: edge })]), 224),
  crop_size: v.optional(v.union([edge, v.strictObject({ height: edge, width: edge })]), 224),
  image_mean: v.nullish(v.strictTuple([channel, channel, channel])),
  image_std: v.nullish(v.strictTuple([positiveNumber(1e6), positiveNumber(1e6), positiveNumber(1e6)])),
  rescale_factor: v.optional(positiveNumber(1), 1 / 255),
  resample: v.optional(only(bicubic), bicubic),
  do_resize: done,
  do_center_crop: done,
  do_rescale: done,
  do_normalize: done,
  do_convert_rgb: v.nullish(only(true)),
});

/**
 * Reads preprocessor_config.json, or `image_processor` of processor_config.json, or takes the
 * defaults. Throws FileError, also if the crop is not the `imageSize` that the vision tower takes.
 */
export async function readPreprocessorConfig(
  files: ModelFiles,
  imageSize: number,
): Promise<PreprocessorConfig> {
  const { who, json } = await find(files);
  const raw = checkSchema(who, schema, json);
  const shortestEdge = typeof raw.size === 'number' ? raw.size : raw.size.shortest_edge;
  const crop = typeof raw.crop_size === 'number' ? square(raw.crop_size) : raw.crop_size;
  if (crop.height !== imageSize || crop.width !== imageSize) {
    const expected = `${imageSize} x ${imageSize}, the image_size of vision_config`;
    throw new FileError(`${who} crop_size: expected ${expected}, got ${crop.height} x ${crop.width}`);
  }
  if (shortestEdge < imageSize) {
    throw new FileError(`${who} size: expected at least the crop_size ${imageSize}, got ${shortestEdge}`);
  }
  return {
    shortestEdge,
    cropHeight: crop.height,
    cropWidth: crop.width,
    mean: raw.image_mean ?? clipMean,
    std: raw.image_std ?? clipStd,
    rescaleFactor: raw.rescale_factor,
  };
}

async function find(files: ModelFiles): Promise<{ who: string; json: unknown }> {
  const name = 'preprocessor_config.json';
  if (await files.has(name)) {
    return { who: `${files.where}/${name}`, json: await readJson(files, name, sizeCaps.config) };
  }
  const newName = 'processor_config.json';
  const who = `${files.where}/${newName} image_processor`;
  if (await files.has(newName)) {
    const json = await readJson(files, newName, sizeCaps.config);
    const { image_processor } = checkSchema(who, object({ image_processor: v.optional(v.unknown()) }), json);
    if (image_processor !== undefined) return { who, json: image_processor };
  }
  return { who: `${files.where}/${name} (absent: defaults)`, json: {} };
}

function square(length: number): { height: number; width: number } {
  return { height: length, width: length };
}
