// VisionZip: keep the tokens that CLS attends to, fold the others into a few. SPEC VZ-1 to VZ-4.
//
//   B images   N tokens: CLS, then P = N − 1 patches row by row   C channels   H heads   D channels per head
//   K dominant tokens, CLS included   M contextual tokens   R = N − K left over   S = R − M merged
//
// A name ending in Indices says which list it counts in: tokenIndices (0 is CLS), patchIndices (token − 1) or
// restIndices (position among the R tokens left over).
//
// (Yang et al., arXiv 2412.04467, sections 3.2 and 3.3; where paper and code differ, the authors'
// visionzip/clip_encoder.py.)

import {
  add,
  argmax,
  complement,
  concat,
  countMembers,
  dims,
  gatherIndices,
  gatherRows,
  gridPositions,
  groupMean,
  type IndexTensor,
  indexTensor,
  matmulTransposed,
  meanAxis,
  normalizeRows,
  repeatRows,
  reshape,
  ShapeError,
  shiftIndices,
  slice,
  sumAxis,
  type Tensor,
  tensor,
  tidy,
  topKIndices,
  topTwoGap,
} from '../tensor/index.ts';

/** What an encoder gives. The keys may be those of each head, or their mean over the heads. */
export type VisionZipInput = {
  readonly hiddenStates: Tensor; // [B, N, C]  output of the second-to-last encoder layer
  readonly clsAttention: Tensor; // [B, H, N]  attention of CLS in that layer, after the softmax
} & (
  | { readonly keys: Tensor; readonly meanKeys?: never } // [B, H, N, D]  of that layer, bias added, not scaled
  | { readonly meanKeys: Tensor; readonly keys?: never } // [B, N, D]
);

export interface VisionZipOptions {
  /** K, CLS included: 54 + 10 contextual ones are the 64 tokens of the paper. */
  readonly dominantCount: number;
  /** M. 0 prunes without merging, which the original cannot do. */
  readonly contextualCount: number;
  /** By default as the authors' code does it; 'paper-average' as the paper describes it (VZ-3.6). */
  readonly merge?: 'target-plus-mean' | 'paper-average';
  /** Columns of the patch grid, for the positions of kept patches; by default √P, if that is whole, else P. */
  readonly gridColumns?: number;
}

export interface VisionZipResult {
  readonly tokens: Tensor; //                         [B, K + M, C]  dominant, then contextual
  readonly keptTokenIndices: IndexTensor; //          [B, K]         ascending, the first is always 0
  readonly keptTokenIndicesByScore: IndexTensor; //   [B, K]         0, then the patches by falling score
  readonly keptPositions: IndexTensor; //             [B, K − 1, 2]  (row, column) of the kept patches, row by row
  readonly targetTokenIndices: IndexTensor; //        [B, M]         ascending
  readonly sourceTokenIndices: IndexTensor; //        [B, S]         ascending
  readonly assignment: IndexTensor; //                [B, S]         which target, 0 to M − 1, a source is folded into
  readonly sourceCounts: IndexTensor; //              [B, M]         how many sources a target has
  readonly scores: Tensor; //                         [B, P]         CLS attention of each patch, summed over heads
  readonly cutScores: Tensor; //                      [B, 2]         weakest kept, strongest left out; [B, 0]: no cut
  readonly assignmentMargins: Tensor; //              [B, S]         nearest target's cosine minus the next one's
}

/**
 * Reduces N visual tokens to K + M. Nothing is read back. Throws ShapeError if the inputs do not belong together,
 * RangeError if the counts do not fit (VZ-1). Where a score is NaN or infinite, it is not specified which tokens are kept:
 * WGSL lets comparisons assume that there are none. `checkScores` tells (VZ-2.7).
 */
export function visionZip(input: VisionZipInput, options: VisionZipOptions): VisionZipResult {
  const { hiddenStates, clsAttention } = input;
  const { N } = checkInput(input);
  checkVisionZipOptions(N, options);
  const {
    dominantCount,
    contextualCount,
    merge = 'target-plus-mean',
    gridColumns = defaultColumns(N - 1),
  } = options;

  return tidy(hiddenStates.gpu, () => {
    const selection = selectDominant(clsAttention, dominantCount, gridColumns);
    const { keptTokenIndices } = selection; //                        [B, K]
    const restTokenIndices = complement(keptTokenIndices, N); //      [B, R]  ascending

    const meanKeys = input.meanKeys ?? meanAxis(input.keys, 1); //    [B, N, D]
    const restTokens = gatherRows(hiddenStates, restTokenIndices); // [B, R, C]
    const restKeys = gatherRows(meanKeys, restTokenIndices); //       [B, R, D]

    const dominantTokens = gatherRows(hiddenStates, keptTokenIndices); // [B, K, C]
    const merged = mergeContextual(restTokens, restKeys, contextualCount, merge);
    return {
      tokens: concat([dominantTokens, merged.contextualTokens], 1), //                         [B, K + M, C]
      ...selection,
      targetTokenIndices: gatherIndices(restTokenIndices, merged.targetRestIndices), //        [B, M]
      sourceTokenIndices: gatherIndices(restTokenIndices, merged.sourceRestIndices), //        [B, S]
      assignment: merged.assignment,
      sourceCounts: countMembers(merged.assignment, contextualCount), //                       [B, M]
      assignmentMargins: merged.assignmentMargins,
    };
  });
}

/** VZ-1.2. */
function checkInput({ hiddenStates, clsAttention, keys, meanKeys }: VisionZipInput): { N: number } {
  const { B, N } = dims(hiddenStates, 'hiddenStates [B, N, C]');
  const { H } = dims(clsAttention, 'clsAttention [B, H, N]', { B, N });
  if ((keys === undefined) === (meanKeys === undefined)) {
    throw new ShapeError(
      `visionZip: expected keys or meanKeys, got ${keys === undefined ? 'neither' : 'both'}`,
    );
  }
  if (keys !== undefined) dims(keys, 'keys [B, H, N, D]', { B, H, N });
  else dims(meanKeys, 'meanKeys [B, N, D]', { B, N });
  return { N };
}

export type DominantSelection = Pick<
  VisionZipResult,
  'keptTokenIndices' | 'keptTokenIndicesByScore' | 'keptPositions' | 'scores' | 'cutScores'
>;

/**
 * VZ-2. CLS, and the K − 1 patches to which CLS pays most attention, summed over the heads. clsAttention [B, H, N];
 * gridColumns tells where a patch lies.
 */
export function selectDominant(
  clsAttention: Tensor,
  dominantCount: number,
  gridColumns: number,
): DominantSelection {
  const { B, N } = dims(clsAttention, 'clsAttention [B, H, N]');
  return tidy(clsAttention.gpu, () => {
    const summed = sumAxis(clsAttention, 1); // [B, N]
    const scores = slice(summed, 1, 1, N); //   [B, P]  without what CLS pays to itself

    const keptPatchIndices = topKIndices(scores, dominantCount - 1, 'position'); // [B, K − 1]
    // By falling score, and the first patch that is left out behind them, if there is one.
    const best = topKIndices(scores, Math.min(dominantCount, N - 1), 'score'); //   [B, K] or [B, P]  patchIndices
    const byScore = slice(best, 1, 0, dominantCount - 1); //                        [B, K − 1]  patchIndices
    const cls = repeatRows(indexTensor(clsAttention.gpu, Uint32Array.of(0), [1]), B); // [B, 1]
    return {
      keptTokenIndices: concat([cls, shiftIndices(keptPatchIndices, 1)], 1), // [B, K]
      keptTokenIndicesByScore: concat([cls, shiftIndices(byScore, 1)], 1), //   [B, K]
      keptPositions: gridPositions(keptPatchIndices, gridColumns), //           [B, K − 1, 2]
      scores,
      cutScores: scoresAtCut(scores, best, dominantCount - 1), //               [B, 2] or [B, 0]
    };
  });
}

/**
 * The k-th largest score and the one behind it, whose places are the last of best [B, k + 1]: scores [B, P] → [B, 2];
 * [B, 0] where all or none are taken.
 */
function scoresAtCut(scores: Tensor, best: IndexTensor, k: number): Tensor {
  const { B, P } = dims(scores, 'scores [B, P]');
  if (k === 0 || k === P) return slice(scores, 1, 0, 0); //                 [B, 0]
  const atCut = slice(best, 1, k - 1, k + 1); //                            [B, 2]
  return reshape(gatherRows(reshape(scores, [B, P, 1]), atCut), [B, 2]); // [B, 2]
}

export interface ContextualMerge {
  readonly contextualTokens: Tensor; //       [B, M, C]
  readonly targetRestIndices: IndexTensor; // [B, M]  ascending
  readonly sourceRestIndices: IndexTensor; // [B, S]  ascending
  readonly assignment: IndexTensor; //        [B, S]  0 to M − 1
  readonly assignmentMargins: Tensor; //      [B, S]
}

/**
 * VZ-3. Evenly spaced targets; each other token is folded into the target nearest by key.
 * tokens [B, R, C], keys [B, R, D], M ≤ R.
 */
export function mergeContextual(
  tokens: Tensor,
  keys: Tensor,
  contextualCount: number,
  merge: 'target-plus-mean' | 'paper-average' = 'target-plus-mean',
): ContextualMerge {
  const { B, R } = dims(tokens, 'tokens [B, R, C]');
  dims(keys, 'keys [B, R, D]', { B, R });
  if (contextualCount === 0) return nothingMerged(tokens);
  return tidy(tokens.gpu, () => {
    const targetRestIndices = evenTargets(tokens, contextualCount); // [B, M]
    const sourceRestIndices = complement(targetRestIndices, R); //     [B, S]  ascending

    const directions = normalizeRows(keys); // [B, R, D]  unit length, so that the dot product is the cosine
    const sourceKeys = gatherRows(directions, sourceRestIndices); // [B, S, D]
    const targetKeys = gatherRows(directions, targetRestIndices); // [B, M, D]
    const similarity = matmulTransposed(sourceKeys, targetKeys); //  [B, S, M]
    const assignment = argmax(similarity); //                        [B, S]  ties to the lower target (VZ-3.4)

    const sourceTokens = gatherRows(tokens, sourceRestIndices); // [B, S, C]
    const targetTokens = gatherRows(tokens, targetRestIndices); // [B, M, C]
    const combine = { 'target-plus-mean': targetPlusMean, 'paper-average': paperAverage }[merge];
    return {
      contextualTokens: combine(targetTokens, sourceTokens, assignment), // [B, M, C]
      targetRestIndices,
      sourceRestIndices,
      assignment,
      assignmentMargins: topTwoGap(similarity), // [B, S]
    };
  });
}

/** VZ-3.7. Without targets nothing is merged, and there are no sources. */
function nothingMerged(tokens: Tensor): ContextualMerge {
  const { B } = dims(tokens, 'tokens [B, R, C]');
  const noIndices = (): IndexTensor => indexTensor(tokens.gpu, new Uint32Array(0), [B, 0]);
  return {
    contextualTokens: slice(tokens, 1, 0, 0), // [B, 0, C]
    targetRestIndices: noIndices(),
    sourceRestIndices: noIndices(),
    assignment: noIndices(),
    assignmentMargins: tensor(tokens.gpu, new Float32Array(0), [B, 0]),
  };
}

/** VZ-3.1. The first M multiples of ⌊R / M⌋ (at least 1), the same ones for each image: → [B, M] restIndices. */
function evenTargets(tokens: Tensor, contextualCount: number): IndexTensor {
  const { B, R } = dims(tokens, 'tokens [B, R, C]');
  const stride = Math.max(1, Math.floor(R / contextualCount));
  const everyStride = Uint32Array.from({ length: contextualCount }, (_, m) => m * stride);
  return repeatRows(indexTensor(tokens.gpu, everyStride, [contextualCount]), B); // [B, M]
}

/** VZ-3.5. Target + mean of its sources. Not the mean of the whole group; that is the authors' algorithm. */
function targetPlusMean(targetTokens: Tensor, sourceTokens: Tensor, assignment: IndexTensor): Tensor {
  const { M } = dims(targetTokens, 'targetTokens [B, M, C]');
  return add(targetTokens, groupMean(sourceTokens, assignment, M)); // [B, M, C]
}

/** VZ-3.6. The mean of the target and its sources together. */
function paperAverage(targetTokens: Tensor, sourceTokens: Tensor, assignment: IndexTensor): Tensor {
  const { B, M } = dims(targetTokens, 'targetTokens [B, M, C]');
  const own = indexTensor(
    targetTokens.gpu,
    Uint32Array.from({ length: M }, (_, m) => m),
    [M],
  );
  const members = concat([repeatRows(own, B), assignment], 1); //     [B, M + S]
  const memberTokens = concat([targetTokens, sourceTokens], 1); //    [B, M + S, C]
  return groupMean(memberTokens, members, M); //                      [B, M, C]
}

function defaultColumns(P: number): number {
  const side = Math.round(Math.sqrt(P));
  return Math.max(1, side * side === P ? side : P);
}

/** VZ-1. Throws RangeError unless the counts fit N tokens and the other options are ones there are. */
export function checkVisionZipOptions(N: number, options: VisionZipOptions): void {
  const { dominantCount, contextualCount, merge, gridColumns } = options;
  const areCounts = Number.isInteger(dominantCount) && Number.isInteger(contextualCount);
  if (!areCounts || dominantCount < 1 || contextualCount < 0 || dominantCount + contextualCount > N) {
    throw new RangeError(
      `visionZip: expected dominantCount >= 1 and contextualCount >= 0, at most ${N} together, ` +
        `got ${dominantCount} and ${contextualCount}`,
    );
  }
  if (merge !== undefined && merge !== 'target-plus-mean' && merge !== 'paper-average') {
    throw new RangeError(`visionZip: expected merge target-plus-mean or paper-average, got ${String(merge)}`);
  }
  if (
    gridColumns !== undefined &&
    (!Number.isInteger(gridColumns) || gridColumns < 1 || (N - 1) % gridColumns !== 0)
  ) {
    throw new RangeError(`visionZip: expected gridColumns to divide ${N - 1} patches, got ${gridColumns}`);
  }
}
