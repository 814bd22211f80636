// Prompts of LLaVA-1.5 as token ids. SPEC M-3.9 to M-3.12.
//
//     USER: <image>\nQUESTION ASSISTANT:
//
// As the original does it, the prompt is cut at <image>, each side is tokenised by itself, so that
// each begins with its own "▁", and BOS stands once, at the very front.

import type { Tokenizer } from './tokenizer.ts';

/** The ids on both sides of the picture; `before` begins with BOS. */
export interface PromptIds {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

const imageMark = '<image>';
const questionBefore = 'USER: ';

/** The text after the picture, `\nQUESTION ASSISTANT:`. */
function questionAfter(question: string): string {
  if (question.trim() === '') throw new RangeError('question: expected text, got none');
  return `\n${question} ASSISTANT:`;
}

/** The prompt as text. Throws RangeError for an empty or blank question. */
export function questionPrompt(question: string): string {
  return `${questionBefore}${imageMark}${questionAfter(question)}`;
}

/**
 * The ids of the prompt for one question. Nothing in the question becomes a special token, and an
 * `<image>` in it is text. Throws RangeError for an empty or blank question.
 */
export function encodeQuestion(tokenizer: Tokenizer, question: string): PromptIds {
  return {
    before: [tokenizer.bosTokenId, ...tokenizer.encodePlain(questionBefore)],
    after: tokenizer.encodePlain(questionAfter(question)),
  };
}

/**
 * The ids of a prompt that is given whole. Special tokens in it are honoured; a BOS that it begins
 * with is not doubled. Throws RangeError unless there is exactly one `<image>`.
 */
export function encodePrompt(tokenizer: Tokenizer, prompt: string): PromptIds {
  const chunks = prompt.split(imageMark);
  const [before, after] = chunks;
  if (before === undefined || after === undefined || chunks.length !== 2) {
    throw new RangeError(`prompt: expected one ${imageMark}, got ${chunks.length - 1}`);
  }
  const ids = tokenizer.encode(before);
  const withBos = ids[0] === tokenizer.bosTokenId ? ids : [tokenizer.bosTokenId, ...ids];
  return { before: withBos, after: tokenizer.encode(after) };
}
