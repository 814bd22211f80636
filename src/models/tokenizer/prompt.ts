// Prompts of LLaVA-1.5 as token ids. SPEC M-3.9 to M-3.12, M-3.15, M-3.19.
//
//     hf              USER: <image>\nQUESTION ASSISTANT:
//     vicuna_v1       SYSTEM USER: <image>\nQUESTION ASSISTANT:
//     llava_llama_2   [INST] <<SYS>>\nSYSTEM\n<</SYS>>\n\n<image>\nQUESTION [/INST]
//     plain           <image>\nQUESTION\n
//
// The last three are those of the authors' code (conversation.py), the first is that of the llava-hf checkpoints.
// As the original does it, the prompt is cut at <image>, each side is tokenised by itself, so that
// each begins with its own "▁", and BOS stands once, at the very front.

import { encodeParts } from './behind.ts';
import { type ChatTemplate, shownQuestion } from './chat-template.ts';
import type { Tokenizer } from './tokenizer.ts';

export type TemplateName = 'vicuna_v1' | 'llava_llama_2' | 'plain' | 'hf';

/** One of the built-in forms, or that of a checkpoint's own chat template. */
export type PromptTemplate = TemplateName | ChatTemplate;

/** The ids on both sides of the picture; `before` begins with BOS. */
export interface PromptIds {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

const imageMark = '<image>';

const vicunaSystem =
  'A chat between a curious user and an artificial intelligence assistant. ' +
  "The assistant gives helpful, detailed, and polite answers to the user's questions.";
const llama2System =
  'You are a helpful language and vision assistant. ' +
  'You are able to understand the visual content that the user provides, ' +
  'and assist the user with a variety of tasks using natural language.';

/** What stands before the picture, and behind the question, which follows the picture on a line of its own. */
const templates: Readonly<Record<TemplateName, { readonly before: string; readonly end: string }>> = {
  hf: { before: 'USER: ', end: ' ASSISTANT:' },
  vicuna_v1: { before: `${vicunaSystem} USER: `, end: ' ASSISTANT:' },
  llava_llama_2: { before: `[INST] <<SYS>>\n${llama2System}\n<</SYS>>\n\n`, end: ' [/INST]' },
  plain: { before: '', end: '\n' },
};

/** The template of that name. Throws RangeError if there is none. */
export function promptTemplate(name: string): TemplateName {
  if (Object.hasOwn(templates, name)) return name as TemplateName;
  const names = Object.keys(templates).join(', ');
  throw new RangeError(`template: expected one of ${names}, got ${JSON.stringify(name)}`);
}

function sides(question: string, template: TemplateName): { before: string; after: string } {
  if (question.trim() === '') throw new RangeError('question: expected text, got none');
  const { before, end } = templates[template];
  return { before, after: `\n${question}${end}` };
}

/** The prompt as text. Throws RangeError for an empty or blank question. */
export function questionPrompt(question: string, template: TemplateName = 'hf'): string {
  const { before, after } = sides(question, template);
  return `${before}${imageMark}${after}`;
}

/**
 * The ids of the prompt for one question; `template` is that of the model (`llava.template`). Nothing in the question
 * becomes a special token, and an `<image>` in it is text. Throws RangeError for an empty or blank question.
 */
export function encodeQuestion(
  tokenizer: Tokenizer,
  question: string,
  template: PromptTemplate = 'hf',
): PromptIds {
  if (typeof template !== 'string') return encodeByChatTemplate(tokenizer, question, template);
  const { before, after } = sides(question, template);
  return {
    before: [tokenizer.bosTokenId, ...tokenizer.encodePlain(before)],
    after: tokenizer.encodePlain(after),
  };
}

function encodeByChatTemplate(tokenizer: Tokenizer, question: string, template: ChatTemplate): PromptIds {
  if (question.trim() === '') throw new RangeError('question: expected text, got none');
  const { before, writesBos, opening, end } = template;
  const head = [{ text: before, isUsers: false }];
  const parts = [
    { text: opening, isUsers: false },
    { text: shownQuestion(template.trimsFirst, question), isUsers: true },
    { text: end, isUsers: false },
  ];
  return {
    before: [tokenizer.bosTokenId, ...encodeParts(tokenizer, head, writesBos ? 'special' : 'start')],
    after: encodeParts(tokenizer, parts, 'start'),
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
