// golden/tiny-llava/cases.json: what the authors' code answered about pictures, and whether this library answers so, too.
// For pages of a browser as for Node. SPEC VZ-4.4.

import {
  type ClipEncoding,
  decode,
  decodeImage,
  encodeImage,
  encodeQuestion,
  type Llava,
  patchTokens,
  prefill,
  preprocessPad,
  project,
  splice,
} from '../../src/models/index.ts';
import { dispose, read, readAll, type Tensor, tidy } from '../../src/tensor/index.ts';
import {
  paperBudgets,
  type VisionZipInput,
  type VisionZipResult,
  visionZip,
} from '../../src/visionzip/index.ts';
import type { ReadFile } from './golden.ts';

export const TOLD_FOLDER = 'golden/tiny-llava';

interface ToldAnswer {
  readonly text: string;
  readonly tokenIds: readonly number[];
  readonly logitMargin: number; // smallest lead of a chosen token over the next one
  readonly firstLogits: { readonly ids: readonly number[]; readonly values: readonly number[] };
  readonly kept?: readonly number[];
  readonly targets?: readonly number[];
  readonly cutMargin?: number; // relative
}

export interface ToldQuestion {
  readonly type: string;
  readonly question: string;
  readonly answers: Readonly<Record<string, ToldAnswer>>; // by number of visual tokens
}

export interface ToldPicture {
  readonly image: string;
  readonly questions: readonly ToldQuestion[];
}

export async function readTold(readFile: ReadFile): Promise<readonly ToldPicture[]> {
  const text = new TextDecoder().decode(await readFile(`${TOLD_FOLDER}/cases.json`));
  return (JSON.parse(text) as { cases: ToldPicture[] }).cases;
}

/** What the encoder sees in the picture. */
export async function encodeTold(
  llava: Llava,
  { image: name }: ToldPicture,
  readFile: ReadFile,
): Promise<ClipEncoding> {
  const { image } = await decodeImage(await readFile(`${TOLD_FOLDER}/${name}`), name);
  return encodeImage(llava, preprocessPad(image, llava.preprocessor));
}

/**
 * Asks the questions at one budget and throws where sets, logits or answers are not those that were told. Returns what
 * could not be judged, because a decision was too close.
 */
export async function judgeTold(
  llava: Llava,
  encoding: VisionZipInput,
  { image, questions }: ToldPicture,
  visualTokens: number,
): Promise<string[]> {
  const where = `${image} at ${visualTokens}`;
  const budget = paperBudgets.get(visualTokens);
  const zip = budget === undefined ? null : visionZip(encoding, budget);
  try {
    const told = questions.map(({ answers }) => answers[visualTokens] as ToldAnswer);
    if (zip !== null && !(await sameSets(llava, where, zip, told[0] as ToldAnswer))) {
      return questions.map(({ question }) => `${where}, ${question}: the cut is too close`);
    }
    const open: string[] = [];
    const projectedTokens = tidy(llava.gpu, () => project(llava, zip?.tokens ?? patchTokens(encoding))); // [1, V, E]
    for (const [i, { question }] of questions.entries()) {
      const name = `${where}, ${question}`;
      open.push(...(await judgeAnswer(llava, name, projectedTokens, question, told[i] as ToldAnswer)));
    }
    dispose(projectedTokens);
    return open;
  } finally {
    if (zip !== null) dispose(zip);
  }
}

/** Whether both sets are the expected ones; throws if they are not although the decision was clear. */
async function sameSets(
  llava: Llava,
  where: string,
  zip: VisionZipResult,
  { kept, targets, cutMargin = 1 }: ToldAnswer,
): Promise<boolean> {
  const found = await readAll(llava.gpu, [zip.keptTokenIndices, zip.targetTokenIndices]);
  const [got, wanted] = [`${found[0]}; ${found[1]}`, `${kept}; ${targets}`];
  if (cutMargin >= 1e-4 && got !== wanted)
    throw new Error(`${where}: expected the sets ${wanted}, got ${got}`);
  return got === wanted;
}

async function judgeAnswer(
  llava: Llava,
  name: string,
  projectedTokens: Tensor,
  question: string,
  told: ToldAnswer,
): Promise<string[]> {
  const start = tidy(llava.gpu, () => {
    const prompt = encodeQuestion(llava.tokenizer, question);
    return prefill(llava, splice(llava, prompt, projectedTokens));
  });
  const logits = await read(start.step.logits);
  const tokenIds: number[] = [];
  for await (const tokenId of decode(llava, start)) tokenIds.push(tokenId);
  told.firstLogits.ids.forEach((id, i) => {
    const [got, wanted] = [logits[id] as number, told.firstLogits.values[i] as number];
    if (!(Math.abs(got - wanted) < 1e-3))
      throw new Error(`${name}: expected the logit ${wanted} for token ${id}, got ${got}`);
  });
  const isTold = `${tokenIds}` === `${told.tokenIds}`;
  if (!isTold && told.logitMargin < 1e-3) return [`${name}: the lead of a token is ${told.logitMargin}`];
  const text = llava.tokenizer.decode(tokenIds).trim();
  if (!isTold || text !== told.text) {
    throw new Error(`${name}: expected ${told.text} (${told.tokenIds}), got ${text} (${tokenIds})`);
  }
  return [];
}
