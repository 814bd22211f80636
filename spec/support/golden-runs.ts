// Runs the library on the inputs of a golden, each stage from the golden inputs of that stage. SPEC G-1.7.

import { clipLayer, selfAttention } from '../../src/models/clip/attention.ts';
import { embedPatches } from '../../src/models/clip/encoder.ts';
import {
  type ClipWeights,
  decoderStep,
  emptyCache,
  encodeClip,
  type LlamaWeights,
} from '../../src/models/index.ts';
import {
  argmax,
  concat,
  dispose,
  type Gpu,
  gatherRows,
  type IndexTensor,
  indexTensor,
  layerNorm,
  lookup,
  meanAxis,
  readAll,
  reshape,
  type Tensor,
  tensor,
  tidy,
} from '../../src/tensor/index.ts';
import { type VisionZipInput, visionZip } from '../../src/visionzip/index.ts';
import { mergeContextual } from '../../src/visionzip/vision-zip.ts';
import { cached } from './cached.ts';
import { type GoldenCase, type GoldenGroup, indices, real } from './golden.ts';
import type { Host } from './recipe.ts';

export type Stages = Readonly<Record<string, Host<Float32Array>>>;

/** Reads named tensors and frees them. */
export async function download<N extends string>(
  gpu: Gpu,
  tensors: Readonly<Record<N, Tensor>>,
): Promise<Record<N, Host<Float32Array>>> {
  const names = Object.keys(tensors) as N[];
  const list = names.map((name) => tensors[name]);
  const values = await readAll(gpu, list);
  dispose(list);
  const hosts = names.map((name, i) => [
    name,
    { shape: (list[i] as Tensor).shape, values: values[i] as Float32Array },
  ]);
  return Object.fromEntries(hosts) as Record<N, Host<Float32Array>>;
}

export interface ZipHost {
  readonly hiddenStates: Host<Float32Array>;
  readonly clsAttention: Host<Float32Array>;
  readonly keys?: Host<Float32Array>;
  readonly meanKeys?: Host<Float32Array>;
}

export function uploadZip(gpu: Gpu, hosts: ZipHost): VisionZipInput {
  const upload = ({ values, shape }: Host<Float32Array>): Tensor => tensor(gpu, values, shape);
  const input = { hiddenStates: upload(hosts.hiddenStates), clsAttention: upload(hosts.clsAttention) };
  if (hosts.keys !== undefined) return { ...input, keys: upload(hosts.keys) };
  return { ...input, meanKeys: upload(hosts.meanKeys as Host<Float32Array>) };
}

/** What is compared of one run of VisionZip. */
export interface ZipRun {
  readonly scores: Host<Float32Array>;
  readonly tokens: Host<Float32Array>;
  readonly keptTokenIndices: Host<Uint32Array>;
  readonly targetTokenIndices: Host<Uint32Array>;
  readonly assignment: Host<Uint32Array>;
  readonly counts: Host<Uint32Array>;
}

const AT_ONCE = 40; // a software adapter takes a piece of the address space for each buffer

export interface ZipJob {
  readonly input: ZipHost;
  readonly dominantCount: number;
  readonly contextualCount: number;
}

/** VisionZip on all of them, many before anything is read. */
export async function runZips(gpu: Gpu, jobs: readonly ZipJob[]): Promise<ZipRun[]> {
  const runs: ZipRun[] = [];
  for (let begin = 0; begin < jobs.length; begin += AT_ONCE) {
    const outputs = tidy(gpu, () =>
      jobs.slice(begin, begin + AT_ONCE).map(({ input, dominantCount, contextualCount }) => {
        const result = visionZip(uploadZip(gpu, input), { dominantCount, contextualCount });
        const { scores, tokens, keptTokenIndices, targetTokenIndices, assignment, sourceCounts } = result;
        return [scores, tokens, keptTokenIndices, targetTokenIndices, assignment, sourceCounts] as const;
      }),
    );
    const values = await readAll(gpu, outputs.flat());
    dispose(outputs);
    outputs.forEach((tensors, i) => {
      const host = (j: number) => ({ shape: (tensors[j] as Tensor).shape, values: values[6 * i + j] });
      const reals = (j: number) => host(j) as Host<Float32Array>;
      const integers = (j: number) => host(j) as Host<Uint32Array>;
      const chosen = {
        keptTokenIndices: integers(2),
        targetTokenIndices: integers(3),
        assignment: integers(4),
      };
      runs.push({ scores: reals(0), tokens: reals(1), ...chosen, counts: integers(5) });
    });
  }
  return runs;
}

export interface MergeRun {
  readonly targetRestIndices: Host<Uint32Array>;
  readonly assignment: Host<Uint32Array>;
  readonly contextualTokens: Host<Float32Array>;
}

/** The merge alone, of the tokens that the golden leaves over, where another set was as good. */
export async function runMerge(
  gpu: Gpu,
  input: ZipHost,
  rest: Host<Uint32Array>,
  M: number,
): Promise<MergeRun> {
  const outputs = tidy(gpu, () => {
    const { hiddenStates, keys, meanKeys } = uploadZip(gpu, input);
    const restIndices = indexTensor(gpu, rest.values, rest.shape);
    const mean = meanKeys ?? meanAxis(keys as Tensor, 1);
    const merged = mergeContextual(gatherRows(hiddenStates, restIndices), gatherRows(mean, restIndices), M);
    return [merged.targetRestIndices, merged.assignment, merged.contextualTokens] as const;
  });
  const [targets, assignment, tokens] = await readAll(gpu, outputs);
  dispose(outputs);
  return {
    targetRestIndices: { shape: outputs[0].shape, values: targets as Uint32Array },
    assignment: { shape: outputs[1].shape, values: assignment as Uint32Array },
    contextualTokens: { shape: outputs[2].shape, values: tokens as Float32Array },
  };
}

/**
 * A tower stage by stage. Each layer begins with the golden output of the one before, where that is stored whole, and its
 * attention with the golden output of the norm; otherwise with what was computed. Of a tower whose layers are not stored
 * whole the last one is left out.
 */
export function runClipStages(
  gpu: Gpu,
  group: GoldenGroup,
  { id, expected }: GoldenCase,
  weights: ClipWeights,
  pixels: Host<Float32Array>,
): Promise<Stages> {
  const golden = (stage: string, computed: Tensor): Tensor => {
    if (!(stage in expected)) return computed;
    const { values, shape } = real(group, id, stage);
    return tensor(gpu, values, shape);
  };
  const outputs = tidy(gpu, () => {
    const { config, layers } = weights;
    const stages: Record<string, Tensor> = {};
    stages.embeddings = embedPatches(weights, tensor(gpu, pixels.values, pixels.shape));
    let hiddenStates = golden('embeddings', stages.embeddings);
    layers.forEach((layer, i) => {
      const isLast = i === layers.length - 1;
      const attentionIn = layerNorm(hiddenStates, layer.attentionNorm, config.normEps);
      stages[`layers.${i}.attentionIn`] = attentionIn;
      if (`layers.${i}.attentionOut` in expected) {
        const normed = golden(`layers.${i}.attentionIn`, attentionIn);
        const { output, keys } = selfAttention(normed, layer.attention, config.headCount);
        stages[isLast ? 'keys' : `layers.${i}.keys`] = keys;
        stages[`layers.${i}.attentionOut`] = output;
      } else if (isLast) return; // of the wide tower: runEncoder computes it
      const name = isLast ? 'hiddenStates' : `layers.${i}.hiddenStates`;
      const result = clipLayer(hiddenStates, layer, config).hiddenStates;
      stages[name] = result;
      hiddenStates = golden(name, result);
    });
    return stages;
  });
  return download(gpu, outputs);
}

/** A tower as the library runs it, from pixels. */
export function runEncoder(gpu: Gpu, weights: ClipWeights, pixels: Host<Float32Array>): Promise<Stages> {
  const encoding = tidy(gpu, () => encodeClip(weights, tensor(gpu, pixels.values, pixels.shape)));
  return download(gpu, { ...encoding });
}

/**
 * Each layer of a decoder and all behind it, from the golden input of that layer. Keys and values are those of the cache; a
 * layer's output shows in the keys of the next, and that of the last in the logits.
 */
export async function runLlamaLayers(
  gpu: Gpu,
  group: GoldenGroup,
  id: string,
  weights: LlamaWeights,
): Promise<{ keys: Host<Float32Array>[]; values: Host<Float32Array>[]; logits: Host<Float32Array> }[]> {
  const runs = [];
  for (let i = 0; i < weights.layers.length; i++) {
    const { values, shape } = real(group, id, i === 0 ? 'inputEmbeds' : `layers.${i - 1}.hiddenStates`);
    const rest = { ...weights, layers: weights.layers.slice(i) };
    const outputs = tidy(gpu, () => {
      const cache = emptyCache(gpu, rest, shape[1] as number);
      const step = decoderStep(rest, tensor(gpu, values, shape), cache);
      const named = cached(step.cache).map((layer, j) => [
        [`keys ${j}`, layer.keys],
        [`values ${j}`, layer.values],
      ]);
      return { ...Object.fromEntries(named.flat()), logits: step.logits } as Record<string, Tensor>;
    });
    const hosts = await download(gpu, outputs);
    const all = (what: string) => rest.layers.map((_, j) => hosts[`${what} ${j}`] as Host<Float32Array>);
    runs.push({ keys: all('keys'), values: all('values'), logits: hosts.logits as Host<Float32Array> });
  }
  return runs;
}

/** Greedy decoding that goes on with the golden ids: the rows of the embedding, and of each step the logits and the choice. */
export async function runGreedy(
  gpu: Gpu,
  weights: LlamaWeights,
  tokenIds: Host<Uint32Array>,
  golden: Host<Uint32Array>,
): Promise<{ inputEmbeds: Host<Float32Array>; logits: Host<Float32Array>; ids: Host<Uint32Array> }> {
  const [B, T] = tokenIds.shape as [number, number];
  const steps = golden.shape[1] as number;
  const C = weights.config.hiddenSize;
  const outputs = tidy(gpu, () => {
    const embed = (ids: Uint32Array, length: number): Tensor =>
      lookup(weights.tokenEmbedding, indexTensor(gpu, ids, [B, length]));
    const inputEmbeds = embed(tokenIds.values, T);
    let cache = emptyCache(gpu, weights, T + steps);
    let input = inputEmbeds;
    const logits: Tensor[] = [];
    for (let i = 0; i < steps; i++) {
      const step = decoderStep(weights, input, cache);
      cache = step.cache;
      logits.push(reshape(step.logits, [B, 1, weights.config.vocabSize]));
      const next = Uint32Array.from({ length: B }, (_, b) => golden.values[b * steps + i] as number);
      input = reshape(embed(next, 1), [B, 1, C]);
    }
    const all = concat(logits as [Tensor, ...Tensor[]], 1); // [B, steps, V]
    return { inputEmbeds, all, ids: argmax(all) } as { inputEmbeds: Tensor; all: Tensor; ids: IndexTensor };
  });
  const [embeds, logits, ids] = await readAll(gpu, [outputs.inputEmbeds, outputs.all, outputs.ids]);
  dispose(outputs.inputEmbeds, outputs.all, outputs.ids);
  return {
    inputEmbeds: { shape: outputs.inputEmbeds.shape, values: embeds as Float32Array },
    logits: { shape: outputs.all.shape, values: logits as Float32Array },
    ids: { shape: outputs.ids.shape, values: ids as Uint32Array },
  };
}

/** The tokens that the golden leaves over, [B, N − K], ascending. */
export function restOf(group: GoldenGroup, id: string, stage: string, N: number): Host<Uint32Array> {
  const kept = indices(group, id, stage);
  const [B, K] = kept.shape as [number, number];
  const rest: number[] = [];
  for (let b = 0; b < B; b++) {
    const row = new Set(kept.values.subarray(b * K, (b + 1) * K));
    for (let n = 0; n < N; n++) if (!row.has(n)) rest.push(n);
  }
  return { shape: [B, N - K], values: Uint32Array.from(rest) };
}
