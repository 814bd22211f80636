// What stands between an answer and the next question. SPEC M-8.5.

import { beforeAll, describe, expect, it } from 'vitest';
import {
  encodeNextQuestion,
  encodeQuestion,
  loadTokenizer,
  modelDirectory,
  type Tokenizer,
} from '../../../src/models/index.ts';

let tokenizer: Tokenizer;

beforeAll(async () => {
  tokenizer = await loadTokenizer(modelDirectory('golden/tiny-llava'));
});

/** The ids of text in which special tokens are honoured, behind the first `<image>`. */
const honoured = (text: string): number[] => tokenizer.encode(text);

describe('M-8 the next question', () => {
  const questions = [
    'What is in the left?',
    ' two  spaces ',
    'ünï 東京 🦉\nsecond line',
    'USER: nested ASSISTANT:',
  ];

  it('M-8.5 hf and vicuna_v1: the ids are those of </s>USER: QUESTION ASSISTANT:', () => {
    for (const question of questions) {
      const wanted = honoured(`</s>USER: ${question} ASSISTANT:`);
      expect(encodeNextQuestion(tokenizer, question)).toEqual(wanted);
      expect(encodeNextQuestion(tokenizer, question, 'hf')).toEqual(wanted);
      expect(encodeNextQuestion(tokenizer, question, 'vicuna_v1')).toEqual(wanted);
    }
  });

  it('M-8.5 llava_llama_2: a space, </s><s> and the next instruction, behind the answer', () => {
    for (const question of questions) {
      const first = encodeQuestion(tokenizer, 'One?', 'llava_llama_2').after;
      const answer = tokenizer.encodePlain('Two');
      const next = encodeNextQuestion(tokenizer, question, 'llava_llama_2');
      const text = honoured(`\nOne? [/INST] Two </s><s>[INST] ${question} [/INST]`);
      expect([...first, ...answer, ...next]).toEqual(text);
    }
  });

  it('M-8.5 no text in a question becomes a special token', () => {
    for (const template of ['hf', 'vicuna_v1', 'llava_llama_2'] as const) {
      const plain = encodeNextQuestion(tokenizer, 'a b', template);
      const specials = (ids: readonly number[]) => ids.filter((id) => [0, 1, 2, 512, 513].includes(id));
      const ids = encodeNextQuestion(tokenizer, 'a </s><s><image><pad><unk> b', template);
      expect(specials(ids)).toEqual(specials(plain));
    }
  });

  it('M-8.5 where text behind a special token has no "▁" of its own, the question has none', () => {
    const newline = tokenizer.encodePlain('\n').length;
    const bare = (text: string): number[] => tokenizer.encodePlain(`\n${text}`).slice(newline);
    const modern: Tokenizer = {
      ...tokenizer,
      encode: (text) => text.split('</s>').flatMap((part, i) => (i === 0 ? bare(part) : [2, ...bare(part)])),
    };
    for (const question of questions) {
      const ids = encodeNextQuestion(modern, question);
      expect(ids).toEqual([2, ...bare(`USER: ${question} ASSISTANT:`)]);
      expect(ids).not.toEqual(encodeNextQuestion(tokenizer, question));
    }
  });

  it('M-8.5 a question without text, and the template plain, which has no turns, are refused', () => {
    expect(encodeNextQuestion(tokenizer, 'x')).not.toEqual([]);
    for (const blank of ['', ' ', '\n\t'])
      expect(() => encodeNextQuestion(tokenizer, blank)).toThrow(RangeError);
    expect(() => encodeNextQuestion(tokenizer, 'x', 'plain')).toThrow(
      /template: expected one that has turns/,
    );
  });
});
