// Bugs of the projector, the splice and the decoder that properties catch.

import { bugOf } from './goldens.mjs';

const decoder = 'src/models/llama/decoder.ts';
const laws = ['spec/models/llama/decoder-laws.spec.ts'];

export const decoderPropertyMutants = [
  {
    id: 1201,
    bug: 'the projector reads its hidden layer transposed',
    file: 'src/models/llava/llava.ts',
    edits: [
      [
        'return tidy(gpu, () => linear(gelu(linear(tokens, projector.linear1)), projector.linear2));',
        'return tidy(gpu, () => { const hidden = gelu(linear(tokens, projector.linear1)); return linear(reshape(permute(hidden, [0, 2, 1]), hidden.shape), projector.linear2); });',
      ],
      ['  lookup,\n', '  lookup,\n  permute,\n'],
    ],
    specs: ['spec/models/llava/splice-laws.spec.ts'],
    properties: [59],
  },
  {
    id: 1202,
    bug: 'the picture is put behind the text',
    file: 'src/models/llava/llava.ts',
    edits: [['concat([before, projectedTokens, after], 1)', 'concat([before, after, projectedTokens], 1)']],
    specs: ['spec/models/llava/splice-laws.spec.ts'],
    properties: [64],
  },
  {
    id: 1203,
    bug: 'a position sees the one behind it',
    file: 'src/tensor/ops/softmax.ts',
    edits: [['row % params.rowsPerMatrix + 1u,', 'row % params.rowsPerMatrix + 2u,']],
    specs: laws,
    properties: [67, 68, 69, 73, 78],
    clauses: ['M-5.3'],
  },
  {
    id: 1204,
    ...bugOf(124),
    specs: laws,
    properties: [68, 69, 78],
    clauses: ['M-5.4'],
  },
  {
    id: 1205,
    ...bugOf(126),
    specs: laws,
    properties: [68, 69, 78],
  },
  {
    id: 1206,
    bug: 'one of the two sines of a turn has the wrong sign',
    file: 'src/tensor/ops/rope.ts',
    edits: [
      ['x[high] * cosine[angle] + x[low] * sine[angle]', 'x[high] * cosine[angle] - x[low] * sine[angle]'],
    ],
    specs: ['spec/tensor/ops/rope.spec.ts', ...laws],
    properties: [70, 71],
    clauses: ['M-5.2'],
  },
  {
    id: 1207,
    ...bugOf(110),
    specs: laws,
    properties: [71],
  },
  {
    id: 1208,
    ...bugOf(115),
    specs: laws,
    properties: [72, 76],
  },
  {
    id: 1209,
    bug: 'the head is the embedding, tied or not',
    file: decoder,
    edits: [
      ['lastLogits({ config, norm, head }:', 'lastLogits({ config, norm, tokenEmbedding }:'],
      ['config.normEps), head);', 'config.normEps), { weight: tokenEmbedding });'],
    ],
    specs: laws,
    properties: [74],
    clauses: ['M-5.5'],
  },
  {
    id: 1210,
    bug: 'logits are those of the first position',
    file: decoder,
    edits: [['slice(hiddenStates, 1, T - 1, T)', 'slice(hiddenStates, 1, 0, 1)']],
    specs: laws,
    properties: [68, 75],
  },
  {
    id: 1211,
    bug: 'of equal logits the last one wins',
    file: 'src/tensor/ops/reduce.ts',
    edits: [
      [
        'bestValue[other] == bestValue[lane] && bestIndex[other] < bestIndex[lane];\n          if (larger || earlier)',
        'bestValue[other] == bestValue[lane] && bestIndex[other] > bestIndex[lane];\n          if (larger || earlier)',
      ],
    ],
    specs: ['spec/models/llava/decode.spec.ts'],
    properties: [77],
    clauses: ['M-7.1'],
  },
];
