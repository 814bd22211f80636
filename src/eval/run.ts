// The evaluation: generated scenes and questions, answered at each budget by each way of reducing a picture. The paper's
// Table 1 in miniature. SPEC E-1.
//
//   B pictures   V visual tokens   C channels of the encoder

import {
  type ClipEncoding,
  encodeImage,
  encodeQuestion,
  type Llava,
  patchTokens,
  preprocessPad,
} from '../models/index.ts';
import { concat, dispose, finish, type Tensor, tidy } from '../tensor/index.ts';
import { type Budget, paperBudgets, visionZip } from '../visionzip/index.ts';
import { clsTopK, randomPatches, uniformPatches } from './baselines.ts';
import { drawQuestions, type Question, type QuestionType, questionTypes } from './questions.ts';
import { seededRandom } from './random.ts';
import { drawScene, renderScene, type Scene } from './scenes.ts';
import { answerTogether, type PictureQuestion, readPictures } from './shared-prefix.ts';

export const methods = ['vanilla', 'visionzip', 'visionzip-paper', 'cls-top-k', 'random', 'uniform'] as const;
export type Method = (typeof methods)[number];

export const VANILLA_TOKENS = 576;
const MAX_NEW_TOKENS = 64;
const SCENES_TOGETHER = 4;
const SEQUENCES_TOGETHER = 32; // bounds the memory that their caches take

export interface EvaluationOptions {
  /** Numbers of visual tokens, of 64, 128 and 192; 576, all patches, is always run. */
  readonly budgets: readonly number[];
  readonly questionCount: number;
  readonly seed: number;
}

export interface Tally {
  readonly correct: number;
  readonly total: number;
}

/** One line of the table: a method at a number of visual tokens. */
export interface EvaluationRow {
  readonly method: Method;
  readonly visualTokens: number;
  readonly byType: Readonly<Record<QuestionType, Tally>>;
  readonly all: Tally;
  /** How many answers are right here and of all patches, too. */
  readonly bothRight: number;
}

export interface Evaluation {
  readonly rows: readonly EvaluationRow[];
  readonly answersGiven: number;
  readonly answersPlanned: number;
}

/** A scene of an evaluation, and what is asked about it. */
export interface PlannedScene {
  readonly index: number;
  readonly scene: Scene;
  readonly questions: readonly Question[];
}

// What the random numbers of a scene are for: the last part of the path that names their stream.
const FOR_SCENE = 0;
const FOR_NOISE = 1;
const FOR_QUESTIONS = 2;
const FOR_PATCHES = 3;

/**
 * Scenes, until their questions are `questionCount`; the last scene may be asked less than it allows. They have one to five
 * objects in turn, not by chance: with one object nearly everything is right, and how many such scenes there are would
 * move the shares more than anything else. SPEC E-1.2.
 */
export function planScenes(questionCount: number, seed: number): PlannedScene[] {
  const planned: PlannedScene[] = [];
  for (let index = 0, left = questionCount; left > 0; index++) {
    const scene = drawScene(seededRandom(seed, index, FOR_SCENE), 1 + (index % 5));
    const questions = drawQuestions(scene, seededRandom(seed, index, FOR_QUESTIONS)).slice(0, left);
    left -= questions.length;
    planned.push({ index, scene, questions });
  }
  return planned;
}

/**
 * Runs an evaluation, yielding what is counted so far after each stage of the work, often enough for a caller who wants
 * to stop: there it may.
 * Throws RangeError for options out of range.
 */
export async function* evaluate(
  llava: Llava,
  options: EvaluationOptions,
): AsyncGenerator<Evaluation, void, undefined> {
  checkOptions(options);
  const { questionCount, seed } = options;
  const planned = planScenes(questionCount, seed);
  const counts = [VANILLA_TOKENS, ...new Set(options.budgets.filter((count) => count !== VANILLA_TOKENS))];
  let rows = counts.flatMap((count) => methodsAt(count).map((method) => emptyRow(method, count)));
  const progress = (): Evaluation => ({
    rows,
    answersGiven: rows.reduce((sum, { all }) => sum + all.total, 0),
    answersPlanned: rows.length * questionCount,
  });

  for (let first = 0; first < planned.length; first += SCENES_TOGETHER) {
    const scenes: EncodedScene[] = [];
    try {
      for (const scene of planned.slice(first, first + SCENES_TOGETHER)) {
        scenes.push({ ...scene, encoding: await encodeScene(llava, scene, seed) });
        yield progress();
      }
      const rightOfAll = new Set<Question>(); // all patches come first
      for (const visualTokens of counts) {
        for await (const outcomes of answerScenes(llava, scenes, visualTokens, seed)) {
          for (const { method, question, isRight } of outcomes) {
            if (method === 'vanilla' && isRight) rightOfAll.add(question);
          }
          rows = rows.map((row) =>
            row.visualTokens === visualTokens ? counted(row, outcomes, rightOfAll) : row,
          );
          yield progress();
        }
      }
    } finally {
      dispose(scenes.map(({ encoding }) => encoding));
    }
  }
}

function methodsAt(visualTokens: number): readonly Method[] {
  return visualTokens === VANILLA_TOKENS ? ['vanilla'] : methods.filter((method) => method !== 'vanilla');
}

type EncodedScene = PlannedScene & { readonly encoding: ClipEncoding };

async function encodeScene(
  llava: Llava,
  { index, scene }: PlannedScene,
  seed: number,
): Promise<ClipEncoding> {
  const image = renderScene(scene, seededRandom(seed, index, FOR_NOISE));
  const encoding = encodeImage(llava, preprocessPad(image, llava.preprocessor));
  await finish(llava.gpu);
  return encoding;
}

/** The tokens [1, V, C] that a method gives the language model. */
function reduce(
  method: Method,
  { encoding, index }: EncodedScene,
  visualTokens: number,
  seed: number,
): Tensor {
  switch (method) {
    case 'vanilla':
      return patchTokens(encoding);
    case 'visionzip':
      return visionZip(encoding, paperBudgets.get(visualTokens) as Budget).tokens;
    case 'visionzip-paper':
      return visionZip(encoding, {
        ...(paperBudgets.get(visualTokens) as Budget),
        merge: 'paper-average',
      }).tokens;
    case 'cls-top-k':
      return clsTopK(encoding, visualTokens);
    case 'random':
      return randomPatches(encoding, visualTokens, seededRandom(seed, index, FOR_PATCHES, visualTokens));
    case 'uniform':
      return uniformPatches(encoding, visualTokens);
    default:
      return method satisfies never;
  }
}

interface Outcome {
  readonly method: Method;
  readonly question: Question;
  readonly isRight: boolean;
}

/** Asks all questions about some scenes, reduced by each method to one number of tokens. Yields after each stage. */
async function* answerScenes(
  llava: Llava,
  scenes: readonly EncodedScene[],
  visualTokens: number,
  seed: number,
): AsyncGenerator<readonly Outcome[], void, undefined> {
  const pictures = methodsAt(visualTokens).flatMap((method) => scenes.map((scene) => ({ method, scene })));
  const asked = pictures.flatMap(({ method, scene }, picture) =>
    scene.questions.map((question) => ({
      question,
      method,
      picture,
      ...encodeQuestion(llava.tokenizer, question.text),
    })),
  );
  const before = asked[0]?.before ?? [];
  const longest = Math.max(...asked.map(({ after }) => after.length));
  const cache = tidy(llava.gpu, () => {
    const reduced = pictures.map(({ method, scene }) => reduce(method, scene, visualTokens, seed));
    const tokens = concat(reduced as [Tensor, ...Tensor[]], 0); // [B, V, C]
    return readPictures(llava, before, tokens, before.length + visualTokens + longest + MAX_NEW_TOKENS);
  });
  try {
    await finish(llava.gpu);
    yield [];
    for (const batch of batches(asked)) {
      const text = (tokenIds: readonly number[]): string => llava.tokenizer.decode(tokenIds).trim();
      const answers = await answerTogether(llava, cache, batch, {
        maxNewTokens: MAX_NEW_TOKENS,
        goesOn: (q, tokenIds) => batch[q]?.question.answer.startsWith(text(tokenIds)) === true, // can still be right
      });
      yield batch.map(({ method, question }, q) => ({
        method,
        question,
        isRight: text(answers[q] as number[]) === question.answer,
      }));
    }
  } finally {
    dispose(cache);
  }
}

/** Questions that can run side by side: of the same number of ids, and captions, whose answers are long, by themselves. */
function batches<Q extends PictureQuestion & { readonly question: Question }>(asked: readonly Q[]): Q[][] {
  const groups = new Map<string, Q[]>();
  for (const one of asked) {
    const key = `${one.question.type === 'caption'} ${one.after.length}`;
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return [...groups.values()].flatMap((group) =>
    Array.from({ length: Math.ceil(group.length / SEQUENCES_TOGETHER) }, (_, i) =>
      group.slice(i * SEQUENCES_TOGETHER, (i + 1) * SEQUENCES_TOGETHER),
    ),
  );
}

function emptyRow(method: Method, visualTokens: number): EvaluationRow {
  const none: Tally = { correct: 0, total: 0 };
  const byType = Object.fromEntries(questionTypes.map((type) => [type, none])) as EvaluationRow['byType'];
  return { method, visualTokens, byType, all: none, bothRight: 0 };
}

function counted(
  row: EvaluationRow,
  outcomes: readonly Outcome[],
  rightOfAll: ReadonlySet<Question>,
): EvaluationRow {
  const tally = (before: Tally, more: readonly Outcome[]): Tally => ({
    correct: before.correct + more.filter(({ isRight }) => isRight).length,
    total: before.total + more.length,
  });
  const own = outcomes.filter(({ method }) => method === row.method);
  const byType = Object.fromEntries(
    questionTypes.map((type) => [
      type,
      tally(
        row.byType[type],
        own.filter(({ question }) => question.type === type),
      ),
    ]),
  ) as EvaluationRow['byType'];
  const both = own.filter(({ question, isRight }) => isRight && rightOfAll.has(question)).length;
  return { ...row, byType, all: tally(row.all, own), bothRight: row.bothRight + both };
}

function checkOptions({ budgets, questionCount, seed }: EvaluationOptions): void {
  const known = [...paperBudgets.keys(), VANILLA_TOKENS];
  const unknown = budgets.find((count) => !known.includes(count));
  if (unknown !== undefined) {
    throw new RangeError(`evaluate: expected budgets of ${known.join(', ')}, got ${unknown}`);
  }
  if (!Number.isInteger(questionCount) || questionCount < 1) {
    throw new RangeError(`evaluate: expected at least one question, got ${questionCount}`);
  }
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    throw new RangeError(`evaluate: expected a seed from 0 to 2^32 - 1, got ${seed}`);
  }
}
