// The whole way in five calls, and how often it waits for the device.

import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  ask,
  decode,
  decodeImage,
  encodeImage,
  encodeQuestion,
  type Llava,
  loadLlava,
  modelDirectory,
  type PixelValues,
  prefill,
  preprocessPad,
  project,
  splice,
} from '../../src/models/index.ts';
import { dispose, openGpu, readAll, type Tensor, tidy } from '../../src/tensor/index.ts';
import { answerZipped, paperBudgets, visionZip } from '../../src/visionzip/index.ts';
import { caseQuestion } from '../support/embedded-cases.ts';
import { testGpu } from '../support/gpu.ts';
import { countMappings } from '../support/mappings.ts';

const { question, answers } = caseQuestion('scene-0.png', 'what');
const budget = { dominantCount: 54, contextualCount: 10 };
let llava: Llava;
let pixels: PixelValues;

beforeAll(async () => {
  llava = await loadLlava(await testGpu(), modelDirectory('golden/tiny-llava'));
  const { image } = await decodeImage(await readFile('golden/tiny-llava/scene-0.png'), 'scene-0.png');
  pixels = preprocessPad(image, llava.preprocessor);
});

afterAll(() => dispose(llava));

test('T-3.5 encoding, zipping and prefilling map no buffer, and decoding maps one for each token', async () => {
  const { gpu } = llava;
  let start: ReturnType<typeof prefill> | undefined;
  const before = await countMappings(gpu, () => {
    start = tidy(gpu, () => {
      const { tokens } = visionZip(encodeImage(llava, pixels), budget);
      return prefill(llava, splice(llava, encodeQuestion(llava.tokenizer, question), project(llava, tokens)));
    });
  });
  expect(before).toBe(0);

  const tokenIds: number[] = [];
  const during = await countMappings(gpu, async () => {
    for await (const tokenId of decode(llava, start as ReturnType<typeof prefill>)) tokenIds.push(tokenId);
  });
  expect(tokenIds.length).toBeGreaterThan(1);
  expect(during).toBe(tokenIds.length + 1); // the last one is EOS
});

test('VZ-4.3 the budgets of the paper', () => {
  const pairs = [...paperBudgets].map(([count, { dominantCount, contextualCount }]) => [
    count,
    dominantCount,
    contextualCount,
  ]);
  expect(pairs).toEqual([
    [64, 54, 10],
    [128, 108, 20],
    [192, 162, 30],
  ]);
});

test('M-7.1 asking streams the text of the tokens that the five calls give', async () => {
  const tokenIds: number[] = [];
  for await (const tokenId of answerZipped(llava, pixels, question, budget)) tokenIds.push(tokenId);

  const encoding = encodeImage(llava, pixels);
  const zip = visionZip(encoding, budget);
  let text = '';
  for await (const piece of ask(llava, zip.tokens, question)) text += piece;
  dispose(encoding, zip);
  expect(text).toBe(answers['64']?.text);
  expect(llava.tokenizer.decode(tokenIds)).toBe(text);
});

test('M-7.3 a caller that stops early leaves nothing on the device', async () => {
  const live = llava.gpu.memory.live.size;
  for await (const _ of answerZipped(llava, pixels, question, budget)) break;
  expect(llava.gpu.memory.live.size).toBe(live);
});

test('M-3.9 a question without text is rejected before anything is dispatched', async () => {
  const submits = llava.gpu.commands.dispatchCount;
  await expect(answerZipped(llava, pixels, ' \n', budget).next()).rejects.toThrow(RangeError);
  expect(llava.gpu.commands.dispatchCount).toBe(submits);
});

test('M-7.2 no more than maxNewTokens are made, and at least one is asked for', async () => {
  const tokenIds: number[] = [];
  const caption = answerZipped(llava, pixels, 'Describe the image.', budget, { maxNewTokens: 3 });
  for await (const tokenId of caption) tokenIds.push(tokenId);
  expect(tokenIds.length).toBe(3);
  for (const maxNewTokens of [0, -1, 1.5, Number.NaN]) {
    const answer = answerZipped(llava, pixels, question, budget, { maxNewTokens });
    await expect(answer.next()).rejects.toThrow(/prefill: expected maxNewTokens/);
  }
});

test('M-2.30 packed f16 weights, as the file stores them, give the logits of the same weights in f32', async () => {
  const { gpu } = llava;
  const wide = await loadLlava(gpu, modelDirectory('golden/tiny-llava'), { weights: 'f32' });
  expect(llava.language.head.weight.dtype).toBe('f16');
  expect(wide.language.head.weight.dtype).toBe('f32');
  const [packed, widened] = [llava, wide].map((model) =>
    tidy(gpu, () => {
      const { tokens } = visionZip(encodeImage(model, pixels), budget);
      const embeds = splice(model, encodeQuestion(model.tokenizer, question), project(model, tokens));
      return prefill(model, embeds).step.logits;
    }),
  );
  const [a, b] = await readAll(gpu, [packed as Tensor, widened as Tensor]);
  expect(a).toEqual(b);
  dispose(wide, packed as Tensor, widened as Tensor);
});

test('M-2.31 weights that will not fit are refused before anything is on the device, with the number', async () => {
  const small = await openGpu({ memoryBudgetBytes: 2 ** 21 });
  const { buffersMade } = small.memory;
  const loading = loadLlava(small, modelDirectory('golden/tiny-llava'));
  await expect(loading).rejects.toThrow(/the weights: expected to need at most 2\.0 MiB, got 4\.\d MiB/);
  expect(small.memory.buffersMade).toBe(buffersMade);
  small.close();
});
