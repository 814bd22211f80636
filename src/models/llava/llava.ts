// LLaVA: a CLIP encoder, a projector, a Llama decoder. SPEC M-6.
//
//   B images   N tokens: CLS, then the patches   V visual tokens   C channels of the encoder   E channels of the decoder
//   T positions of the prompt with the picture in it

import {
  checkBudget,
  concat,
  dims,
  FileError,
  finish,
  type Gpu,
  gelu,
  indexTensor,
  type Linear,
  linear,
  lookup,
  reshape,
  slice,
  type Tensor,
  tensor,
  tidy,
} from '../../tensor/index.ts';
import type { ImageMode } from '../checkpoint/authors-config.ts';
import type { LlavaConfig } from '../checkpoint/config.ts';
import type { LlavaLayout } from '../checkpoint/layout.ts';
import { type LlavaSources, openLlavaSources, type VisionTowerFinder } from '../checkpoint/llava-sources.ts';
import type { ModelFiles } from '../checkpoint/model-files.ts';
import { type Upload, uploadFrom, type WeightType, weightBytes } from '../checkpoint/upload.ts';
import { type ClipEncoding, encodeClip } from '../clip/encoder.ts';
import { type ClipWeights, loadClipWeights } from '../clip/weights.ts';
import { type LlamaWeights, loadLlamaWeights } from '../llama/weights.ts';
import type { PixelValues, PreprocessorConfig } from '../preprocess/clip-pixels.ts';
import type { PromptIds, PromptTemplate } from '../tokenizer/prompt.ts';
import { loadTokenizer, type Tokenizer } from '../tokenizer/tokenizer.ts';

export interface ProjectorWeights {
  readonly linear1: Linear; // weight [E, C], bias [E]
  readonly linear2: Linear; // weight [E, E], bias [E]
}

/** What works on numbers alone. */
export interface LlavaModel {
  readonly gpu: Gpu;
  readonly config: LlavaConfig;
  readonly vision: ClipWeights; // the layers up to the one whose output is used, no more
  readonly projector: ProjectorWeights;
  readonly language: LlamaWeights;
}

/** A checkpoint: the model, and what turns pictures and words into its numbers. */
export interface Llava extends LlavaModel {
  readonly preprocessor: PreprocessorConfig;
  readonly imageMode: ImageMode; //     how the checkpoint wants pictures to become squares
  readonly template: PromptTemplate; // how it wants to be asked
  readonly tokenizer: Tokenizer;
}

export interface LoadOptions {
  /** What matrices are on the device; by default f16 where the file stores F16, otherwise f32. */
  readonly weights?: WeightType;
  /** Where the vision tower is that a checkpoint of the authors names; in Node, `(name) => findVisionTower(folder, name)`. */
  readonly visionTower?: VisionTowerFinder;
}

/**
 * Loads a LLaVA-1.5 in the layout of llava-hf or of its authors. Throws FileError, naming file and field or tensor, and
 * GpuError if memory does not suffice or the device is lost.
 * Configuration, tokenizer and all headers are checked before anything is put on the device, and what was put there is
 * freed if loading fails.
 */
export async function loadLlava(
  gpu: Gpu,
  files: ModelFiles,
  { weights = 'stored', visionTower }: LoadOptions = {},
): Promise<Llava> {
  const sources = await openLlavaSources(files, visionTower);
  try {
    const { config, preprocessor, imageMode, template } = sources;
    const tokenizer = await loadTokenizer(files);
    if (tokenizer.vocabSize > config.text.vocabSize) {
      const most = `${config.text.vocabSize} pieces, the vocab_size of config.json`;
      throw new FileError(
        `${files.where}: expected a tokenizer of at most ${most}, got ${tokenizer.vocabSize}`,
      );
    }
    return {
      gpu,
      config,
      preprocessor,
      imageMode,
      template,
      tokenizer,
      ...(await loadWeights(gpu, sources, weights)),
    };
  } finally {
    await sources.close();
  }
}

async function loadWeights(
  gpu: Gpu,
  sources: LlavaSources,
  weights: WeightType,
): Promise<Pick<LlavaModel, 'vision' | 'projector' | 'language'>> {
  const { config, checkpoint, tower, layout } = sources;
  checkBudget(gpu, neededBytes(sources, weights), `${checkpoint.where}: the weights`);
  const upload = uploadFrom(gpu, checkpoint, weights);
  const towerUpload = uploadFrom(gpu, tower, weights);
  try {
    const loaded = {
      vision: await loadClipWeights(towerUpload, layout.vision, config.vision, encoderLayerCount(config)),
      projector: await loadProjector(upload, layout.projector, config),
      language: await loadLlamaWeights(upload, layout.language, layout.languageHead, config.text),
    };
    await finish(gpu); // a device that was lost meanwhile shows here
    return loaded;
  } catch (error) {
    towerUpload.discard();
    upload.discard();
    throw error;
  }
}

/** The bytes of the model's weights on the device, without the encoder layers that are not run. */
function neededBytes({ config, checkpoint, tower, layout }: LlavaSources, weights: WeightType): number {
  const layers = `${layout.vision}.encoder.layers.`;
  const isRun = (name: string): boolean =>
    !name.startsWith(layers) || Number.parseInt(name.slice(layers.length), 10) < encoderLayerCount(config);
  const towerNames = [...tower.names].filter((name) => name.startsWith(`${layout.vision}.`) && isRun(name));
  const others = [layout.language, layout.languageHead, ...layout.projector];
  // The authors' language prefix is that of everything.
  const isOther = (name: string): boolean =>
    !name.startsWith(`${layout.vision}.`) && others.some((prefix) => name.startsWith(`${prefix}.`));
  const names = [...checkpoint.names].filter(isOther);
  return weightBytes(tower, towerNames, weights) + weightBytes(checkpoint, names, weights);
}

/** How many encoder layers lie before the hidden state that is used: −2 of 24 layers is the output of the 23rd. */
export function encoderLayerCount({ vision, visionFeatureLayer }: LlavaConfig): number {
  return visionFeatureLayer < 0 ? vision.layerCount + 1 + visionFeatureLayer : visionFeatureLayer;
}

/** Uploads the projector, whose layers have the names given. Throws FileError if a tensor is missing or of another shape. */
export async function loadProjector(
  upload: Upload,
  [linear1, linear2]: LlavaLayout['projector'],
  { vision, text }: LlavaConfig,
): Promise<ProjectorWeights> {
  return {
    linear1: await upload.biasedLinear(linear1, text.hiddenSize, vision.hiddenSize),
    linear2: await upload.biasedLinear(linear2, text.hiddenSize, text.hiddenSize),
  };
}

/** What the encoder sees in one picture: hidden states, CLS attention and keys of the layer that LLaVA uses. */
export function encodeImage(llava: LlavaModel, pixels: PixelValues): ClipEncoding {
  return tidy(llava.gpu, () => encodeClip(llava.vision, tensor(llava.gpu, pixels.data, pixels.shape)));
}

/** The tokens LLaVA takes without VisionZip: hiddenStates [B, N, C] → patches [B, N − 1, C]. SPEC M-6.2. */
export function patchTokens({ hiddenStates }: Pick<ClipEncoding, 'hiddenStates'>): Tensor {
  const { N } = dims(hiddenStates, 'hiddenStates [B, N, C]');
  return slice(hiddenStates, 1, 1, N); // [B, N − 1, C]
}

/** Visual tokens [B, V, C] → [B, V, E], each by itself: linear, exact GELU, linear. SPEC M-6.1. */
export function project({ gpu, projector }: LlavaModel, tokens: Tensor): Tensor {
  dims(tokens, 'tokens [B, V, C]');
  return tidy(gpu, () => linear(gelu(linear(tokens, projector.linear1)), projector.linear2)); // [B, V, E]
}

/**
 * Puts projected visual tokens [1, V, E] in the place of `<image>`: → [1, T, E]. Positions are those of the result,
 * 0 to T − 1, whatever was dropped. Throws ShapeError for tokens of another width or of several pictures, RangeError for a
 * token id that the model has not. SPEC M-6.3.
 */
export function splice({ gpu, language }: LlavaModel, prompt: PromptIds, projectedTokens: Tensor): Tensor {
  const { hiddenSize: E, vocabSize } = language.config;
  dims(projectedTokens, 'projectedTokens [one, V, E]', { one: 1, E });
  const unknown = [...prompt.before, ...prompt.after].find(
    (id) => !Number.isInteger(id) || id < 0 || id >= vocabSize,
  );
  if (unknown !== undefined)
    throw new RangeError(`splice: expected token ids below ${vocabSize}, got ${unknown}`);
  return tidy(gpu, () => {
    const before = embedTokens(language, gpu, prompt.before); // [1, T₁, E]
    const after = embedTokens(language, gpu, prompt.after); //   [1, T₂, E]
    return concat([before, projectedTokens, after], 1); //       [1, T, E]
  });
}

function embedTokens(
  { tokenEmbedding, config }: LlamaWeights,
  gpu: Gpu,
  tokenIds: readonly number[],
): Tensor {
  const ids = indexTensor(gpu, Uint32Array.from(tokenIds), [tokenIds.length]); // [T]
  const embeds = lookup(tokenEmbedding, ids); //                                  [T, E]
  return reshape(embeds, [1, tokenIds.length, config.hiddenSize]); //             [1, T, E]
}
