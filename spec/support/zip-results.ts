// Results of VisionZip on the host, image by image, and how exactly its decisions are determined. SPEC VZ.

import { dispose, type Gpu, readAll, type Tensor, tensor, tidy } from '../../src/tensor/index.ts';
import { type VisionZipOptions, type VisionZipResult, visionZip } from '../../src/visionzip/index.ts';
import { type Image, meanKeys, type Zip } from '../oracle/vision-zip.ts';
import { FLUSHED, u } from './closeness.ts';
import type { Host } from './recipe.ts';
import { rowsOf, type ZipData } from './zip-cases.ts';

type OutputName =
  | 'tokens'
  | 'scores'
  | 'cutScores'
  | 'assignmentMargins'
  | 'keptTokenIndices'
  | 'keptTokenIndicesByScore'
  | 'keptPositions'
  | 'targetTokenIndices'
  | 'sourceTokenIndices'
  | 'assignment'
  | 'sourceCounts';

const outputNames: readonly OutputName[] = [
  'tokens',
  'scores',
  'cutScores',
  'assignmentMargins',
  'keptTokenIndices',
  'keptTokenIndicesByScore',
  'keptPositions',
  'targetTokenIndices',
  'sourceTokenIndices',
  'assignment',
  'sourceCounts',
];

export type ZipHosts = {
  readonly [Name in OutputName]: VisionZipResult[Name] extends Tensor
    ? Host<Float32Array>
    : Host<Uint32Array>;
};

/** One image. */
export interface ZipResult {
  readonly tokens: readonly Float32Array[]; // [K + M][C]
  readonly scores: Float32Array;
  readonly cutScores: Float32Array;
  readonly margins: Float32Array;
  readonly kept: number[];
  readonly keptByScore: number[];
  readonly positions: number[]; //             [K − 1, 2]
  readonly targets: number[];
  readonly sources: number[];
  readonly assignment: number[];
  readonly counts: number[];
}

export function outputsOf(result: VisionZipResult): VisionZipResult[OutputName][] {
  return outputNames.map((name) => result[name]);
}

export function namedHosts(hosts: readonly Host<Float32Array | Uint32Array>[]): ZipHosts {
  return Object.fromEntries(outputNames.map((name, i) => [name, hosts[i]])) as unknown as ZipHosts;
}

export interface ZipJob {
  readonly data: ZipData;
  readonly options: VisionZipOptions;
}

const AT_ONCE = 40; // A software adapter takes a piece of the address space for each buffer.

/** Zips all of them, many before anything is read. */
export async function zipAll(gpu: Gpu, jobs: readonly ZipJob[]): Promise<ZipHosts[]> {
  const hosts: ZipHosts[] = [];
  for (let begin = 0; begin < jobs.length; begin += AT_ONCE) {
    hosts.push(...(await zipTogether(gpu, jobs.slice(begin, begin + AT_ONCE))));
  }
  return hosts;
}

async function zipTogether(gpu: Gpu, jobs: readonly ZipJob[]): Promise<ZipHosts[]> {
  const upload = ({ values, shape }: Host<Float32Array>): Tensor => tensor(gpu, values, shape);
  const outputs = tidy(gpu, () => {
    const inputs = jobs.map(({ data }) => ({
      hiddenStates: upload(data.hiddenStates),
      clsAttention: upload(data.clsAttention),
      keys: upload(data.keys),
    }));
    return inputs.map((input, i) => outputsOf(visionZip(input, (jobs[i] as ZipJob).options)));
  });
  const values = await readAll(gpu, outputs.flat());
  dispose(outputs);
  let next = 0;
  return outputs.map((tensors) =>
    namedHosts(tensors.map(({ shape }) => ({ shape, values: values[next++] as Float32Array }))),
  );
}

/** Splits results by image. */
export function resultsOf(hosts: ZipHosts): ZipResult[] {
  const [B, length] = hosts.tokens.shape as [number, number];
  const tokens = rowsOf(hosts.tokens);
  const part = <A extends Float32Array | Uint32Array>({ values }: Host<A>, b: number): A => {
    const size = values.length / B;
    return values.subarray(b * size, (b + 1) * size) as A;
  };
  const indices = (host: Host<Uint32Array>, b: number): number[] => Array.from(part(host, b));
  return Array.from({ length: B }, (_, b) => ({
    tokens: tokens.slice(b * length, (b + 1) * length),
    scores: part(hosts.scores, b),
    cutScores: part(hosts.cutScores, b),
    margins: part(hosts.assignmentMargins, b),
    kept: indices(hosts.keptTokenIndices, b),
    keptByScore: indices(hosts.keptTokenIndicesByScore, b),
    positions: indices(hosts.keptPositions, b),
    targets: indices(hosts.targetTokenIndices, b),
    sources: indices(hosts.sourceTokenIndices, b),
    assignment: indices(hosts.assignment, b),
    counts: indices(hosts.sourceCounts, b),
  }));
}

/** How far a score, the sum of what `heads` heads give, may be from the f64 one. */
export function scoreBound(heads: number, score: number): number {
  return (heads + 3) * u * Math.abs(score) + (heads + 1) * FLUSHED;
}

/**
 * How far each similarity may be from the f64 one, [S][M]: the mean over the heads is off by a little of its terms, which
 * is much of a mean that nearly cancels; to it come the division by the length and the product.
 */
export function similarityBounds({ keys }: Image, { sources, targets }: Zip): number[][] {
  const H = keys.length;
  const means = meanKeys(keys);
  const D = means[0]?.length ?? 0;
  const lengths = means.map((key) => Math.hypot(...key));
  const relative = means.map((_, n) => {
    if (lengths[n] === 0) return 0;
    const errors = Array.from({ length: D }, (_, d) => {
      let magnitude = 0;
      for (const head of keys) magnitude += Math.abs(head[n]?.[d] as number) / H;
      return (H + 4) * u * magnitude + H * FLUSHED;
    });
    return Math.hypot(...errors) / (lengths[n] as number);
  });
  const rounding = (3 * D + 40) * u;
  return sources.map((source) =>
    targets.map((target) => {
      if (lengths[source] === 0 || lengths[target] === 0) return 0;
      return Math.min(2, 2 * (relative[source] as number) + 2 * (relative[target] as number) + rounding);
    }),
  );
}

/** Whether source s may be folded into target m: no other is nearer by more than the bounds. */
export function isAdmissible(similarity: readonly number[], bounds: readonly number[], m: number): boolean {
  const own = (similarity[m] as number) + (bounds[m] as number);
  return similarity.every((other, i) => i === m || own >= other - (bounds[i] as number));
}

/** Whether only target m may be chosen. */
export function isForced(similarity: readonly number[], bounds: readonly number[], m: number): boolean {
  const own = (similarity[m] as number) - (bounds[m] as number);
  return similarity.every((other, i) => i === m || own > other + (bounds[i] as number));
}
