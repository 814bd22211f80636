// The Llama decoder with a key-value cache. SPEC M-5.
//
//   B sequences   T new positions   L positions so far, the new ones included   C channels   V vocabulary
//   H query heads   G key heads   D channels per head
//
// The cache is a value like any other: a step takes one and returns the next, which shares its memory.
// (transformers, modeling_llama.py)

import {
  appendRows,
  attention,
  dims,
  dispose,
  type Gpu,
  type GrowingRows,
  gatedSilu,
  growingRows,
  linear,
  permute,
  type RopeTable,
  reshape,
  rmsNorm,
  rope,
  ropeTable,
  scale,
  slice,
  type Tensor,
  tidy,
} from '../../tensor/index.ts';
import type { LlamaLayerWeights, LlamaWeights } from './weights.ts';

export interface LayerCache {
  readonly keys: GrowingRows; //   [B, G, L, D], turned by RoPE
  readonly values: GrowingRows; // [B, G, L, D]
}

export interface KeyValueCache {
  readonly length: number; //                L
  readonly positionCount: number; //         how far the sequence may grow; more room is made then than it needs now
  readonly layers: readonly LayerCache[]; // none before the first step
  readonly rope: RopeTable; //               for as many positions, at least
}

export interface DecoderStep {
  readonly logits: Tensor; // [B, V]  of the last position
  readonly cache: KeyValueCache;
}

/**
 * A cache for sequences of at most `positionCount` positions. Throws RangeError if that is more than the model was made
 * for.
 */
export function emptyCache(gpu: Gpu, weights: LlamaWeights, positionCount: number): KeyValueCache {
  const { config } = weights;
  checkPositions('emptyCache', weights, positionCount);
  // Some more than asked for, so that the next turns of a conversation find theirs.
  const tableLength = Math.min(Math.ceil(positionCount / TABLE_STEP) * TABLE_STEP, config.maxPositions);
  const rope = ropeTable(gpu, tableLength, config.headSize, config.ropeTheta, config.ropeFactor);
  return { length: 0, positionCount, layers: [], rope };
}

const TABLE_STEP = 512; // positions by which the RoPE table grows

/**
 * The same cache for sequences of at most `positionCount` positions. Shares memory; the caller still owns `past`. Throws
 * RangeError if that is more than the model was made for.
 */
export function extendCache(
  gpu: Gpu,
  weights: LlamaWeights,
  past: KeyValueCache,
  positionCount: number,
): KeyValueCache {
  checkPositions('extendCache', weights, positionCount);
  const { cos, sin } = past.rope;
  const rope =
    positionCount <= (cos.shape[0] as number)
      ? { cos: reshape(cos, cos.shape), sin: reshape(sin, sin.shape) }
      : emptyCache(gpu, weights, positionCount).rope;
  return { ...past, positionCount, rope };
}

function checkPositions(who: string, { config }: LlamaWeights, positionCount: number): void {
  if (positionCount <= config.maxPositions) return;
  throw new RangeError(`${who}: expected at most ${config.maxPositions} positions, got ${positionCount}`);
}

/**
 * Appends inputEmbeds [B, T, C], T ≥ 1, to the sequence of `cache`. Throws ShapeError if the sizes are not the model's,
 * RangeError if the sequence outgrows the cache.
 */
export function decoderStep(weights: LlamaWeights, inputEmbeds: Tensor, cache: KeyValueCache): DecoderStep {
  const { T } = checkStep(weights, inputEmbeds, cache);

  const layers: LayerCache[] = [];
  let hiddenStates = inputEmbeds; // [B, T, C]
  weights.layers.forEach((layer, i) => {
    const input = hiddenStates;
    const result = tidy(inputEmbeds.gpu, () => llamaLayer(input, layer, weights, cache, i));
    if (input !== inputEmbeds) dispose(input);
    hiddenStates = result.hiddenStates; // [B, T, C]
    layers.push(result.layerCache);
  });
  const logits = tidy(inputEmbeds.gpu, () => lastLogits(weights, hiddenStates)); // [B, V]
  if (hiddenStates !== inputEmbeds) dispose(hiddenStates);
  return { logits, cache: { ...cache, length: cache.length + T, layers } };
}

/** Frees a step, but not its RoPE table, which all steps of a sequence share. */
export function releaseStep({ logits, cache }: DecoderStep): void {
  dispose(logits, cache.layers);
}

/** M-5.7. */
function checkStep({ config }: LlamaWeights, inputEmbeds: Tensor, cache: KeyValueCache): { T: number } {
  const { hiddenSize: C, keyValueHeadCount: G, headSize: D } = config;
  const { B, T } = dims(inputEmbeds, 'inputEmbeds [B, T, C]', { C });
  if (T === 0) throw new RangeError('decoderStep: expected at least one position, got none');
  for (const { keys } of cache.layers) dims(keys.room, 'cached keys [B, G, room, D]', { B, G, D });
  const { positions } = dims(cache.rope.cos, 'cos [positions, half]', { half: D / 2 });
  const most = Math.min(positions, cache.positionCount);
  if (cache.length + T > most) {
    throw new RangeError(
      `decoderStep: expected at most ${most} positions, for which the cache was made, got ${cache.length + T}`,
    );
  }
  return { T };
}

function llamaLayer(
  hiddenStates: Tensor, // [B, T, C]
  layer: LlamaLayerWeights,
  { config }: LlamaWeights,
  cache: KeyValueCache,
  layerIndex: number,
): { hiddenStates: Tensor; layerCache: LayerCache } {
  const { headCount, keyValueHeadCount, normEps } = config;
  const attentionIn = rmsNorm(hiddenStates, layer.attentionNorm, normEps); //         [B, T, C]
  const unturnedQueries = splitHeads(linear(attentionIn, layer.query), headCount); //  [B, H, T, D]
  const unturnedKeys = splitHeads(linear(attentionIn, layer.key), keyValueHeadCount); // [B, G, T, D]
  const newValues = splitHeads(linear(attentionIn, layer.value), keyValueHeadCount); // [B, G, T, D]

  const queries = rope(unturnedQueries, cache.rope, cache.length); // [B, H, T, D]
  const newKeys = rope(unturnedKeys, cache.rope, cache.length); //    [B, G, T, D]
  const keys = grown(cache, layerIndex, 'keys', newKeys); //       [B, G, L, D]
  const values = grown(cache, layerIndex, 'values', newValues); // [B, G, L, D]

  const scaledQueries = scale(queries, 1 / Math.sqrt(config.headSize)); // [B, H, T, D]
  const seen = { causal: true, keyCount: keys.length };
  const context = mergeHeads(attention(scaledQueries, keys.room, values.room, seen)); // [B, T, H · D]
  const attended = linear(context, layer.output, hiddenStates); //                    [B, T, C]

  const mlpIn = rmsNorm(attended, layer.mlpNorm, normEps); //                           [B, T, C]
  const gated = gatedSilu(linear(mlpIn, layer.gate), linear(mlpIn, layer.up)); //     [B, T, intermediateSize]
  return {
    hiddenStates: linear(gated, layer.down, attended), // [B, T, C]
    layerCache: { keys, values },
  };
}

/** The cached rows of a layer with rows [B, G, T, D] behind them. */
function grown(
  { layers, positionCount }: KeyValueCache,
  layerIndex: number,
  part: keyof LayerCache,
  rows: Tensor,
): GrowingRows {
  const past = layers[layerIndex]?.[part] ?? growingRows(rows.gpu, rows.shape.with(2, positionCount));
  return appendRows(past, rows, positionCount);
}

/** The head of the last position only: hiddenStates [B, T, C] → [B, V]. */
function lastLogits({ config, norm, head }: LlamaWeights, hiddenStates: Tensor): Tensor {
  const { B, T, C } = dims(hiddenStates, 'hiddenStates [B, T, C]');
  const last = reshape(slice(hiddenStates, 1, T - 1, T), [B, C]); // [B, C]
  return linear(rmsNorm(last, norm, config.normEps), head); //       [B, V]
}

/** [B, T, H · D] → [B, H, T, D]. */
function splitHeads(x: Tensor, headCount: number): Tensor {
  const { B, T, width } = dims(x, 'x [B, T, width]');
  return permute(reshape(x, [B, T, headCount, width / headCount]), [0, 2, 1, 3]); // [B, H, T, D]
}

/** [B, H, T, D] → [B, T, H · D]. */
function mergeHeads(x: Tensor): Tensor {
  const { B, H, T, D } = dims(x, 'x [B, H, T, D]');
  return reshape(permute(x, [0, 2, 1, 3]), [B, T, H * D]); // [B, T, H · D]
}
