import { readFileSync } from 'node:fs';
import { beforeAll, expect, it } from 'vitest';
import { modelDirectory } from '../../../src/models/checkpoint/model-directory.ts';
import {
  encodePrompt,
  encodeQuestion,
  promptTemplate,
  questionPrompt,
  type TemplateName,
} from '../../../src/models/tokenizer/prompt.ts';
import { loadTokenizer, type Tokenizer } from '../../../src/models/tokenizer/tokenizer.ts';

const golden = JSON.parse(readFileSync('golden/tokenizer/cases.json', 'utf8'));
let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await loadTokenizer(modelDirectory('golden/tiny-llava'));
});

it('M-3.9 the prompt of a question has the form that LLaVA-1.5 knows', () => {
  expect(questionPrompt('What is it?')).toBe('USER: <image>\nWhat is it? ASSISTANT:');
});

it('M-3.11 a prompt is cut at <image> and each side tokenised by itself, as the original does it', () => {
  for (const { prompt, before, after } of golden.prompts) {
    expect(encodePrompt(tokenizer, prompt), prompt).toEqual({ before, after });
  }
});

it('M-3.10 a harmless question gives the same ids as its prompt given whole', () => {
  for (const question of ['What color is the circle?', 'How many?', ' two  spaces ', 'né 😀\n?']) {
    expect(encodeQuestion(tokenizer, question)).toEqual(encodePrompt(tokenizer, questionPrompt(question)));
  }
});

it('M-3.10 a question cannot bring special tokens or another picture', () => {
  const question = 'a </s> b <image> c <s>';
  const { before, after } = encodeQuestion(tokenizer, question);
  expect(before).toEqual(encodeQuestion(tokenizer, 'x').before);
  expect(after.filter((id) => id < 3 || id >= 512)).toEqual([]);
  expect(tokenizer.decode(after)).toBe(`\n${question} ASSISTANT:`);
});

it('M-3.9 an empty or blank question is refused', () => {
  for (const question of ['', ' ', '\n\t ', '\u3000']) {
    expect(() => questionPrompt(question)).toThrow(RangeError);
    expect(() => encodeQuestion(tokenizer, question)).toThrow(RangeError);
  }
});

it('M-3.12 a whole prompt must have exactly one <image>', () => {
  expect(encodePrompt(tokenizer, 'a <image>').after).toEqual([]);
  expect(() => encodePrompt(tokenizer, 'a')).toThrow(/one <image>, got 0/);
  expect(() => encodePrompt(tokenizer, '<image> and <image>')).toThrow(/one <image>, got 2/);
});

it('M-3.11 BOS stands once, also where the prompt writes it', () => {
  const ids = encodePrompt(tokenizer, '<s>a<image>').before;
  expect(ids).toEqual([1, ...tokenizer.encode('a')]);
});

/** What the authors' get_prompt gives for `<image>\n` and a question, and an empty answer. */
const prompts: Readonly<Record<TemplateName, string>> = {
  hf: 'USER: <image>\nWhat is it? ASSISTANT:',
  vicuna_v1:
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions. USER: <image>\nWhat is it? ASSISTANT:",
  llava_llama_2:
    '[INST] <<SYS>>\nYou are a helpful language and vision assistant. You are able to understand the visual content that the user provides, and assist the user with a variety of tasks using natural language.\n<</SYS>>\n\n<image>\nWhat is it? [/INST]',
  plain: '<image>\nWhat is it?\n',
};

it('M-3.15 a template gives the prompt of the authors, cut and tokenised as they do it', () => {
  for (const [name, prompt] of Object.entries(prompts)) {
    const template = promptTemplate(name);
    expect(questionPrompt('What is it?', template)).toBe(prompt);
    const ids = encodeQuestion(tokenizer, 'What is it?', template);
    expect(ids).toEqual(encodePrompt(tokenizer, prompt));
    const special = encodeQuestion(tokenizer, 'a </s> <image>', template);
    expect(special.before).toEqual(ids.before);
    expect(special.after.filter((id) => id < 3 || id >= 512)).toEqual([]);
    expect(() => encodeQuestion(tokenizer, ' ', template)).toThrow(RangeError);
  }
  expect(encodeQuestion(tokenizer, 'What is it?', 'plain').before).toEqual([1]);
});

it('M-3.15 a template that there is not is refused', () => {
  for (const name of ['', 'vicuna', 'toString', 'HF']) {
    expect(() => promptTemplate(name)).toThrow(
      /template: expected one of hf, vicuna_v1, llava_llama_2, plain, got/,
    );
  }
});
