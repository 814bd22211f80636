// The whole way, on real pictures and a trained model, against what the authors' PyTorch code answered.

import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Llava } from '../../src/models/index.ts';
import { dispose } from '../../src/tensor/index.ts';
import { testGpu } from '../support/gpu.ts';
import { loadTinyLlava } from '../support/tiny-llava.ts';
import { encodeTold, judgeTold, readTold } from '../support/told-answers.ts';

const pictures = await readTold(readFile);

let llava: Llava;
let answerCount = 0;
const open: string[] = [];

beforeAll(async () => {
  llava = await loadTinyLlava(await testGpu());
});

afterAll(() => dispose(llava));

for (const picture of pictures) {
  test(`VZ-4.4 ${picture.image}: answers, kept sets, targets and logits are those of the authors' code`, async () => {
    const encoding = await encodeTold(llava, picture, readFile);
    for (const visualTokens of [576, 192, 128, 64]) {
      open.push(...(await judgeTold(llava, encoding, picture, visualTokens)));
      answerCount += picture.questions.length;
    }
    dispose(encoding);
  });
}

test('VZ-4.4 fewer than 10 % of the decisions are too close to be judged', () => {
  if (open.length > 0) console.log(`not judged:\n${open.join('\n')}`);
  expect(answerCount).toBeGreaterThan(150);
  expect(open.length).toBeLessThan(0.1 * answerCount);
});
