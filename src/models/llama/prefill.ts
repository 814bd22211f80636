// A decoder step over many positions, in parts where memory asks for it. SPEC M-5.9.
//
//   B sequences   T new positions   C channels
//
// What a layer needs while it runs grows with the positions of a step, and no tensor may be larger than a binding. Parts
// of a sequence, one after the other, give what the whole gives (M-5.4).

import { dims, dispose, roomBytes, slice, type Tensor, tidy } from '../../tensor/index.ts';
import type { LlamaConfig } from '../checkpoint/config.ts';
import { type DecoderStep, decoderStep, type KeyValueCache, releaseStep } from './decoder.ts';
import type { LlamaWeights } from './weights.ts';

/**
 * Appends inputEmbeds [B, T, C] to the sequence of `cache` as `decoderStep` does, at most `longest` positions at a time; by
 * default as many as fit. Throws as it does.
 */
export function prefillInParts(
  weights: LlamaWeights,
  inputEmbeds: Tensor,
  cache: KeyValueCache,
  longest: number = longestStep(inputEmbeds, weights.config),
): DecoderStep {
  const { T } = dims(inputEmbeds, 'inputEmbeds [B, T, C]');
  if (T <= longest) return decoderStep(weights, inputEmbeds, cache);
  return tidy(inputEmbeds.gpu, () => {
    let step: DecoderStep | null = null;
    for (let begin = 0; begin < T; begin += longest) {
      const before: DecoderStep | null = step;
      const part = slice(inputEmbeds, 1, begin, Math.min(begin + longest, T)); // [B, longest, C]
      step = decoderStep(weights, part, before?.cache ?? cache);
      dispose(part);
      if (before !== null) releaseStep(before);
    }
    return step as DecoderStep;
  });
}

/** How many positions of B sequences a step may have: every tensor of a layer is bindable, and the layer fits in memory. */
function longestStep(inputEmbeds: Tensor, config: LlamaConfig): number {
  const { gpu } = inputEmbeds;
  const { B } = dims(inputEmbeds, 'inputEmbeds [B, T, C]');
  const { hiddenSize, intermediateSize, headCount, headSize } = config;
  const widest = Math.max(hiddenSize, intermediateSize, headCount * headSize);
  const byBinding = gpu.device.limits.maxStorageBufferBindingSize / (4 * B * widest);
  const byMemory = (roomBytes(gpu) ?? Number.POSITIVE_INFINITY) / (4 * B * TENSORS_AT_ONCE * widest);
  return Math.max(1, Math.floor(Math.min(byBinding, byMemory)));
}

// Of a layer: the residual, four products of the MLP, and what rounding up to size classes leaves unused.
const TENSORS_AT_ONCE = 8;
