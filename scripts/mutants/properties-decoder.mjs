// Bugs of the projector, the splice and the decoder that properties catch.

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
    file: 'src/tensor/ops/attention.ts',
    edits: [
      [
        'const flatKeys = reshape(keys, [B * G, L, D]);',
        'const flatKeys = concat(Array.from({ length: H / G }, () => reshape(keys, [B * G, L, D])), 0);',
      ],
      [
        'const flatValues = reshape(values, [B * G, L, D]);',
        'const flatValues = concat(Array.from({ length: H / G }, () => reshape(values, [B * G, L, D])), 0);',
      ],
      [
        "import { matmul, matmulTransposed } from './matmul.ts';",
        "import { concat } from './layout.ts'; import { matmul, matmulTransposed } from './matmul.ts';",
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
