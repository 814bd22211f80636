// The ids from the end of an answer to the beginning of the next. SPEC M-8.5.
//
//     hf, vicuna_v1    </s>USER: QUESTION ASSISTANT:
//     llava_llama_2    ▁</s><s>[INST] QUESTION [/INST]
//     plain            has no turns
//     a chat template  what the template writes there (chat-template.ts)
//
// (LLaVA, conversation.py, with the answer's text alone as the message.)

import { encodeBehindSpecial, encodeBehindText, encodeParts } from './behind.ts';
import { shownQuestion } from './chat-template.ts';
import type { PromptTemplate } from './prompt.ts';
import type { Tokenizer } from './tokenizer.ts';

/**
 * The end of an answer, and the question that follows it. As in a first question, nothing in it becomes a special token.
 * Throws RangeError for an empty or blank question, and for a template that has no turns, such as `plain`.
 */
export function encodeNextQuestion(
  tokenizer: Tokenizer,
  question: string,
  template: PromptTemplate = 'hf',
): number[] {
  if (question.trim() === '') throw new RangeError('question: expected text, got none');
  if (typeof template !== 'string') {
    const { turn, end } = template;
    if (turn === null) throw new RangeError('template: expected one whose turns are alike, got another');
    const parts = [
      { text: turn, isUsers: false },
      { text: shownQuestion(template.trimsNext, question), isUsers: true },
      { text: end, isUsers: false },
    ];
    return encodeParts(tokenizer, parts, 'text');
  }
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
