// Bugs of the vision encoder. Each: a number of the published list of bugs in ports, what it is, where, and the edits.

const activation = 'src/tensor/ops/activation.ts';
const attention = 'src/models/clip/attention.ts';
const encoder = 'src/models/clip/encoder.ts';
const normalize = 'src/tensor/ops/normalize.ts';
const patches = 'src/tensor/ops/patches.ts';
// A stand-in for the layer that is not run, with the weights of the last.
const nextLayer =
  'clipLayer(last.hiddenStates, layers[layers.length - 1] as (typeof layers)[number], config);';

export const encoderMutants = [
  {
    id: 5,
    bug: 'a patch is flattened (row, column, channel)',
    file: patches,
    edits: [
      [
        '      let j = rest % params.side;\n      rest /= params.side;\n      let i = rest % params.side;\n      rest /= params.side;\n      let channel = rest % params.channels;\n      rest /= params.channels;\n',
        '      let channel = rest % params.channels;\n      rest /= params.channels;\n      let j = rest % params.side;\n      rest /= params.side;\n      let i = rest % params.side;\n      rest /= params.side;\n',
      ],
    ],
  },
  {
    id: 6,
    bug: 'the grid of patches is walked column by column',
    file: patches,
    edits: [
      [
        '      let column = rest % params.columns;\n      rest /= params.columns;\n      let row = rest % params.rows;\n      let image = rest / params.rows;',
        '      let row = rest % params.rows;\n      rest /= params.rows;\n      let column = rest % params.columns;\n      let image = rest / params.columns;',
      ],
    ],
  },
  {
    id: 7,
    bug: 'the pixels of a patch are transposed',
    file: patches,
    edits: [
      ['row * params.side + i;', 'row * params.side + j;'],
      ['column * params.side + j]', 'column * params.side + i]'],
    ],
  },
  {
    id: 8,
    bug: 'CLS stands behind the patches',
    file: encoder,
    edits: [['concat([cls, patches], 1)', 'concat([patches, cls], 1)']],
  },
  {
    id: 9,
    bug: 'no position embedding',
    file: encoder,
    edits: [['addRows(tokens, weights.positionEmbedding)', 'tokens']],
  },
  {
    id: 10,
    bug: 'CLS gets no position embedding',
    file: encoder,
    edits: [
      [
        'addRows(tokens, weights.positionEmbedding)',
        'concat([cls, slice(addRows(tokens, weights.positionEmbedding), 1, 1, tokens.shape[1] as number)], 1)',
      ],
    ],
  },
  {
    id: 11,
    bug: 'the norm before the first layer is skipped',
    file: encoder,
    edits: [['return layerNorm(placed, weights.preNorm, weights.config.normEps);', 'return placed;']],
  },
  {
    id: 12,
    bug: 'exact GELU instead of quick GELU',
    quick: true,
    file: attention,
    edits: [['{ quick_gelu: quickGelu, gelu }', '{ quick_gelu: gelu, gelu }']],
  },
  {
    id: 13,
    bug: 'GELU by tanh instead of quick GELU',
    file: activation,
    edits: [['exp(min(-1.702 * x[i]', 'exp(min(-1.5957691216 * (x[i] + 0.044715 * x[i] * x[i] * x[i])']],
  },
  {
    id: 14,
    bug: 'SiLU instead of quick GELU',
    file: activation,
    edits: [['exp(min(-1.702 * x[i]', 'exp(min(-1.0 * x[i]']],
  },
  {
    id: 15,
    bug: 'epsilon 1e-6 instead of 1e-5',
    quick: true,
    file: attention,
    edits: [
      ['weights.attentionNorm, config.normEps', 'weights.attentionNorm, 1e-6'],
      ['weights.mlpNorm, config.normEps', 'weights.mlpNorm, 1e-6'],
    ],
  },
  {
    id: 16,
    bug: 'epsilon 1e-12 instead of 1e-5',
    file: attention,
    edits: [
      ['weights.attentionNorm, config.normEps', 'weights.attentionNorm, 1e-12'],
      ['weights.mlpNorm, config.normEps', 'weights.mlpNorm, 1e-12'],
    ],
  },
  {
    id: 17,
    bug: 'variance with n − 1',
    file: normalize,
    edits: [['groupSum(lane, squares) / n + params.eps', 'groupSum(lane, squares) / (n - 1.0) + params.eps']],
  },
  {
    id: 18,
    bug: 'the norm behind the attention instead of before it',
    file: attention,
    edits: [
      [
        'const attentionIn = layerNorm(hiddenStates, weights.attentionNorm, config.normEps);',
        'const attentionIn = hiddenStates;',
      ],
    ],
  },
  {
    id: 19,
    bug: 'the attention is not scaled',
    file: attention,
    edits: [['scale(unscaled, 1 / Math.sqrt(D))', 'scale(unscaled, 1)']],
  },
  {
    id: 20,
    bug: 'scaled by 1 / D instead of 1 / √D',
    file: attention,
    edits: [['scale(unscaled, 1 / Math.sqrt(D))', 'scale(unscaled, 1 / D)']],
  },
  {
    id: 21,
    bug: 'scaled by the width of the model',
    file: attention,
    edits: [['scale(unscaled, 1 / Math.sqrt(D))', 'scale(unscaled, 1 / Math.sqrt(D * headCount))']],
  },
  {
    id: 22,
    bug: 'queries and keys are both scaled',
    file: attention,
    edits: [
      [
        'const keys = splitHeads(linear(x, weights.key), headCount);',
        'const keys = scale(splitHeads(linear(x, weights.key), headCount), 1 / Math.sqrt(D));',
      ],
    ],
  },
  {
    id: 23,
    bug: 'the queries are scaled before their bias is added',
    file: attention,
    edits: [
      [
        'const unscaled = splitHeads(linear(x, weights.query), headCount);',
        'const bias = splitHeads(linear(scale(x, 0), weights.query), headCount);\n  const unscaled = splitHeads(linear(x, weights.query), headCount);',
      ],
      [
        'scale(unscaled, 1 / Math.sqrt(D))',
        'add(scale(unscaled, 1 / Math.sqrt(D)), scale(bias, 1 - 1 / Math.sqrt(D)))',
      ],
    ],
  },
  {
    id: 24,
    bug: 'a head owns every H-th channel',
    file: attention,
    edits: [
      [
        'permute(reshape(x, [B, N, headCount, C / headCount]), [0, 2, 1, 3])',
        'permute(reshape(x, [B, N, C / headCount, headCount]), [0, 3, 1, 2])',
      ],
    ],
  },
  {
    id: 25,
    bug: 'heads are merged without moving their axis back',
    file: attention,
    edits: [['reshape(permute(x, [0, 2, 1, 3]), [B, N, H * D])', 'reshape(x, [B, N, H * D])']],
  },
  {
    id: 26,
    bug: 'the softmax runs over the queries',
    file: attention,
    edits: [
      [
        'const context = attention(queries, keys, values, { causal: false });',
        "const { B, H, N } = dims(keys, 'keys [B, H, N, D]');\n" +
          '  const shares = reshape(permute(attentionProbs(keys, queries, { causal: false }), [0, 1, 3, 2]), [B * H, N, N]);\n' +
          '  const context = reshape(matmul(shares, reshape(values, [B * H, N, D])), [B, H, N, D]);',
      ],
      ['  attention,\n', '  attentionProbs,\n  matmul,\n'],
    ],
  },
  {
    id: 27,
    bug: 'the bias of the queries is dropped',
    file: attention,
    edits: [['linear(x, weights.query)', 'linear(x, { weight: weights.query.weight })']],
  },
  {
    id: 28,
    bug: 'the bias of the keys is dropped',
    quick: true,
    file: attention,
    edits: [['linear(x, weights.key)', 'linear(x, { weight: weights.key.weight })']],
  },
  {
    id: 29,
    bug: 'the bias of the values is dropped',
    file: attention,
    edits: [['linear(x, weights.value)', 'linear(x, { weight: weights.value.weight })']],
  },
  {
    id: 30,
    bug: 'the residual around the MLP is forgotten',
    file: attention,
    edits: [['hiddenStates: add(attended, mlpOut)', 'hiddenStates: mlpOut']],
  },
  {
    id: 32,
    bug: 'hidden states are the input of the last layer',
    quick: true,
    file: encoder,
    edits: [['hiddenStates: last.hiddenStates', 'hiddenStates: slice(input, 1, 0, N)']],
  },
  {
    id: 33,
    bug: 'hidden states are those of one layer further',
    file: encoder,
    edits: [
      ['slice(last.queries, 2, 0, 1);', `slice(last.queries, 2, 0, 1);\n    const next = ${nextLayer}`],
      ['hiddenStates: last.hiddenStates', 'hiddenStates: next.hiddenStates'],
    ],
  },
  {
    id: 34,
    bug: 'the attention is that of one layer further',
    file: encoder,
    edits: [
      ['slice(last.queries, 2, 0, 1);', `slice(last.queries, 2, 0, 1);\n    const next = ${nextLayer}`],
      ['attentionProbs(clsQueries, last.keys,', 'attentionProbs(slice(next.queries, 2, 0, 1), next.keys,'],
    ],
  },
  {
    id: 36,
    bug: 'the keys are those of one layer further',
    file: encoder,
    edits: [
      ['slice(last.queries, 2, 0, 1);', `slice(last.queries, 2, 0, 1);\n    const next = ${nextLayer}`],
      ['keys: last.keys }', 'keys: next.keys }'],
    ],
  },
  {
    id: 37,
    bug: 'keys and attention of the layer before the last',
    file: encoder,
    edits: [['layers[layers.length - 1] as', 'layers[Math.max(0, layers.length - 2)] as']],
  },
  {
    id: 38,
    bug: 'a norm behind the last layer',
    file: encoder,
    edits: [
      [
        'hiddenStates: last.hiddenStates',
        'hiddenStates: layerNorm(last.hiddenStates, weights.preNorm, config.normEps)',
      ],
    ],
  },
  {
    id: 39,
    bug: 'queries are returned as keys',
    file: encoder,
    edits: [['keys: last.keys }', 'keys: last.queries }']],
  },
  {
    id: 40,
    bug: 'values are returned as keys',
    file: attention,
    edits: [
      [
        'output: linear(mergeHeads(context), weights.output), queries, keys };',
        'output: linear(mergeHeads(context), weights.output), queries, keys: values };',
      ],
    ],
  },
  {
    id: 45,
    bug: 'the attention of all tokens, averaged, instead of that of CLS',
    file: encoder,
    edits: [
      ['const clsQueries = slice(last.queries, 2, 0, 1);', 'const clsQueries = last.queries;'],
      ["dims(probs, 'clsAttention [B, H, one, N]', { one: 1 });", "dims(probs, 'probs [B, H, T, N]');"],
      ['clsAttention: reshape(probs, [B, H, N])', 'clsAttention: reshape(meanAxis(probs, 2), [B, H, N])'],
      ['  layerNorm,\n', '  layerNorm,\n  meanAxis,\n'],
    ],
  },
  {
    id: 46,
    bug: 'the attention row of the first patch instead of CLS',
    file: encoder,
    edits: [['slice(last.queries, 2, 0, 1)', 'slice(last.queries, 2, 1, 2)']],
  },
].map((mutant) => ({ ...mutant, group: 'clip-tiny' }));
