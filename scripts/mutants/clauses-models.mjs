// Bugs of encoder, decoder, projector, decoding and conversation, that the tests of clauses catch. Numbers below 200 are
// those of the published list of bugs in ports.

import { bugOf } from './goldens.mjs';

const activation = 'src/tensor/ops/activation.ts';
const conversation = 'src/models/llava/conversation.ts';
const decode = 'src/models/llava/decode.ts';
const llava = 'src/models/llava/llava.ts';
const sampling = 'src/models/llava/sampling.ts';
const spliced = 'concat([before, projectedTokens, after], 1)';

const byLlava = [
  {
    id: 86,
    bug: 'the first bias of the projector is dropped',
    edits: [['linear(tokens, projector.linear1)', 'linear(tokens, { weight: projector.linear1.weight })']],
    clauses: ['M-6.1'],
  },
  {
    id: 87,
    bug: 'GELU by tanh in the projector',
    file: activation,
    edits: [
      [
        'y[i] = 0.5 * v * select(tail, 2.0 - tail, v > vec4f(0.0));',
        'y[i] = 0.5 * v * (1.0 + tanh(0.7978845608 * (v + 0.044715 * v * v * v))) + 0.0 * tail;',
      ],
    ],
    clauses: ['M-6.1'],
  },
  {
    id: 88,
    bug: 'quick GELU in the projector',
    edits: [
      [
        'linear(gelu(linear(tokens, projector.linear1))',
        'linear(quickGelu(linear(tokens, projector.linear1))',
      ],
      ['  lookup,\n', '  lookup,\n  quickGelu,\n'],
    ],
    clauses: ['M-6.1'],
  },
  {
    id: 89,
    bug: 'ReLU in the projector',
    file: activation,
    edits: [['y[i] = 0.5 * v * select(tail, 2.0 - tail, v > vec4f(0.0));', 'y[i] = max(v, 0.0 * tail);']],
    clauses: ['M-6.1'],
  },
  {
    id: 2602,
    bug: 'CLS is among the visual tokens',
    edits: [['return slice(hiddenStates, 1, 1, N);', 'return slice(hiddenStates, 1, 0, N - 1);']],
    clauses: ['M-6.2'],
  },
  {
    id: 99,
    bug: 'a token stays in the place of <image>',
    edits: [[spliced, 'concat([before, slice(projectedTokens, 1, 0, 1), projectedTokens, after], 1)']],
    clauses: ['M-6.3'],
  },
  {
    id: 100,
    bug: 'the picture is put in front of the text',
    edits: [[spliced, 'concat([projectedTokens, before, after], 1)']],
    clauses: ['M-6.3'],
  },
  {
    id: 101,
    bug: 'the picture is put one token early',
    edits: [
      [
        spliced,
        'concat([slice(before, 1, 0, Math.max(0, prompt.before.length - 1)), projectedTokens, ' +
          'slice(before, 1, Math.max(0, prompt.before.length - 1), prompt.before.length), after], 1)',
      ],
    ],
    clauses: ['M-6.3'],
  },
  {
    id: 102,
    bug: 'text embeddings are scaled by the root of their width',
    edits: [
      [
        'return reshape(embeds, [1, tokenIds.length, config.hiddenSize]);',
        'return scale(reshape(embeds, [1, tokenIds.length, config.hiddenSize]), Math.sqrt(config.hiddenSize));',
      ],
      ['  reshape,\n', '  reshape,\n  scale,\n'],
    ],
    clauses: ['M-6.3'],
  },
  {
    id: 2604,
    bug: 'hidden states are counted without the embedding',
    edits: [['vision.layerCount + 1 + visionFeatureLayer', 'vision.layerCount + visionFeatureLayer']],
    clauses: ['M-6.4'],
    tests: 'the layers up to',
  },
].map((mutant) => ({ file: llava, ...mutant, specs: ['spec/models/llava/llava.spec.ts'] }));

const byEncoder = [
  {
    id: 2401,
    ...bugOf(6),
    clauses: ['M-4.1'],
  },
  {
    id: 2405,
    ...bugOf(46),
    clauses: ['M-4.5'],
  },
  {
    id: 2407,
    ...bugOf(12),
    clauses: ['M-4.7'],
  },
].map((mutant) => ({ ...mutant, specs: ['spec/models/clip/encoder.spec.ts'] }));

const byDecoder = [
  {
    id: 2501,
    ...bugOf(120),
    clauses: ['M-5.1', 'M-5.6'],
  },
  {
    id: 2507,
    bug: 'a sequence may outgrow its cache by one position',
    file: 'src/models/llama/decoder.ts',
    edits: [['if (cache.length + T > most) {', 'if (cache.length + T > most + 1) {']],
    clauses: ['M-5.7'],
  },
  {
    id: 2508,
    ...bugOf(154),
    clauses: ['M-5.8'],
  },
].map((mutant) => ({ ...mutant, specs: ['spec/models/llama/decoder.spec.ts'] }));

const byDecoding = [
  {
    id: 2702,
    bug: 'one token too many is made',
    edits: [['const goesOn = count < maxNewTokens;', 'const goesOn = count <= maxNewTokens;']],
    clauses: ['M-7.2'],
  },
  {
    id: 2703,
    bug: 'the last step of an answer is not freed',
    edits: [
      [
        '  } finally {\n    dispose(running.step, start.check ?? {});\n  }',
        '  } finally {\n    dispose(running.step.logits, start.check ?? {});\n  }',
      ],
    ],
    clauses: ['M-7.3'],
  },
].map((mutant) => ({ ...mutant, file: decode, specs: ['spec/models/llava/decode.spec.ts'] }));

const bySampling = [
  {
    id: 2801,
    bug: 'logits are multiplied by the temperature',
    edits: [['(logit - largest) / temperature', '(logit - largest) * temperature']],
    clauses: ['M-8.1'],
  },
  {
    id: 2802,
    bug: 'of equals the higher ids are kept',
    edits: [['|| a.tokenId - b.tokenId', '|| b.tokenId - a.tokenId']],
    clauses: ['M-8.2'],
  },
  {
    id: 2803,
    bug: 'the kept probabilities are not made whole again',
    edits: [['if (share * whole < sum) return tokenId;', 'if (share < sum + 0 * whole) return tokenId;']],
    clauses: ['M-8.3'],
  },
  {
    id: 2804,
    bug: 'the higher halves of the seed go first',
    edits: [
      [
        'words.push(Number(z & 0xffffffffn), Number(z >> 32n));',
        'words.push(Number(z >> 32n), Number(z & 0xffffffffn));',
      ],
    ],
    clauses: ['M-8.4'],
  },
].map((mutant) => ({ ...mutant, file: sampling, specs: ['spec/models/llava/sampling.spec.ts'] }));

const byConversation = [
  {
    id: 2806,
    bug: 'the first new id of a turn is left out',
    edits: [['Uint32Array.from(after.slice(held))', 'Uint32Array.from(after.slice(held + 1))']],
    clauses: ['M-8.6'],
  },
  {
    id: 2807,
    bug: 'a stopped answer does not count',
    edits: [
      [
        "if (ended === 'failed') dispose(step);",
        "if (ended === 'failed' || ended === 'stopped') dispose(step);",
      ],
    ],
    clauses: ['M-8.7'],
  },
  {
    id: 2808,
    bug: 'the turns that are given are left out',
    edits: [['const said = [...turns];', 'const said: Turn[] = [];']],
    clauses: ['M-8.8'],
  },
  {
    id: 2809,
    bug: 'a question is taken while another is answered',
    edits: [['if (over || answering) {', 'if (over) {']],
    clauses: ['M-8.9'],
  },
].map((mutant) => ({ ...mutant, file: conversation, specs: ['spec/models/llava/conversation.spec.ts'] }));

export const modelClauseMutants = [
  ...byEncoder,
  ...byDecoder,
  {
    id: 2509,
    bug: 'each part of a prompt begins anew',
    file: 'src/models/llama/prefill.ts',
    edits: [
      ['before?.cache ?? cache', 'before === null ? cache : { ...before.cache, length: 0, layers: [] }'],
    ],
    clauses: ['M-5.9'],
    specs: ['spec/models/llama/prefill.spec.ts'],
  },
  ...byLlava,
  ...byDecoding,
  {
    id: 2704,
    bug: 'logits that a sampler is handed are not looked at',
    file: decode,
    edits: [
      [
        'readChecked(gpu, step.logits, [...earlier, finiteLogits(step)])',
        'readChecked(gpu, step.logits, earlier)',
      ],
    ],
    clauses: ['M-7.4'],
    specs: ['spec/visionzip/finite-scores.spec.ts'],
  },
  ...bySampling,
  {
    id: 2805,
    bug: 'no EOS stands behind an answer',
    file: 'src/models/tokenizer/next-question.ts',
    edits: [['return [eosTokenId, ...encodeBehindSpecial(', 'return [...encodeBehindSpecial(']],
    clauses: ['M-8.5'],
    specs: ['spec/models/tokenizer/next-question.spec.ts'],
  },
  ...byConversation,
];
