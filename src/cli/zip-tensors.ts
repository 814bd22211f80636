// `visionzip zip --tensors FILE`: what VisionZip makes of somebody's own tensors. No picture, no model.

import { join } from 'node:path';
import { openFile, writeSafetensors } from '../models/index.ts';
import { dispose, type Gpu, openGpu, readAll } from '../tensor/index.ts';
import {
  checkVisionZipOptions,
  expectFiniteScores,
  readZipTensors,
  uploadZipTensors,
  type VisionZipOptions,
  type VisionZipResult,
  visionZip,
  type ZipTensors,
} from '../visionzip/index.ts';
import { adapterLine, adapterRecord } from './labels.ts';
import { readOptionsAlone, wholeNumber } from './options.ts';
import { outputFolder, writeWhole } from './output-files.ts';
import { checkFiniteTensors, namedTensors } from './trace.ts';

const options = {
  tensors: { type: 'string' },
  dominant: { type: 'string' },
  contextual: { type: 'string' },
  merge: { type: 'string' },
  out: { type: 'string' },
  json: { type: 'boolean' },
} as const;

export async function zipTensors(args: string[]): Promise<number> {
  const values = readOptionsAlone('zip --tensors', args, options);
  const { tensors: path, dominant, contextual } = values;
  if (path === undefined || dominant === undefined || contextual === undefined) {
    throw new RangeError('zip: expected --tensors with --dominant and --contextual, got not all of them');
  }
  const zipOptions: VisionZipOptions = {
    dominantCount: wholeNumber('--dominant', dominant, 1),
    contextualCount: wholeNumber('--contextual', contextual, 0),
    merge: mergeOption(values.merge),
  };
  const host = await readTensors(path);
  checkVisionZipOptions(host.hiddenStates.shape[1] ?? 0, zipOptions);
  const out = await outputFolder(values.out ?? 'visionzip-out');

  const gpu = await openGpu();
  try {
    const input = uploadZipTensors(gpu, host);
    const result = visionZip(input, zipOptions);
    dispose(input);
    await expectFiniteScores(result); // a sum over heads can overflow
    const file = await writeResult(out, gpu, result);
    const summary = await summarize(gpu, host, result);
    dispose(result);
    if (values.json === true) {
      const record = { ...summary, files: [file], adapter: adapterRecord(gpu) };
      process.stdout.write(`${JSON.stringify(record, null, 2)}\n`);
    } else {
      process.stdout.write(`${summaryTable(summary, file)}\nadapter         ${adapterLine(gpu)}\n`);
    }
  } finally {
    gpu.close();
  }
  return 0;
}

function mergeOption(name = 'target-plus-mean'): 'target-plus-mean' | 'paper-average' {
  if (name === 'target-plus-mean' || name === 'paper-average') return name;
  throw new RangeError(`--merge: expected target-plus-mean or paper-average, got ${JSON.stringify(name)}`);
}

async function readTensors(path: string): Promise<ZipTensors> {
  const file = await openFile(path);
  try {
    return await readZipTensors(file);
  } finally {
    await file.close();
  }
}

async function writeResult(folder: string, gpu: Gpu, result: VisionZipResult): Promise<string> {
  const { tokens, keptTokenIndices, targetTokenIndices, sourceTokenIndices, assignment } = result;
  const tensors = await namedTensors(gpu, {
    tokens, //             [B, K + M, C]
    keptTokenIndices, //   [B, K]
    targetTokenIndices, // [B, M]
    sourceTokenIndices, // [B, S]
    assignment, //         [B, S]
    counts: result.sourceCounts, //       [B, M]
    scores: result.scores, //             [B, N − 1]
    margins: result.assignmentMargins, // [B, S]
    cutScores: result.cutScores, //       [B, 2] or [B, 0]
  });
  checkFiniteTensors('zip', tensors);
  const path = join(folder, 'tokens.safetensors');
  await writeWhole(path, writeSafetensors(tensors));
  return path;
}

interface Summary {
  readonly images: number;
  readonly tokensIn: number;
  readonly tokensOut: number;
  readonly dominant: number;
  readonly contextual: number;
  readonly merged: number;
  /** Over all images. How far the weakest kept score lies above the strongest one left out; null without a cut. */
  readonly smallestCutGap: number | null;
  /** Over all sources. null where nothing is merged. */
  readonly smallestMargin: number | null;
}

async function summarize(gpu: Gpu, host: ZipTensors, result: VisionZipResult): Promise<Summary> {
  const [cutScores, margins] = await readAll(gpu, [result.cutScores, result.assignmentMargins]);
  const [B, N] = host.hiddenStates.shape as [number, number];
  const gaps = Array.from(
    { length: cutScores.length / 2 },
    (_, b) => (cutScores[2 * b] as number) - (cutScores[2 * b + 1] as number),
  );
  return {
    images: B,
    tokensIn: N,
    tokensOut: result.tokens.shape[1] ?? 0,
    dominant: result.keptTokenIndices.shape[1] ?? 0,
    contextual: result.targetTokenIndices.shape[1] ?? 0,
    merged: result.sourceTokenIndices.shape[1] ?? 0,
    smallestCutGap: smallest(gaps),
    smallestMargin: smallest(margins),
  };
}

function smallest(values: ArrayLike<number>): number | null {
  return values.length === 0 ? null : Array.from(values).reduce((a, b) => Math.min(a, b));
}

function summaryTable(summary: Summary, file: string): string {
  const number = (value: number | null): string => (value === null ? 'none' : value.toPrecision(3));
  const rows: readonly (readonly [string, string])[] = [
    ['images', String(summary.images)],
    ['tokens in', `${summary.tokensIn} (CLS and ${summary.tokensIn - 1} patches)`],
    ['tokens out', `${summary.tokensOut} (${summary.dominant} dominant, ${summary.contextual} contextual)`],
    ['merged', `${summary.merged} patches into ${summary.contextual} targets`],
    ['closest cut', `${number(summary.smallestCutGap)} between a kept and a left-out score`],
    ['closest target', `${number(summary.smallestMargin)} between the best and the second cosine`],
    ['written', file],
  ];
  return rows.map(([name, value]) => `${name.padEnd(14)}  ${value}`).join('\n');
}
