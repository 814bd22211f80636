// LLaVA with VisionZip in front of its language model: the only place where the two meet. SPEC VZ-4.
//
// VisionZip never looks at the question, so what a picture is reduced to serves any number of them.

import { type DecodeOptions, decode, prefill } from '../models/llava/decode.ts';
import { encodeImage, type Llava, project, splice } from '../models/llava/llava.ts';
import type { PixelValues } from '../models/preprocess/clip-pixels.ts';
import { encodeQuestion } from '../models/tokenizer/prompt.ts';
import { tidy } from '../tensor/index.ts';
import { checkScores } from './finite-scores.ts';
import { type VisionZipOptions, visionZip } from './vision-zip.ts';

/** How many tokens are kept and how many are made. */
export type Budget = Pick<VisionZipOptions, 'dominantCount' | 'contextualCount'>;

/** The paper's settings, by their number of tokens (Table 8): 64 = 54 + 10, 128 = 108 + 20, 192 = 162 + 30. */
export const paperBudgets: ReadonlyMap<number, Budget> = new Map([
  [64, { dominantCount: 54, contextualCount: 10 }],
  [128, { dominantCount: 108, contextualCount: 20 }],
  [192, { dominantCount: 162, contextualCount: 30 }],
]);

/**
 * Answers one question about one picture, token by token: encode, zip, project, splice, decode. Throws RangeError for a
 * question without text and for a budget that the picture's tokens do not allow; and, in the place of the first token, for
 * scores that are not finite (VZ-2.7).
 */
export async function* answerZipped(
  llava: Llava,
  pixels: PixelValues,
  question: string,
  budget: Budget,
  options: DecodeOptions = {},
): AsyncGenerator<number, void, undefined> {
  const prompt = encodeQuestion(llava.tokenizer, question, llava.template);
  const start = tidy(llava.gpu, () => {
    const encoding = encodeImage(llava, pixels); //              hiddenStates [1, N, C]
    const { tokens, scores } = visionZip(encoding, budget); //   [1, K + M, C], [1, P]
    const projectedTokens = project(llava, tokens); //           [1, K + M, E]
    const inputEmbeds = splice(llava, prompt, projectedTokens); // [1, T, E]
    return { ...prefill(llava, inputEmbeds, options), check: checkScores(scores) };
  });
  yield* decode(llava, start);
}
