// Bugs of VisionZip itself.

const zip = 'src/visionzip/vision-zip.ts';
const groupMean = 'src/tensor/ops/group-mean.ts';

export const visionZipMutants = [
  {
    id: 42,
    bug: 'keys of the first head only',
    file: zip,
    edits: [
      [
        'input.meanKeys ?? meanAxis(input.keys, 1)',
        'input.meanKeys ?? meanAxis(slice(input.keys, 1, 0, 1), 1)',
      ],
    ],
  },
  {
    id: 47,
    bug: 'scores of the first head only',
    file: zip,
    edits: [['sumAxis(clsAttention, 1)', 'sumAxis(slice(clsAttention, 1, 0, 1), 1)']],
  },
  {
    id: 50,
    bug: 'mean over the heads instead of sum',
    file: zip,
    edits: [['sumAxis(clsAttention, 1)', 'meanAxis(clsAttention, 1)']],
  },
  {
    id: 51,
    bug: 'what CLS pays to itself is a score',
    file: zip,
    edits: [['slice(summed, 1, 1, N)', 'slice(summed, 1, 0, N - 1)']],
  },
  {
    id: 52,
    bug: 'CLS is not counted in the dominant tokens',
    file: zip,
    edits: [
      [
        "topKIndices(scores, dominantCount - 1, 'position')",
        "topKIndices(scores, Math.min(dominantCount, N - 1), 'position')",
      ],
    ],
  },
  {
    id: 53,
    bug: 'the smallest scores are kept',
    file: 'src/tensor/ops/top-k.ts',
    edits: [['x[j] > x[i] ||', 'x[j] < x[i] ||']],
  },
  {
    id: 55,
    bug: 'patch indices are returned as token indices',
    file: zip,
    edits: [['shiftIndices(keptPatchIndices, 1)', 'shiftIndices(keptPatchIndices, 0)']],
  },
  {
    id: 56,
    bug: 'dominant tokens in the order of their scores',
    quick: true,
    file: zip,
    edits: [
      [
        'gatherRows(hiddenStates, keptTokenIndices)',
        'gatherRows(hiddenStates, selection.keptTokenIndicesByScore)',
      ],
    ],
  },
  {
    id: 57,
    bug: 'CLS is not kept',
    file: zip,
    edits: [
      [
        'keptTokenIndices: concat([cls, shiftIndices(keptPatchIndices, 1)], 1)',
        "keptTokenIndices: shiftIndices(topKIndices(scores, Math.min(dominantCount, N - 1), 'position'), 1)",
      ],
    ],
  },
  {
    id: 58,
    bug: 'CLS is kept, but stands last',
    file: zip,
    edits: [
      [
        'keptTokenIndices: concat([cls, shiftIndices(keptPatchIndices, 1)], 1)',
        'keptTokenIndices: concat([shiftIndices(keptPatchIndices, 1), cls], 1)',
      ],
    ],
  },
  {
    id: 60,
    bug: 'the stride between targets is rounded up',
    quick: true,
    file: zip,
    edits: [
      [
        'Math.floor(R / contextualCount)',
        'Math.min(Math.ceil(R / contextualCount), Math.floor((R - 1) / Math.max(1, contextualCount - 1)))',
      ],
    ],
  },
  {
    id: 61,
    bug: 'targets are spaced over all tokens that are left (linspace)',
    file: zip,
    edits: [
      [
        '(_, m) => m * stride',
        '(_, m) => Math.floor((m * (R - 1)) / Math.max(1, contextualCount - 1)) + 0 * stride',
      ],
    ],
  },
  {
    id: 62,
    bug: 'the first tokens are the targets',
    file: zip,
    edits: [['(_, m) => m * stride', '(_, m) => m + 0 * stride']],
  },
  {
    id: 63,
    bug: 'targets stand in the middle of their strides',
    file: zip,
    edits: [['(_, m) => m * stride', '(_, m) => m * stride + Math.floor(stride / 2)']],
  },
  {
    id: 64,
    bug: 'the last multiples are the targets',
    file: zip,
    edits: [['(_, m) => m * stride', '(_, m) => R - 1 - (contextualCount - 1 - m) * stride']],
  },
  {
    id: 67,
    bug: 'targets are among their own members',
    file: zip,
    edits: [
      [
        'return add(targetTokens, groupMean(sourceTokens, assignment, M));',
        'return add(targetTokens, paperAverage(targetTokens, sourceTokens, assignment));',
      ],
    ],
  },
  {
    id: 68,
    bug: 'plain products instead of cosines',
    quick: true,
    file: zip,
    edits: [['const directions = normalizeRows(keys);', 'const directions = keys;']],
  },
  {
    id: 69,
    bug: 'only the sources are normalised',
    file: zip,
    edits: [['gatherRows(directions, targetRestIndices)', 'gatherRows(keys, targetRestIndices)']],
  },
  {
    id: 71,
    bug: 'keys are divided by the sum of their magnitudes',
    file: 'src/tensor/ops/normalize.ts',
    edits: [
      [
        'let norm = sqrt(groupSum(lane, squares));',
        'var total = 0.0;\n      for (var i = lane; i < params.rowLength; i += lanes) { total += abs(x[first + i]); }\n      let norm = groupSum(lane, total) + 0.0 * squares;',
      ],
    ],
  },
  {
    id: 74,
    bug: 'the largest square of the cosine',
    file: zip,
    edits: [
      ['argmax(similarity)', 'argmax(multiply(similarity, similarity))'],
      ['  meanAxis,\n', '  meanAxis,\n  multiply,\n'],
    ],
  },
  {
    id: 73,
    bug: 'the smallest cosine',
    file: zip,
    edits: [
      ['argmax(similarity)', 'argmax(scale(similarity, -1))'],
      ['  repeatRows,\n', '  repeatRows,\n  scale,\n'],
    ],
  },
  {
    id: 76,
    bug: 'the mean of no members is 0 / 0',
    quick: true,
    file: groupMean,
    edits: [['f32(max(count, 1u))', 'f32(count)']],
  },
  {
    id: 77,
    bug: 'the average of target and members',
    quick: true,
    file: zip,
    edits: [["'target-plus-mean': targetPlusMean", "'target-plus-mean': paperAverage"]],
  },
  {
    id: 78,
    bug: 'the mean of the members replaces the target',
    file: zip,
    edits: [
      [
        'return add(targetTokens, groupMean(sourceTokens, assignment, M));',
        'return groupMean(sourceTokens, assignment, M);',
      ],
    ],
  },
  {
    id: 79,
    bug: 'the sum of the members instead of their mean',
    file: groupMean,
    edits: [['sum / f32(max(count, 1u))', 'sum']],
  },
  {
    id: 80,
    bug: 'the target and the mean of its members, averaged',
    file: zip,
    edits: [
      [
        'return add(targetTokens, groupMean(sourceTokens, assignment, M));',
        'return scale(add(targetTokens, groupMean(sourceTokens, assignment, M)), 0.5);',
      ],
      ['  repeatRows,\n', '  repeatRows,\n  scale,\n'],
    ],
  },
  {
    id: 81,
    bug: 'targets are left as they are',
    file: zip,
    edits: [['return add(targetTokens, groupMean(sourceTokens, assignment, M));', 'return targetTokens;']],
  },
  {
    id: 82,
    bug: 'divided by all sources',
    file: groupMean,
    edits: [['sum / f32(max(count, 1u))', 'sum / f32(max(params.S, 1u))']],
  },
  {
    id: 83,
    bug: 'divided by one too many',
    file: groupMean,
    edits: [['sum / f32(max(count, 1u))', 'sum / f32(count + 1u)']],
  },
  {
    id: 84,
    bug: 'contextual tokens before the dominant ones',
    file: zip,
    edits: [
      [
        'concat([dominantTokens, merged.contextualTokens], 1)',
        'concat([merged.contextualTokens, dominantTokens], 1)',
      ],
    ],
  },
  {
    id: 153,
    bug: 'rows are gathered from the first image of the batch',
    file: 'src/tensor/ops/gather.ts',
    edits: [['let row = place / params.K * params.N + indices[place];', 'let row = indices[place];']],
  },
].map((mutant) => ({ ...mutant, group: 'select-merge' }));
