// Bugs of VisionZip, its overlay and its files, that the tests of clauses catch. Numbers below 200 are those of the
// published list of bugs in ports.

import { bugOf } from './goldens.mjs';

const finite = 'src/visionzip/zip-tensors.ts';
const zip = 'src/visionzip/vision-zip.ts';

const byVisionZip = [
  {
    id: 3101,
    bug: 'one token more than there are may be asked for',
    edits: [['dominantCount + contextualCount > N) {', 'dominantCount + contextualCount > N + 1) {']],
    clauses: ['VZ-1.1'],
  },
  {
    id: 3203,
    bug: 'of equal scores the higher patch wins',
    file: 'src/tensor/ops/top-k.ts',
    edits: [['(x[j] == x[i] && j < i)', '(x[j] == x[i] && j > i)']],
    clauses: ['VZ-2.3'],
  },
  {
    id: 3205,
    bug: 'the places of kept patches are counted in a square grid, whatever is said',
    edits: [
      [
        'gridPositions(keptPatchIndices, gridColumns)',
        'gridPositions(keptPatchIndices, defaultColumns(N - 1) + 0 * gridColumns)',
      ],
    ],
    clauses: ['VZ-2.5'],
  },
  {
    id: 3206,
    bug: 'the weakest kept score stands in the place of the strongest left out',
    edits: [
      [
        'const atCut = slice(best, 1, k - 1, k + 1);',
        'const atCut = concat([slice(best, 1, k - 1, k), slice(best, 1, k - 1, k)], 1);',
      ],
    ],
    clauses: ['VZ-2.6'],
  },
  {
    id: 59,
    bug: 'kept tokens are merged, too',
    edits: [
      [
        'const restTokenIndices = complement(keptTokenIndices, N);',
        'const restTokenIndices = complement(slice(keptTokenIndices, 1, 0, 1), N);',
      ],
    ],
    clauses: ['VZ-3.2'],
  },
  {
    id: 3304,
    bug: 'of equal similarities the last target wins',
    file: 'src/tensor/ops/reduce.ts',
    edits: [
      [
        'bestValue[other] == bestValue[lane] && bestIndex[other] < bestIndex[lane];\n          if (larger || earlier)',
        'bestValue[other] == bestValue[lane] && bestIndex[other] > bestIndex[lane];\n          if (larger || earlier)',
      ],
    ],
    clauses: ['VZ-3.4'],
  },
  {
    id: 3305,
    ...bugOf(77),
    clauses: ['VZ-3.5'],
  },
  {
    id: 3306,
    bug: '"paper-average" does what the default does',
    edits: [["'paper-average': paperAverage }[merge]", "'paper-average': targetPlusMean }[merge]"]],
    clauses: ['VZ-3.6'],
  },
  {
    id: 3307,
    bug: 'without contextual tokens the first token left over is kept along',
    edits: [
      [
        'contextualTokens: slice(tokens, 1, 0, 0),',
        'contextualTokens: slice(tokens, 1, 0, Math.min(1, tokens.shape[1] as number)),',
      ],
    ],
    clauses: ['VZ-3.7'],
  },
  {
    id: 3308,
    bug: 'a key of length zero is divided by its length',
    file: 'src/tensor/ops/normalize.ts',
    edits: [
      ['y[first + i] = select(0.0, x[first + i] / norm, norm > 0.0);', 'y[first + i] = x[first + i] / norm;'],
    ],
    clauses: ['VZ-3.8'],
  },
  {
    id: 70,
    bug: 'only the targets are normalised',
    edits: [['gatherRows(directions, sourceRestIndices)', 'gatherRows(keys, sourceRestIndices)']],
    clauses: ['VZ-3.9'],
  },
  {
    id: 3401,
    bug: 'contextual tokens are left out of the result',
    edits: [['tokens: concat([dominantTokens, merged.contextualTokens], 1),', 'tokens: dominantTokens,']],
    clauses: ['VZ-4.1'],
  },
  {
    id: 3403,
    bug: 'CLS is not counted in the budget of 64',
    file: 'src/visionzip/zipped-llava.ts',
    edits: [['dominantCount: 54, contextualCount: 10', 'dominantCount: 55, contextualCount: 10']],
    clauses: ['VZ-4.3'],
  },
].map((mutant) => ({ file: zip, ...mutant, specs: ['spec/visionzip/vision-zip.spec.ts'] }));

const byTensorFile = [
  {
    id: 3102,
    bug: 'of keys and their mean both may be given',
    file: zip,
    edits: [
      [
        'if ((keys === undefined) === (meanKeys === undefined)) {',
        'if (keys === undefined && meanKeys === undefined) {',
      ],
    ],
    clauses: ['VZ-1.2'],
  },
  {
    id: 3601,
    bug: 'the row of the first patch is taken for that of CLS',
    edits: [
      [
        'data.subarray(head * N * N, head * N * N + N)',
        'data.subarray(head * N * N + N, head * N * N + 2 * N)',
      ],
    ],
    clauses: ['VZ-6.1'],
  },
  {
    id: 3602,
    bug: 'an axis may be empty',
    edits: [['if (!fits || shape.includes(0)) {', 'if (!fits) {']],
    clauses: ['VZ-6.2'],
  },
  {
    id: 3603,
    bug: 'infinity is let through',
    quick: true,
    edits: [
      [
        'data.findIndex((value) => !Number.isFinite(value))',
        'data.findIndex((value) => Number.isNaN(value))',
      ],
    ],
    clauses: ['VZ-6.3'],
  },
].map((mutant) => ({ file: finite, ...mutant, specs: ['spec/visionzip/zip-tensors.spec.ts'] }));

export const visionZipClauseMutants = [
  ...byVisionZip,
  ...byTensorFile,
  {
    id: 3207,
    bug: 'an answer begins without a look at the scores',
    file: 'src/visionzip/zipped-llava.ts',
    edits: [
      [
        'return { ...prefill(llava, inputEmbeds, options), check: checkScores(scores) };',
        'return prefill(llava, inputEmbeds, options);',
      ],
    ],
    clauses: ['VZ-2.7'],
    tests: 'weights of NaN',
    specs: ['spec/visionzip/finite-scores.spec.ts'],
  },
  {
    id: 3404,
    ...bugOf(60),
    clauses: ['VZ-4.4'],
    tests: 'scene-0',
    specs: ['spec/visionzip/cases.spec.ts'],
  },
  {
    id: 3501,
    bug: 'sources are framed, too',
    file: 'src/visionzip/overlay.ts',
    edits: [['targets.has(patch) && inset < frame', 'targets.size > 0 && inset < frame']],
    clauses: ['VZ-5.1'],
    specs: ['spec/visionzip/overlay.spec.ts'],
  },
  {
    id: 3604,
    bug: 'the number of sources is written under another name',
    file: 'src/cli/zip-tensors.ts',
    edits: [['counts: result.sourceCounts,', 'sourceCounts: result.sourceCounts,']],
    clauses: ['VZ-6.4'],
    build: true,
    specs: ['spec/cli/zip-tensors.spec.ts'],
  },
];
