import { readFileSync } from 'node:fs';
import { beforeAll, expect, it } from 'vitest';
import { modelDirectory } from '../../../src/models/checkpoint/model-directory.ts';
import { encodePrompt, encodeQuestion, questionPrompt } from '../../../src/models/tokenizer/prompt.ts';
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
