// The ids from the end of an answer to the beginning of the next. SPEC M-8.5.
//
//     hf, vicuna_v1    </s>USER: QUESTION ASSISTANT:
//     llava_llama_2    ▁</s><s>[INST] QUESTION [/INST]
//     plain            has no turns
//
// (LLaVA, conversation.py, with the answer's text alone as the message.)

import type { PromptTemplate } from './prompt.ts';
import type { Tokenizer } from './tokenizer.ts';

/**
 * The end of an answer, and the question that follows it. As in a first question, nothing in it becomes a special token.
 * Throws RangeError for an empty or blank question, and for the template `plain`.
 */
export function encodeNextQuestion(
  tokenizer: Tokenizer,
  question: string,
  template: PromptTemplate = 'hf',
): number[] {
  if (question.trim() === '') throw new RangeError('question: expected text, got none');
  const { bosTokenId, eosTokenId } = tokenizer;
  switch (template) {
    case 'hf':
    case 'vicuna_v1':
      return [eosTokenId, ...encodeBehindSpecial(tokenizer, `USER: ${question} ASSISTANT:`)];
    case 'llava_llama_2': {
      const instruction = encodeBehindSpecial(tokenizer, `[INST] ${question} [/INST]`);
      return [...encodeBehindText(tokenizer, ' '), eosTokenId, bosTokenId, ...instruction];
    }
    case 'plain':
      throw new RangeError('template: expected one that has turns for a conversation, got plain');
  }
}

/**
 * Whether text begins with its own "▁" behind a special token, as it does at the very start, is up to the tokenizer: with
 * `legacy: false` it does not.
 */
function encodeBehindSpecial(tokenizer: Tokenizer, text: string): number[] {
  const probe = 'USER:';
  const [special, ...ids] = tokenizer.encode(`</s>${probe}`);
  const hasPrefix = special !== tokenizer.eosTokenId || ids.join() === tokenizer.encodePlain(probe).join();
  return hasPrefix ? tokenizer.encodePlain(text) : encodeBehindText(tokenizer, text);
}

/** Without a "▁" of its own: behind a newline, a byte that merges with nothing. */
function encodeBehindText(tokenizer: Tokenizer, text: string): number[] {
  return tokenizer.encodePlain(`\n${text}`).slice(tokenizer.encodePlain('\n').length);
}
