// Bugs of the Llama decoder.

const decoder = 'src/models/llama/decoder.ts';
const normalize = 'src/tensor/ops/normalize.ts';
const rope = 'src/tensor/ops/rope.ts';
const softmax = 'src/tensor/ops/softmax.ts';

export const decoderMutants = [
  {
    id: 105,
    bug: 'RoPE base 500,000 instead of the configured one',
    file: decoder,
    edits: [['config.headSize, config.ropeTheta', 'config.headSize, 5e5']],
  },
  {
    id: 154,
    bug: 'linear scaling is read and not applied',
    file: decoder,
    edits: [['config.ropeTheta, config.ropeFactor', 'config.ropeTheta, 1']],
  },
  {
    id: 106,
    bug: 'the exponent of the frequency lacks its factor 2',
    file: rope,
    edits: [['Math.fround((2 * d) / headSize)', 'Math.fround(d / headSize)']],
  },
  {
    id: 107,
    bug: 'RoPE turns backwards',
    file: rope,
    edits: [
      ['x[low] * cosine[angle] - x[high] * sine[angle]', 'x[low] * cosine[angle] + x[high] * sine[angle]'],
      ['x[high] * cosine[angle] + x[low] * sine[angle]', 'x[high] * cosine[angle] - x[low] * sine[angle]'],
    ],
  },
  {
    id: 108,
    bug: 'interleaved pairs instead of halves',
    quick: true,
    file: rope,
    edits: [
      [
        'let low = row * 2u * params.half + d;\n      let high = low + params.half;',
        'let low = row * 2u * params.half + 2u * d;\n      let high = low + 1u;',
      ],
    ],
  },
  {
    id: 109,
    bug: 'no RoPE',
    file: decoder,
    edits: [
      [
        'const queries = rope(unturnedQueries, cache.rope, cache.length);',
        'const queries = unturnedQueries;',
      ],
      ['const newKeys = rope(unturnedKeys, cache.rope, cache.length);', 'const newKeys = unturnedKeys;'],
    ],
  },
  {
    id: 110,
    bug: 'RoPE on the queries only',
    file: decoder,
    edits: [
      ['const newKeys = rope(unturnedKeys, cache.rope, cache.length);', 'const newKeys = unturnedKeys;'],
    ],
  },
  {
    id: 111,
    bug: 'RoPE on the values, too',
    file: decoder,
    edits: [
      [
        'const newValues = splitHeads(linear(attentionIn, layer.value), keyValueHeadCount);',
        'const newValues = rope(splitHeads(linear(attentionIn, layer.value), keyValueHeadCount), cache.rope, cache.length);',
      ],
    ],
  },
  {
    id: 112,
    bug: 'RMS norm with a tenth of the configured epsilon',
    file: decoder,
    edits: [
      ['layer.attentionNorm, normEps', 'layer.attentionNorm, normEps * 1e-1'],
      ['layer.mlpNorm, normEps', 'layer.mlpNorm, normEps * 1e-1'],
    ],
  },
  {
    id: 113,
    bug: 'RMS norm subtracts the mean',
    file: normalize,
    edits: [
      [
        'y[first + i] = x[first + i] / rms * weight[i]; }',
        'y[first + i] = (x[first + i] - mean) / rms * weight[i]; }',
      ],
      [
        'let rms = sqrt(groupSum(lane, squares)',
        'var total = 0.0;\n      for (var i = lane; i < params.rowLength; i += lanes) { total += x[first + i]; }\n      workgroupBarrier();\n      let mean = groupSum(lane, total) / f32(params.rowLength);\n      workgroupBarrier();\n      let rms = sqrt(groupSum(lane, squares)',
      ],
    ],
  },
  {
    id: 114,
    bug: 'RMS norm with 1 + weight',
    file: normalize,
    edits: [['x[first + i] / rms * weight[i]', 'x[first + i] / rms * (1.0 + weight[i])']],
  },
  {
    id: 115,
    bug: 'key heads are tiled over the query heads',
    quick: true,
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
    ],
  },
  {
    id: 116,
    bug: 'scaled by 1 / D instead of 1 / √D',
    file: decoder,
    edits: [['scale(queries, 1 / Math.sqrt(config.headSize))', 'scale(queries, 1 / config.headSize)']],
  },
  {
    id: 117,
    bug: 'a position does not see itself',
    file: softmax,
    edits: [['row % params.rowsPerMatrix + 1u', 'max(row % params.rowsPerMatrix, 1u)']],
  },
  {
    id: 118,
    bug: 'a position sees the one behind it',
    file: softmax,
    edits: [['row % params.rowsPerMatrix + 1u', 'row % params.rowsPerMatrix + 2u']],
  },
  {
    id: 119,
    bug: 'no causal mask',
    file: decoder,
    edits: [['{ causal: true, keyCount', '{ causal: false, keyCount']],
  },
  {
    id: 120,
    bug: 'gate and up are swapped',
    file: decoder,
    edits: [
      [
        'gatedSilu(linear(mlpIn, layer.gate), linear(mlpIn, layer.up))',
        'gatedSilu(linear(mlpIn, layer.up), linear(mlpIn, layer.gate))',
      ],
    ],
  },
  {
    id: 121,
    bug: 'GELU instead of SiLU',
    file: decoder,
    edits: [
      [
        'gatedSilu(linear(mlpIn, layer.gate), linear(mlpIn, layer.up))',
        'multiply(gelu(linear(mlpIn, layer.gate)), linear(mlpIn, layer.up))',
      ],
      ['  type Gpu,\n', '  type Gpu,\n  gelu,\n  multiply,\n'],
    ],
  },
  {
    id: 122,
    bug: 'the last norm is missing',
    file: decoder,
    edits: [['linear(rmsNorm(last, norm, config.normEps), head)', 'linear(last, head)']],
  },
  {
    id: 123,
    bug: 'the head is the embedding',
    file: decoder,
    edits: [
      [
        'linear(rmsNorm(last, norm, config.normEps), head)',
        'linear(rmsNorm(last, norm, config.normEps), { weight: lookupless })',
      ],
      [
        'function lastLogits({ config, norm, head }: LlamaWeights',
        'function lastLogits({ config, norm, tokenEmbedding: lookupless }: LlamaWeights',
      ],
    ],
  },
  {
    id: 124,
    bug: 'a decoded token stands at position 0',
    file: decoder,
    edits: [
      ['rope(unturnedQueries, cache.rope, cache.length)', 'rope(unturnedQueries, cache.rope, 0)'],
      ['rope(unturnedKeys, cache.rope, cache.length)', 'rope(unturnedKeys, cache.rope, 0)'],
    ],
  },
  {
    id: 125,
    bug: 'a decoded token stands at the position of the one before it',
    file: decoder,
    edits: [
      [
        'rope(unturnedQueries, cache.rope, cache.length)',
        'rope(unturnedQueries, cache.rope, Math.max(0, cache.length - 1))',
      ],
      [
        'rope(unturnedKeys, cache.rope, cache.length)',
        'rope(unturnedKeys, cache.rope, Math.max(0, cache.length - 1))',
      ],
    ],
  },
  {
    id: 126,
    bug: 'the cache repeats its newest values',
    file: decoder,
    edits: [
      [
        '  return appendRows(past, rows, positionCount);',
        "  if (part === 'values' && past.length > 0) return appendRows(growingRowsOf(rows), rowsOf(past));\n  return appendRows(past, rows, positionCount);",
      ],
      ['  growingRows,\n', '  growingRows,\n  growingRowsOf,\n  rowsOf,\n'],
    ],
  },
].map((mutant) => ({ ...mutant, group: 'llama' }));
