// The stages of an answer, each timed by itself. Measuring waits for the device behind each stage; behind the zip eight
// bytes are read back: whether the scores are finite.

import {
  type ClipEncoding,
  type DecodeOptions,
  decode,
  encodeImage,
  type Llava,
  type PixelValues,
  type Prefill,
  type PromptIds,
  patchTokens,
  prefill,
  project,
  type RgbImage,
  splice,
} from '../models/index.ts';
import { dims, dispose, finish, type Gpu, type Tensor, tidy } from '../tensor/index.ts';
import {
  checkVisionZipOptions,
  expectFiniteScores,
  type VisionZipResult,
  visionZip,
} from '../visionzip/index.ts';
import type { ChosenBudget } from './budget-options.ts';
import { type ImageMode, preprocess } from './picture.ts';

export interface Timed<T> {
  readonly value: T;
  readonly ms: number;
}

/** Runs `block` and waits until the device has done it. What it returns outlives it, the rest is freed. */
export async function timed<T>(gpu: Gpu, block: () => T): Promise<Timed<T>> {
  const start = performance.now();
  const value = tidy(gpu, block);
  await finish(gpu);
  return { value, ms: performance.now() - start };
}

/** What all questions and budgets share. */
export interface EncodedPicture {
  readonly pixels: PixelValues;
  readonly encoding: ClipEncoding;
  readonly preprocessMs: number;
  readonly encodeMs: number;
}

export async function encodePicture(llava: Llava, image: RgbImage, mode: ImageMode): Promise<EncodedPicture> {
  const start = performance.now();
  const pixels = preprocess(image, mode, llava.preprocessor);
  const preprocessMs = performance.now() - start;
  const { value: encoding, ms: encodeMs } = await timed(llava.gpu, () => encodeImage(llava, pixels));
  return { pixels, encoding, preprocessMs, encodeMs };
}

/** What all questions of one budget share. */
export interface VisualTokens {
  readonly budget: ChosenBudget;
  readonly zip: VisionZipResult | null;
  readonly tokens: Tensor; //          [1, V, C]
  readonly projectedTokens: Tensor; // [1, V, E]
  readonly count: number; //           V
  readonly zipMs: number;
  readonly projectMs: number;
}

/** Throws RangeError for scores that are not finite (VZ-2.7), which are read behind the zip, outside of its time. */
export async function reduceTokens(
  llava: Llava,
  encoding: ClipEncoding,
  budget: ChosenBudget,
): Promise<VisualTokens> {
  const { gpu } = llava;
  const zipped = await timed(gpu, () => (budget === null ? null : visionZip(encoding, budget)));
  if (zipped.value !== null) await finiteOrFreed(zipped.value);
  const tokens = zipped.value?.tokens ?? patchTokens(encoding); //            [1, V, C]
  const projected = await timed(gpu, () => project(llava, tokens)); //        [1, V, E]
  const { V } = dims(tokens, 'tokens [B, V, C]');
  return {
    budget,
    zip: zipped.value,
    tokens,
    projectedTokens: projected.value,
    count: V,
    zipMs: zipped.ms,
    projectMs: projected.ms,
  };
}

async function finiteOrFreed(zip: VisionZipResult): Promise<void> {
  try {
    await expectFiniteScores(zip);
  } catch (error) {
    dispose(zip);
    throw error;
  }
}

/** Throws RangeError, before any work is done, for a budget that the model's number of tokens does not allow. */
export function checkBudgets(llava: Llava, budgets: readonly ChosenBudget[]): void {
  const N = llava.vision.positionEmbedding.shape[0] ?? 0;
  for (const budget of budgets) if (budget !== null) checkVisionZipOptions(N, budget);
}

/** Throws RangeError, before any work is done, if the longest prompt and its answer are more than the model was made for. */
export function checkLengths(
  llava: Llava,
  prompts: readonly PromptIds[],
  budgets: readonly ChosenBudget[],
  maxNewTokens: number,
): void {
  const N = llava.vision.positionEmbedding.shape[0] ?? 0;
  const textLength = Math.max(...prompts.map(({ before, after }) => before.length + after.length));
  const visualLength = Math.max(
    ...budgets.map((budget) => (budget === null ? N - 1 : budget.dominantCount + budget.contextualCount)),
  );
  const { maxPositions } = llava.config.text;
  const needed = textLength + visualLength + maxNewTokens;
  if (needed > maxPositions) {
    throw new RangeError(
      `ask: expected at most ${maxPositions} positions, prompt and answer together, got ${needed}`,
    );
  }
}

export interface StartedAnswer {
  readonly inputEmbeds: Tensor; // [1, T, E]
  readonly prefill: Prefill;
  readonly prefillMs: number;
}

export async function startAnswer(
  llava: Llava,
  prompt: PromptIds,
  visual: VisualTokens,
  options: DecodeOptions,
): Promise<StartedAnswer> {
  const started = await timed(llava.gpu, () => {
    const inputEmbeds = splice(llava, prompt, visual.projectedTokens); // [1, T, E]
    return { inputEmbeds, prefill: prefill(llava, inputEmbeds, options) };
  });
  return { ...started.value, prefillMs: started.ms };
}

export interface FinishedAnswer {
  readonly tokenIds: readonly number[];
  readonly decodeMs: number;
}

/** Decodes to the end, handing each token to `onToken` as it comes. Frees what startAnswer made. */
export async function finishAnswer(
  llava: Llava,
  started: StartedAnswer,
  onToken: (tokenId: number) => void,
): Promise<FinishedAnswer> {
  const start = performance.now();
  const tokenIds: number[] = [];
  dispose(started.inputEmbeds);
  for await (const tokenId of decode(llava, started.prefill)) {
    tokenIds.push(tokenId);
    onToken(tokenId);
  }
  return { tokenIds, decodeMs: performance.now() - start };
}
