// The evaluation against the long way: every question asked from scratch, one after the other.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomPatches } from '../../src/eval/baselines.ts';
import { seededRandom } from '../../src/eval/random.ts';
import { type Evaluation, evaluate, planScenes } from '../../src/eval/run.ts';
import { renderScene } from '../../src/eval/scenes.ts';
import { answerTogether, readPictures } from '../../src/eval/shared-prefix.ts';
import {
  type ClipEncoding,
  decode,
  encodeImage,
  encodeQuestion,
  type Llava,
  patchTokens,
  prefill,
  preprocessPad,
  project,
  splice,
} from '../../src/models/index.ts';
import { concat, dispose, type Tensor, tidy } from '../../src/tensor/index.ts';
import { visionZip } from '../../src/visionzip/index.ts';
import { testGpu } from '../support/gpu.ts';
import { loadTinyLlava } from '../support/tiny-llava.ts';

const gpu = await testGpu();
const SEED = 8;
const COUNTS = { dominantCount: 54, contextualCount: 10 };

let llava: Llava;
let encodings: ClipEncoding[];
const scenes = planScenes(12, SEED);

beforeAll(async () => {
  llava = await loadTinyLlava(gpu);
  encodings = scenes.map(({ scene, index }) =>
    encodeImage(llava, preprocessPad(renderScene(scene, seededRandom(SEED, index, 1)), llava.preprocessor)),
  );
});

afterAll(() => dispose(llava, encodings));

async function fromScratch(tokens: Tensor, question: string, maxNewTokens: number): Promise<number[]> {
  const prompt = encodeQuestion(llava.tokenizer, question);
  const start = tidy(gpu, () =>
    prefill(llava, splice(llava, prompt, project(llava, tokens)), { maxNewTokens }),
  );
  const ids: number[] = [];
  for await (const id of decode(llava, start)) ids.push(id);
  return ids;
}

const zipped = (encoding: ClipEncoding): Tensor => tidy(gpu, () => visionZip(encoding, COUNTS).tokens);

describe('E-1 questions that share a picture', () => {
  it('E-1.8 answers are those of asking from scratch', async () => {
    const tokens = encodings.map(zipped);
    const { before } = encodeQuestion(llava.tokenizer, 'any');
    const cache = tidy(gpu, () => readPictures(llava, before, concat(tokens as [Tensor], 0), 64 + 80));
    const live = gpu.memory.live.size;
    const asked = scenes.flatMap(({ questions }, picture) =>
      questions.map(({ text }) => ({ text, picture, after: encodeQuestion(llava.tokenizer, text).after })),
    );
    const lengths = new Set(asked.map(({ after }) => after.length));
    expect(lengths.size).toBeGreaterThan(2);
    let mostTogether = 0;
    for (const length of lengths) {
      const group = asked.filter(({ after }) => after.length === length).reverse();
      const answers = await answerTogether(llava, cache, group, { maxNewTokens: 14 });
      for (const [i, { text, picture }] of group.entries()) {
        expect(answers[i], text).toEqual(await fromScratch(tokens[picture] as Tensor, text, 14));
      }
      mostTogether = Math.max(mostTogether, group.length);
    }
    expect(mostTogether).toBeGreaterThan(2);
    expect(gpu.memory.live.size).toBe(live);
    dispose(cache, tokens);
  });

  it('E-1.8 an answer that need not go on ends, and the others are not disturbed', async () => {
    const tokens = zipped(encodings[1] as ClipEncoding); // two objects: a caption of more than nine tokens
    const { before, after } = encodeQuestion(llava.tokenizer, 'Describe the image.');
    const cache = readPictures(llava, before, tokens, 64 + 80);
    const three = [0, 0, 0].map((picture) => ({ picture, after }));
    const whole = await answerTogether(llava, cache, three, { maxNewTokens: 9 });
    expect(whole[0]).toHaveLength(9);
    const cut = await answerTogether(llava, cache, three, {
      maxNewTokens: 9,
      goesOn: (q, ids) => q !== 1 || ids.length < 4,
    });
    expect(cut).toEqual([whole[0], whole[0]?.slice(0, 4), whole[0]]);

    for (const wrong of [
      [],
      [{ picture: 0, after: [] }],
      [{ picture: 1, after }],
      [
        { picture: 0, after },
        { picture: 0, after: after.slice(1) },
      ],
    ]) {
      await expect(answerTogether(llava, cache, wrong, { maxNewTokens: 1 })).rejects.toThrow(RangeError);
    }
    dispose(cache, tokens);
  });
});

describe('E-1 running', () => {
  it('E-1.2 scenes have one to five objects in turn, and as many questions as asked for', () => {
    for (const count of [1, 8, 50, 560]) {
      const plan = planScenes(count, 3);
      expect(plan.flatMap(({ questions }) => questions)).toHaveLength(count);
      expect(plan.map(({ scene }) => scene.objects.length)).toEqual(plan.map((_, i) => 1 + (i % 5)));
      expect(plan.map(({ index }) => index)).toEqual(plan.map((_, i) => i));
    }
    expect(planScenes(20, 3)).not.toEqual(planScenes(20, 4));
    expect(planScenes(20, 3).slice(0, 2)).toEqual(planScenes(560, 3).slice(0, 2));
  });

  it('E-1.8 what is counted is what asking from scratch gives, for every method', async () => {
    const live = gpu.memory.live.size;
    const states: Evaluation[] = [];
    for await (const state of evaluate(llava, { budgets: [64], questionCount: 10, seed: SEED })) {
      states.push(state);
    }
    expect(gpu.memory.live.size).toBe(live);
    const last = states.at(-1) as Evaluation;
    expect([last.answersGiven, last.answersPlanned]).toEqual([60, 60]);
    const given = states.map(({ answersGiven }) => answersGiven);
    expect(given).toEqual([...given].sort((a, b) => a - b));
    expect(last.rows.map(({ method, visualTokens }) => `${method} ${visualTokens}`)).toEqual([
      'vanilla 576',
      'visionzip 64',
      'visionzip-paper 64',
      'cls-top-k 64',
      'random 64',
      'uniform 64',
    ]);

    const plan = planScenes(10, SEED);
    expect(plan.flatMap(({ questions }) => questions)).toHaveLength(10);
    const reduce: Readonly<Record<string, (encoding: ClipEncoding, index: number) => Tensor>> = {
      vanilla: patchTokens,
      visionzip: zipped,
      'visionzip-paper': (encoding) =>
        tidy(gpu, () => visionZip(encoding, { ...COUNTS, merge: 'paper-average' }).tokens),
      random: (encoding, index) => randomPatches(encoding, 64, seededRandom(SEED, index, 3, 64)),
    };
    expect(plan.length).toBeGreaterThan(1);
    const rightOfAll = new Set<string>();
    for (const { method, byType, all, bothRight } of last.rows) {
      expect(all.total).toBe(10);
      expect(all.correct).toBe(Object.values(byType).reduce((sum, { correct }) => sum + correct, 0));
      if (reduce[method] === undefined) continue; // these are enough to tell methods apart
      const counts: Record<string, number[]> = {};
      let both = 0;
      for (const { index, questions } of plan) {
        const tokens = reduce[method]?.(encodings[index] as ClipEncoding, index) as Tensor;
        for (const { type, text, answer } of questions) {
          const ids = await fromScratch(tokens, text, 1 + Math.ceil(answer.length / 3)); // a word has more letters
          const [correct = 0, total = 0] = counts[type] ?? [];
          const isRight = llava.tokenizer.decode(ids) === answer;
          if (isRight && method === 'vanilla') rightOfAll.add(`${index} ${text}`);
          if (isRight && rightOfAll.has(`${index} ${text}`)) both++;
          counts[type] = [correct + (isRight ? 1 : 0), total + 1];
        }
        dispose(tokens);
      }
      expect(bothRight).toBe(both);
      for (const [type, { correct, total }] of Object.entries(byType)) {
        expect([correct, total], `${method} ${type}`).toEqual(counts[type] ?? [0, 0]);
      }
    }
    expect(last.rows.some(({ all }) => all.correct > 0)).toBe(true);
  });

  it('E-1.8 a caller may stop at any time and leaves nothing on the device', async () => {
    const live = gpu.memory.live.size;
    for (const stage of [1, 2, 3]) {
      let [stages, given] = [0, 0];
      for await (const { answersGiven } of evaluate(llava, { budgets: [64], questionCount: 2, seed: 1 })) {
        given = answersGiven;
        if (++stages === stage) break;
      }
      expect(stages).toBe(stage);
      expect(given > 0).toBe(stage === 3); // behind encoding and reading the picture
      expect(gpu.memory.live.size).toBe(live);
    }
  });

  it('E-1.8 options out of range are rejected', async () => {
    const control = { budgets: [64], questionCount: 1, seed: 1 };
    for (const wrong of [
      { budgets: [65] },
      { questionCount: 0 },
      { questionCount: 1.5 },
      { seed: -1 },
      { seed: 2 ** 32 },
    ]) {
      await expect(evaluate(llava, { ...control, ...wrong }).next()).rejects.toThrow(RangeError);
    }
  });
});
