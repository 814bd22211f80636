// `visionzip zip IMAGE`: what VisionZip keeps of a picture, as a table, tensors and a picture. With --tensors in the place
// of the picture, see zip-tensors.ts.

import { join } from 'node:path';
import { encode as encodePng } from 'fast-png';
import {
  centerCrop,
  type Llava,
  padToSquare,
  type RgbImage,
  resizeBicubic,
  resizeShortestEdge,
  writeSafetensors,
} from '../models/index.ts';
import { dispose, readAll } from '../tensor/index.ts';
import { type Budget, overlayImage, type VisionZipResult } from '../visionzip/index.ts';
import { adapterLine, adapterRecord } from './labels.ts';
import { modelFlags, modelOptions, openModel } from './model.ts';
import { readOptions, wholeNumber } from './options.ts';
import { outputFolder, writeWhole } from './output-files.ts';
import { type ImageMode, imageMode, readPicture } from './picture.ts';
import { profiled, profileTable } from './profile.ts';
import { checkBudgets, encodePicture, reduceTokens, type VisualTokens } from './stages.ts';
import { checkFiniteTensors, namedTensors } from './trace.ts';
import { zipTensors } from './zip-tensors.ts';

const options = {
  dominant: { type: 'string' },
  contextual: { type: 'string' },
  ...modelFlags,
  'image-mode': { type: 'string' },
  out: { type: 'string' },
  profile: { type: 'boolean' },
  json: { type: 'boolean' },
} as const;

export async function zip(args: string[]): Promise<number> {
  if (args.some((arg) => arg === '--tensors' || arg.startsWith('--tensors='))) return zipTensors(args);
  const { values, positionals } = readOptions('zip', args, options);
  const [imagePath, ...rest] = positionals;
  if (imagePath === undefined || rest.length > 0) {
    throw new RangeError(`zip: expected one picture, got ${positionals.length}`);
  }
  const budget: Budget = {
    dominantCount: wholeNumber('--dominant', values.dominant ?? '54', 1),
    contextualCount: wholeNumber('--contextual', values.contextual ?? '10', 0),
  };
  const chosenMode = imageMode(values['image-mode']);
  const opening = modelOptions(values);
  const image = await readPicture(imagePath);
  const out = await outputFolder(values.out ?? 'visionzip-out');

  const llava = await openModel(values.model, opening);
  try {
    const mode = chosenMode ?? llava.imageMode;
    checkBudgets(llava, [budget]);
    const { value, profile } = await profiled(llava.gpu, values.profile === true, async () => {
      const encoded = await encodePicture(llava, image, mode);
      return { picture: encoded, visual: await reduceTokens(llava, encoded.encoding, budget) };
    });
    const { picture, visual } = value;
    const files = await writeZip(out, llava, image, mode, visual);
    const summary = await summarize(llava, visual, {
      preprocess: picture.preprocessMs,
      encode: picture.encodeMs,
      zip: visual.zipMs,
      project: visual.projectMs,
    });
    dispose(picture.encoding, visual);
    if (values.json === true) {
      const record = { ...summary, files, ...(profile && { profile }), adapter: adapterRecord(llava.gpu) };
      process.stdout.write(`${JSON.stringify(record, null, 2)}\n`);
    } else {
      process.stdout.write(`${summaryTable(summary, files)}\nadapter         ${adapterLine(llava.gpu)}\n`);
      if (profile !== undefined) process.stderr.write(`\n${profileTable(profile)}`);
    }
  } finally {
    llava.gpu.close();
  }
  return 0;
}

interface ZipSummary {
  readonly tokensIn: number;
  readonly tokensOut: number;
  readonly dominant: number;
  readonly contextual: number;
  readonly merged: number;
  readonly attentionKept: number; // share of the CLS attention on patches that lies on the kept ones
  readonly keptTokenIndices: readonly number[];
  readonly keptPositions: readonly (readonly [row: number, column: number])[];
  readonly targetTokenIndices: readonly number[];
  readonly timingsMs: Readonly<Record<'preprocess' | 'encode' | 'zip' | 'project', number>>;
}

async function summarize(
  llava: Llava,
  visual: VisualTokens,
  timingsMs: ZipSummary['timingsMs'],
): Promise<ZipSummary> {
  const result = visual.zip as VisionZipResult;
  const [scores, kept, positions, targets] = await readAll(llava.gpu, [
    result.scores,
    result.keptTokenIndices,
    result.keptPositions,
    result.targetTokenIndices,
  ]);
  return {
    tokensIn: scores.length + 1,
    tokensOut: visual.count,
    dominant: kept.length,
    contextual: targets.length,
    merged: result.sourceTokenIndices.shape[1] ?? 0,
    attentionKept: attentionKept(scores, kept),
    keptTokenIndices: Array.from(kept),
    keptPositions: Array.from({ length: positions.length / 2 }, (_, i) => [
      positions[2 * i] as number,
      positions[2 * i + 1] as number,
    ]),
    targetTokenIndices: Array.from(targets),
    timingsMs,
  };
}

/** The share of the CLS attention on patches that lies on the kept ones: scores [P], kept token indices [K]. */
export function attentionKept(scores: Float32Array, keptTokenIndices: Uint32Array): number {
  const total = scores.reduce((sum, score) => sum + score, 0);
  const kept = keptTokenIndices.reduce(
    (sum, token) => sum + (token === 0 ? 0 : (scores[token - 1] as number)),
    0,
  );
  return total === 0 ? 0 : kept / total;
}

function summaryTable(summary: ZipSummary, files: readonly string[]): string {
  const { timingsMs } = summary;
  const rows: readonly (readonly [string, string])[] = [
    ['tokens in', `${summary.tokensIn} (CLS and ${summary.tokensIn - 1} patches)`],
    ['tokens out', `${summary.tokensOut} (${summary.dominant} dominant, ${summary.contextual} contextual)`],
    ['merged', `${summary.merged} patches into ${summary.contextual} targets`],
    ['attention kept', `${(100 * summary.attentionKept).toFixed(1)} % of what CLS pays to patches`],
    ...Object.entries(timingsMs).map(([stage, ms]) => [stage, `${ms.toFixed(1)} ms`] as const),
    ...files.map((path) => ['written', path] as const),
  ];
  return rows.map(([name, value]) => `${name.padEnd(14)}  ${value}`).join('\n');
}

/** Writes tokens.safetensors and overlay.png into `folder`; returns their paths. */
export async function writeZip(
  folder: string,
  llava: Llava,
  image: RgbImage,
  mode: ImageMode,
  { zip: result }: VisualTokens,
): Promise<string[]> {
  if (result === null) throw new RangeError('zip: expected a budget, got none');
  const { keptTokenIndices, targetTokenIndices, sourceTokenIndices, assignment, scores, tokens } = result;
  const tensors = await namedTensors(llava.gpu, {
    tokens,
    keptTokenIndices,
    targetTokenIndices,
    sourceTokenIndices,
    assignment,
    scores,
  });
  checkFiniteTensors('zip', tensors);
  const tokensPath = join(folder, 'tokens.safetensors');
  await writeWhole(tokensPath, writeSafetensors(tensors));

  const written = new Map(tensors.map(({ name, data }) => [name, data]));
  const indices = (name: string): ArrayLike<number> => written.get(name) ?? [];
  const { imageSize, patchSize } = llava.config.vision;
  const gridColumns = imageSize / patchSize;
  const overlay = overlayImage(fitted(image, mode, gridColumns), {
    gridColumns,
    keptTokenIndices: indices('keptTokenIndices'),
    targetTokenIndices: indices('targetTokenIndices'),
    sourceTokenIndices: indices('sourceTokenIndices'),
    assignment: indices('assignment'),
  });
  const overlayPath = join(folder, 'overlay.png');
  await writeWhole(overlayPath, encodePng({ ...overlay, channels: 3, depth: 8 }));
  return [tokensPath, overlayPath];
}

const SMALLEST_CELL = 28; // pixels along a patch in the overlay; smaller ones are hard to see
const LARGEST_CELL = 56;

/** The picture as the encoder sees it, at a size of its own: large enough to look at, and a multiple of the grid. */
function fitted(image: RgbImage, mode: ImageMode, gridColumns: number): RgbImage {
  const edge = mode === 'pad' ? Math.max(image.width, image.height) : Math.min(image.width, image.height);
  const cell = Math.min(LARGEST_CELL, Math.max(SMALLEST_CELL, Math.round(edge / gridColumns)));
  const side = cell * gridColumns;
  if (mode === 'pad') return resizeBicubic(padToSquare(image), side, side);
  return centerCrop(resizeShortestEdge(image, side), side, side);
}
