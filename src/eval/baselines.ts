// Ways to reduce a picture to V tokens, to measure VisionZip against. SPEC E-1.7.
//
//   B images   N tokens: CLS, then P = N − 1 patches   V visual tokens   C channels

import type { ClipEncoding } from '../models/index.ts';
import { dims, gatherRows, indexTensor, repeatRows, type Tensor, tidy } from '../tensor/index.ts';
import { visionZip } from '../visionzip/index.ts';
import { type Random, sample } from './random.ts';

/** V patches drawn at random, in the order of their places: → [B, V, C], the same places for each image. */
export function randomPatches(encoding: ClipEncoding, visualTokens: number, random: Random): Tensor {
  const P = checkCount('randomPatches', encoding, visualTokens);
  const ascending = sample(random, P, visualTokens).sort((a, b) => a - b);
  return patchesAt(encoding, ascending);
}

/** The patches ⌊i P / V⌋, i = 0 … V − 1: → [B, V, C]. */
export function uniformPatches(encoding: ClipEncoding, visualTokens: number): Tensor {
  const P = checkCount('uniformPatches', encoding, visualTokens);
  return patchesAt(
    encoding,
    Array.from({ length: visualTokens }, (_, i) => Math.floor((i * P) / visualTokens)),
  );
}

/** CLS and the V − 1 patches that it attends to most, nothing merged (VZ-3.7): → [B, V, C]. */
export function clsTopK(encoding: ClipEncoding, visualTokens: number): Tensor {
  checkCount('clsTopK', encoding, visualTokens);
  return tidy(
    encoding.hiddenStates.gpu,
    () => visionZip(encoding, { dominantCount: visualTokens, contextualCount: 0 }).tokens,
  );
}

function patchesAt({ hiddenStates }: ClipEncoding, patchIndices: readonly number[]): Tensor {
  const { B } = dims(hiddenStates, 'hiddenStates [B, N, C]');
  const { gpu } = hiddenStates;
  return tidy(gpu, () => {
    const tokenIndices = Uint32Array.from(patchIndices, (index) => index + 1); // CLS is token 0
    const indices = indexTensor(gpu, tokenIndices, [tokenIndices.length]); //     [V]
    return gatherRows(hiddenStates, repeatRows(indices, B)); //                   [B, V, C]
  });
}

function checkCount(who: string, { hiddenStates }: ClipEncoding, visualTokens: number): number {
  const { N } = dims(hiddenStates, 'hiddenStates [B, N, C]');
  if (!Number.isInteger(visualTokens) || visualTokens < 1 || visualTokens > N - 1) {
    throw new RangeError(`${who}: expected 1 to ${N - 1} visual tokens, got ${visualTokens}`);
  }
  return N - 1;
}
