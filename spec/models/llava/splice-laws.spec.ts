// What holds for every projection and every splice. SPEC M-6, docs/properties.md 59 and 64.
//
//   B pictures   V visual tokens   C channels of the encoder   E channels of the decoder

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Llava, prefill, project, splice } from '../../../src/models/index.ts';
import { concat, dispose, gatherRows, slice } from '../../../src/tensor/index.ts';
import * as oracle from '../../oracle/llama.ts';
import { expectBits, expectClose, FLUSHED } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import { checkProperty } from '../../support/property.ts';
import { distinct, expand, lengths, recipes } from '../../support/recipe.ts';
import { rms } from '../../support/relative.ts';
import {
  llavaOnDevice,
  loadTinyLlava,
  textConfig,
  tinyLlava,
  visionConfig,
} from '../../support/tiny-llava.ts';
import { plain } from '../../support/tiny-models.ts';

const gpu = await testGpu();
const host = tinyLlava('splice laws');
const language = plain(host.language);
const C = visionConfig.hiddenSize;
const { hiddenSize: E, vocabSize } = textConfig;

let model: Llava;
let llava: Llava;

beforeAll(async () => {
  model = await loadTinyLlava(gpu);
  llava = llavaOnDevice(model, host);
});

afterAll(() => {
  dispose(model);
  dispose({ vision: llava.vision, projector: llava.projector, language: llava.language });
});

/** Ids of a text, the first and the last of the vocabulary among them. */
const texts: fc.Arbitrary<number[]> = fc.array(
  fc.oneof(fc.integer({ min: 0, max: vocabSize - 1 }), fc.constantFrom(0, vocabSize - 1)),
  { maxLength: 5 },
);

describe('M-6 LLaVA, laws', () => {
  it('M-6.1 P-59 tokens in another order, and in parts, are projected to the same rows', () =>
    checkProperty(gpu, {
      cases: fc.record({
        B: lengths(2, 1),
        V: lengths(17, 1),
        cut: lengths(16),
        seed: fc.integer({ min: 0, max: 9999 }),
        x: recipes(),
      }),
      data: ({ B, V, seed, x }) => ({
        tokens: expand('tokens', x, [B, V, C]),
        order: distinct('order', seed, B, V, V),
      }),
      run: ({ tokens, order }, { V, cut }) => {
        const whole = project(llava, tokens);
        const parts = [slice(tokens, 1, 0, cut % V), slice(tokens, 1, cut % V, V)] as const;
        return [
          gatherRows(whole, order),
          project(llava, gatherRows(tokens, order)),
          whole,
          concat([project(llava, parts[0]), project(llava, parts[1])], 1),
        ];
      },
      judge: ([moved, ofMoved, whole, ofParts]) => {
        expectBits('another order', ofMoved, moved.shape, moved.values);
        const bound = 2e-5 * rms(whole.values) + FLUSHED; // products of fewer rows may round otherwise
        expectClose('parts', ofParts, whole.shape, whole.values, () => bound);
      },
    }));

  it('M-6.3 P-64 the spliced rows are those of the table and the picture, at positions one after the other', () =>
    checkProperty(gpu, {
      cases: fc.record({
        before: texts,
        after: fc.tuple(texts, fc.integer({ min: 0, max: vocabSize - 1 })),
        V: lengths(9),
        x: recipes(),
      }),
      data: ({ V, x }) => ({ tokens: expand('visual', x, [1, V, E]) }),
      run: ({ tokens }, { before, after }) => {
        const embeds = splice(llava, { before, after: after.flat() }, tokens);
        const { step } = prefill(llava, embeds, { maxNewTokens: 1 });
        expect(step.cache.length).toBe(embeds.shape[1]);
        return [embeds, step.logits];
      },
      judge: ([embeds, logits], { tokens }, { before, after, V }) => {
        const rows = (ids: readonly number[]): number[] =>
          ids.flatMap((id) => Array.from(language.tokenEmbedding.subarray(id * E, (id + 1) * E)));
        const wanted = Float32Array.from([...rows(before), ...tokens.values, ...rows(after.flat())]);
        const length = before.length + V + after.flat().length; // <image> itself has no row
        expectBits('embeds', embeds, [1, length, E], wanted);
        const all = oracle.run(language, wanted, 1, length).logits; // positions 0 to length − 1
        const last = all.subarray((length - 1) * vocabSize);
        const bound = 1e-4 * rms(last) + FLUSHED;
        expectClose('logits', logits, [1, vocabSize], last, () => bound);
      },
    }));
});
