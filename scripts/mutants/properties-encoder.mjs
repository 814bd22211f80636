// Bugs of the encoder that properties catch.

import { bugOf } from './goldens.mjs';

const attention = 'src/models/clip/attention.ts';
const encoder = 'src/models/clip/encoder.ts';
const patches = 'src/tensor/ops/patches.ts';
const laws = ['spec/models/clip/encoder-laws.spec.ts', 'spec/models/clip/layer-laws.spec.ts'];

export const encoderPropertyMutants = [
  {
    id: 1101,
    bug: 'tokens are dealt to the images of a batch by turns',
    file: attention,
    edits: [
      [
        'permute(reshape(x, [B, N, headCount, C / headCount]), [0, 2, 1, 3])',
        'permute(reshape(x, [N, B, headCount, C / headCount]), [1, 2, 0, 3])',
      ],
      [
        'reshape(permute(x, [0, 2, 1, 3]), [B, N, H * D])',
        'reshape(permute(x, [2, 0, 1, 3]), [B, N, H * D])',
      ],
    ],
    specs: laws,
    properties: [25],
    clauses: ['M-4.6'],
  },
  {
    id: 1102,
    bug: 'a token sees only those before it',
    file: attention,
    edits: [
      [
        'attention(queries, keys, values, { causal: false })',
        'attention(queries, keys, values, { causal: true })',
      ],
    ],
    specs: laws,
    properties: [26, 27, 36],
  },
  {
    id: 1103,
    ...bugOf(24),
    specs: laws,
    properties: [28],
    clauses: ['M-4.3'],
  },
  {
    id: 1104,
    ...bugOf(28),
    specs: laws,
    properties: [29],
  },
  {
    id: 1105,
    ...bugOf(39),
    specs: laws,
    properties: [29, 30],
  },
  {
    id: 1106,
    bug: 'CLS is compared with queries instead of keys',
    file: encoder,
    edits: [['attentionProbs(clsQueries, last.keys', 'attentionProbs(clsQueries, last.queries']],
    specs: laws,
    properties: [30],
  },
  {
    id: 1107,
    ...bugOf(29),
    specs: laws,
    properties: [31],
  },
  {
    id: 1108,
    ...bugOf(30),
    specs: laws,
    properties: [32],
    clauses: ['M-4.4'],
  },
  {
    id: 1109,
    bug: 'the last layer is run, too',
    file: 'src/models/llava/llava.ts',
    edits: [['vision.layerCount + 1 + visionFeatureLayer', 'vision.layerCount + 2 + visionFeatureLayer']],
    specs: laws,
    properties: [33],
    clauses: ['M-4.2'],
  },
  {
    id: 1110,
    bug: 'a softmax leaves a share for nothing at all',
    file: 'src/tensor/ops/softmax.ts',
    edits: [
      ['exp(x[first + i] - highest) / sum, i', 'exp(x[first + i] - highest) / (sum + exp(-highest)), i'],
    ],
    specs: laws,
    properties: [34],
  },
  {
    id: 1111,
    bug: 'the three colours of a pixel are taken for neighbours',
    file: patches,
    edits: [
      [
        'let line = (image * params.channels + channel) * params.height + row',
        'let line = image * params.height + row',
      ],
      [
        'x[line * params.width + column * params.side + j]',
        'x[(line * params.width + column * params.side + j) * params.channels + channel]',
      ],
    ],
    specs: laws,
    properties: [35, 36],
  },
  {
    id: 1112,
    ...bugOf(7),
    specs: laws,
    properties: [36],
  },
];
