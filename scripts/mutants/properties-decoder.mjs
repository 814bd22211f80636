// Bugs of the projector, the splice and the decoder that properties catch.

const decoder = 'src/models/llama/decoder.ts';
const matmul = 'src/tensor/ops/matmul.ts';
const laws = ['spec/models/llama/decoder-laws.spec.ts'];

export const decoderPropertyMutants = [
  {
    id: 1201,
    bug: 'the bias of a projection is read by row instead of by column',
    file: matmul,
    edits: [
      ['sum += bias[column]; }', 'sum += bias[row % params.N]; }'],
      ['shift = bias[place]; }', 'shift = bias[row % params.N]; }'],
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
  },
  {
    id: 1204,
    bug: 'a step counts its positions from 0',
    file: decoder,
    edits: [
      ['rope(unturnedQueries, cache.rope, cache.length)', 'rope(unturnedQueries, cache.rope, 0)'],
      ['rope(unturnedKeys, cache.rope, cache.length)', 'rope(unturnedKeys, cache.rope, 0)'],
    ],
    specs: laws,
    properties: [68, 69, 78],
  },
  {
    id: 1205,
    bug: 'the cache puts its newest values first',
    file: decoder,
    edits: [['concat([past.values, newValues], 2)', 'concat([newValues, past.values], 2)']],
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
  },
  {
    id: 1207,
    bug: 'queries are turned, keys are not',
    file: decoder,
    edits: [
      ['const newKeys = rope(unturnedKeys, cache.rope, cache.length);', 'const newKeys = unturnedKeys;'],
    ],
    specs: laws,
    properties: [71],
  },
  {
    id: 1208,
    bug: 'query heads take turns with the key heads, also with those of other sequences',
    file: matmul,
    edits: [
      [
        'row / params.M / params.sharing * params.N + n',
        'row / params.M % (params.batchCount / params.sharing) * params.N + n',
      ],
      [
        'batch / params.sharing * params.N + min(column',
        'batch % (params.batchCount / params.sharing) * params.N + min(column',
      ],
    ],
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
  },
];
