// Bugs of VisionZip that properties catch.

import { bugOf } from './goldens.mjs';

const zip = 'src/visionzip/vision-zip.ts';
const groupMean = 'src/tensor/ops/group-mean.ts';
const normalize = 'src/tensor/ops/normalize.ts';

export const visionZipPropertyMutants = [
  {
    id: 1121,
    ...bugOf(84),
    properties: [37, 38, 49, 52, 53],
    clauses: ['VZ-2.4'],
  },
  {
    id: 1122,
    ...bugOf(53),
    properties: [39, 41],
    clauses: ['VZ-2.2'],
  },
  {
    id: 1123,
    bug: 'scores go through a softmax',
    file: zip,
    edits: [
      ['const scores = slice(summed, 1, 1, N);', 'const scores = softmax(slice(summed, 1, 1, N));'],
      ['  slice,\n  sumAxis,\n', '  slice,\n  softmax,\n  sumAxis,\n'],
    ],
    properties: [40],
    clauses: ['VZ-2.1'],
  },
  {
    id: 1124,
    bug: 'patches are kept at even steps, whatever their scores',
    file: zip,
    edits: [
      [
        "const keptPatchIndices = topKIndices(scores, dominantCount - 1, 'position');",
        'const steps = Uint32Array.from({ length: dominantCount - 1 }, (_, k) => Math.floor((k * (N - 1)) / (dominantCount - 1)));' +
          'const keptPatchIndices = repeatRows(indexTensor(scores.gpu, steps, [dominantCount - 1]), B);',
      ],
    ],
    properties: [39, 42, 43],
  },
  {
    id: 1125,
    bug: 'tokens are merged by their hidden states',
    file: zip,
    edits: [
      [
        'const restKeys = gatherRows(meanKeys, restTokenIndices);',
        'const restKeys = gatherRows(meanKeys === undefined ? meanKeys : hiddenStates, restTokenIndices);',
      ],
    ],
    properties: [44, 54],
  },
  {
    id: 1126,
    bug: 'plain products instead of cosines',
    file: zip,
    edits: [
      ['const directions = normalizeRows(keys);', 'const directions = scale(keys, 1);'],
      ['  normalizeRows,\n', '  scale,\n'],
    ],
    properties: [45],
    clauses: ['VZ-3.3'],
  },
  {
    id: 1127,
    bug: 'keys are divided by the sum of their channels',
    file: normalize,
    edits: [
      [
        'let norm = sqrt(groupSum(lane, squares));',
        'var total = 0.0;\n      for (var i = lane; i < params.rowLength; i += 64u) { total += x[first + i]; }\n      let norm = groupSum(lane, total) + 0.0 * squares;',
      ],
    ],
    properties: [46, 47, 48],
  },
  {
    id: 1128,
    ...bugOf(79),
    properties: [49, 51, 54],
  },
  {
    id: 1129,
    bug: 'sums saturate',
    file: groupMean,
    edits: [['y[i] = sum / f32', 'y[i] = clamp(sum, -2.0, 2.0) / f32']],
    properties: [50],
  },
  {
    id: 1130,
    ...bugOf(76),
    properties: [51, 52, 53],
  },
  {
    id: 1131,
    ...bugOf(60),
    properties: [55],
    clauses: ['VZ-3.1'],
  },
  {
    id: 1132,
    bug: 'only the first member is counted',
    file: groupMean,
    edits: [['if (group[s] == g) {', 'if (group[s] == g && count == 0u) {']],
    properties: [49, 56],
  },
  {
    id: 1133,
    ...bugOf(153),
    properties: [57],
    clauses: ['VZ-4.2'],
  },
  {
    id: 1134,
    bug: 'the kept tokens by score are in the order of their places',
    file: zip,
    edits: [
      [
        "topKIndices(scores, Math.min(dominantCount, N - 1), 'score')",
        "topKIndices(scores, Math.min(dominantCount, N - 1), 'position')",
      ],
    ],
    properties: [58],
  },
].map((mutant) => ({
  ...mutant,
  specs: ['spec/visionzip/vision-zip.spec.ts', 'spec/visionzip/vision-zip-laws.spec.ts'],
}));
