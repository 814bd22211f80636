// The measurements of `visionzip bench`: each stage by itself, with a wait for the device behind it.
//
//   B crops of one picture   V visual tokens of all crops   T positions of the prompt

import {
  type ClipEncoding,
  type ClipWeights,
  decode,
  encodeClip,
  type KeyValueCache,
  type LlavaModel,
  type PixelValues,
  type PreprocessorConfig,
  patchTokens,
  prefill,
  project,
  type RgbImage,
  splice,
} from '../models/index.ts';
import {
  dims,
  dispose,
  elementCount,
  type Gpu,
  type GrowingRows,
  reshape,
  type Tensor,
  tensor,
  watchPeak,
} from '../tensor/index.ts';
import { visionZip } from '../visionzip/index.ts';
import type { ChosenBudget } from './budget-options.ts';
import { type ImageMode, preprocess } from './picture.ts';
import { timed } from './stages.ts';

export interface BenchSubject {
  readonly gpu: Gpu;
  readonly vision: ClipWeights;
  readonly llava: LlavaModel | null; // null: the encoder alone
  readonly preprocessor: PreprocessorConfig;
  readonly imageMode: ImageMode;
  readonly image: RgbImage;
  readonly cropCount: number;
}

export interface BenchPlan {
  readonly budgets: ReadonlyMap<number, ChosenBudget>; // of one crop, by the tokens of all of them
  readonly repeat: number; //                             measured runs, behind one that is not counted
  readonly textTokens: number; //                         of the prompt, beside the picture
  readonly newTokens: number;
}

export type Stage = 'preprocess' | 'encode' | 'zip' | 'project' | 'prefill' | 'decode';

/** Medians in milliseconds. `decode` is that of one token; null: there is no such stage. */
export interface BenchRow {
  readonly visualTokens: number;
  readonly dominant: number | null; // of one crop
  readonly contextual: number | null;
  readonly ms: Readonly<Record<Stage, number | null>>;
  readonly firstTokenMs: number | null; // all stages up to the first token
  readonly totalMs: number; //             and all other tokens; of the encoder alone, up to the zip
  readonly keyValueBytes: number | null;
  readonly peakBytes: number; //           the most that was in use on the device, weights included
}

/** Row by row. Throws what a stage throws; the rows before are whole. */
export async function* measure(
  subject: BenchSubject,
  plan: BenchPlan,
): AsyncGenerator<BenchRow, void, undefined> {
  const encodePeak = watchPeak(subject.gpu);
  const encoded = await measureEncoding(subject, plan.repeat);
  const peak = encodePeak();
  try {
    for (const [visualTokens, budget] of plan.budgets) {
      const row = await measureBudget(subject, encoded, visualTokens, budget, plan);
      yield { ...row, peakBytes: Math.max(row.peakBytes, peak) };
    }
  } finally {
    dispose(encoded.encoding);
  }
}

interface Encoded {
  readonly encoding: ClipEncoding; // of B crops
  readonly preprocess: number;
  readonly encode: number;
}

/** What all budgets share. */
async function measureEncoding(subject: BenchSubject, repeat: number): Promise<Encoded> {
  const { gpu, vision, image, imageMode, preprocessor, cropCount } = subject;
  const times: { preprocess: number; encode: number }[] = [];
  let encoding: ClipEncoding | null = null;
  for (let run = 0; run <= repeat; run++) {
    const start = performance.now();
    const crops = Array.from({ length: cropCount }, () => preprocess(image, imageMode, preprocessor));
    const preprocessMs = performance.now() - start;
    if (encoding !== null) dispose(encoding);
    const { value, ms } = await timed(gpu, () => encodeClip(vision, pixelTensor(gpu, crops)));
    encoding = value;
    if (run > 0) times.push({ preprocess: preprocessMs, encode: ms });
  }
  return {
    encoding: encoding as ClipEncoding,
    preprocess: median(times.map(({ preprocess }) => preprocess)),
    encode: median(times.map(({ encode }) => encode)),
  };
}

function pixelTensor(gpu: Gpu, crops: readonly PixelValues[]): Tensor {
  const [first] = crops as [PixelValues, ...PixelValues[]];
  const data = new Float32Array(crops.length * first.data.length);
  for (const [b, crop] of crops.entries()) data.set(crop.data, b * first.data.length);
  return tensor(gpu, data, first.shape.with(0, crops.length)); // [B, 3, S, S]
}

async function measureBudget(
  { gpu, llava }: BenchSubject,
  { encoding, preprocess: preprocessMs, encode }: Encoded,
  visualTokens: number,
  budget: ChosenBudget,
  plan: BenchPlan,
): Promise<BenchRow> {
  const peak = watchPeak(gpu);
  const zips: number[] = [];
  const answers: AnswerTimes[] = [];
  for (let run = 0; run <= plan.repeat; run++) {
    const zip = await timed(gpu, () =>
      budget === null ? patchTokens(encoding) : visionZip(encoding, budget).tokens,
    ); // [B, V / B, C]
    const answer = llava === null ? null : await measureAnswer(llava, zip.value, plan);
    dispose(zip.value);
    if (run > 0) zips.push(zip.ms);
    if (run > 0 && answer !== null) answers.push(answer);
  }
  const zip = median(zips);
  const of = (part: keyof AnswerTimes): number | null =>
    llava === null ? null : median(answers.map((answer) => answer[part]));
  const ms = {
    preprocess: preprocessMs,
    encode,
    zip,
    project: of('project'),
    prefill: of('prefill'),
    decode: of('decode'),
  };
  const before = preprocessMs + encode + zip;
  const firstTokenMs = llava === null ? null : before + (ms.project as number) + (ms.prefill as number);
  return {
    visualTokens,
    dominant: budget?.dominantCount ?? null,
    contextual: budget?.contextualCount ?? null,
    ms,
    firstTokenMs,
    totalMs: firstTokenMs === null ? before : firstTokenMs + (ms.decode as number) * (plan.newTokens - 1),
    keyValueBytes: of('keyValueBytes'),
    peakBytes: peak(),
  };
}

interface AnswerTimes {
  readonly project: number;
  readonly prefill: number;
  readonly decode: number; // of one token
  readonly keyValueBytes: number;
}

/** One answer from the visual tokens [B, V / B, C] of all crops. */
async function measureAnswer(
  llava: LlavaModel,
  tokens: Tensor,
  { textTokens, newTokens }: BenchPlan,
): Promise<AnswerTimes> {
  const { gpu } = llava;
  const { hiddenSize: E } = llava.language.config;
  const projected = await timed(gpu, () => {
    const ofCrops = project(llava, tokens); // [B, V / B, E]
    const { B, perCrop } = dims(ofCrops, 'projected tokens [B, perCrop, E]');
    return reshape(ofCrops, [1, B * perCrop, E]); // [1, V, E]
  });
  const half = Math.floor(textTokens / 2);
  const prompt = { before: textIds(half), after: textIds(textTokens - half) };
  const endless = { ...llava, config: { ...llava.config, eosTokenIds: [] } };
  const started = await timed(gpu, () => {
    const inputEmbeds = splice(llava, prompt, projected.value); // [1, T, E]
    return prefill(endless, inputEmbeds, { maxNewTokens: newTokens });
  });
  dispose(projected.value);
  const keyValueBytes = cacheBytes(started.value.step.cache);

  const start = performance.now();
  let count = 0;
  for await (const _ of decode(endless, started.value)) count++;
  // The first token is read off the prompt's logits; each other one is a step.
  const decodeMs = (performance.now() - start) / Math.max(1, count - 1);
  return { project: projected.ms, prefill: started.ms, decode: decodeMs, keyValueBytes };
}

/** Any words will do. */
function textIds(count: number): number[] {
  return Array.from({ length: count }, (_, i) => 5 + i);
}

/** What the keys and values of the prompt take. */
function cacheBytes({ layers }: KeyValueCache): number {
  return layers.reduce((sum, { keys, values }) => sum + rowBytes(keys) + rowBytes(values), 0);
}

function rowBytes({ room, length }: GrowingRows): number {
  return 4 * elementCount(room.shape.with(-2, length));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1
    ? (sorted[Math.floor(middle)] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
