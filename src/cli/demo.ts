// `visionzip demo`, what `npm start` runs: one picture, three questions, four budgets, side by side.

import { relative } from 'node:path';
import { encodeQuestion, type Llava } from '../models/index.ts';
import { dispose, readAll } from '../tensor/index.ts';
import { type ChosenBudget, chosenBudgets } from './budget-options.ts';
import { adapterLine, budgetLabel } from './labels.ts';
import { demoPicture, openModel } from './model.ts';
import { readOptionsAlone } from './options.ts';
import { outputFolder } from './output-files.ts';
import { readPicture } from './picture.ts';
import { encodePicture, finishAnswer, reduceTokens, startAnswer, type VisualTokens } from './stages.ts';
import { attentionKept, writeZip } from './zip.ts';

const QUESTIONS = [
  'What is in the bottom right?',
  'What is the shape of the blue object?',
  'How many objects are there?',
];
const MODE = 'pad';

export async function demo(args: string[]): Promise<number> {
  const { out: chosenOut } = readOptionsAlone('demo', args, { out: { type: 'string' } });
  const out = await outputFolder(chosenOut ?? 'visionzip-out');
  const path = demoPicture();
  const image = await readPicture(path);
  const llava = await openModel();
  try {
    write(`VisionZip on ${adapterLine(llava.gpu)}\n`);
    write(`${relative('.', path)}: ${image.width} x ${image.height} pixels, a tiny LLaVA looks at it\n\n`);
    const budgets = chosenBudgets({ budget: '576,192,128,64' });
    const picture = await encodePicture(llava, image, MODE);
    const reduced: VisualTokens[] = [];
    const reduce = async (i: number): Promise<VisualTokens> =>
      (reduced[i] ??= await reduceTokens(llava, picture.encoding, budgets[i] as ChosenBudget));

    write(row('visual tokens', budgets.map(columnLabel)));
    const times = await answerQuestions(llava, budgets.length, reduce);
    write('\n');
    write(row('patches kept', await keptPatches(llava, reduced)));
    write(row('CLS attention kept', await keptAttention(llava, reduced)));
    const ms = (value: number): string => `${value.toFixed(1)} ms`;
    write(row('preprocess, once', [ms(picture.preprocessMs)]));
    write(row('encode, once', [ms(picture.encodeMs)]));
    write(
      row(
        'zip',
        reduced.map((visual) => (visual.zip === null ? '-' : ms(visual.zipMs))),
      ),
    );
    write(
      row(
        'project',
        reduced.map((visual) => ms(visual.projectMs)),
      ),
    );
    write(
      row(
        'prefill, each',
        times.map(({ prefillMs }) => ms(prefillMs)),
      ),
    );
    write(
      row(
        'decode, a token',
        times.map(({ tokenMs }) => ms(tokenMs)),
      ),
    );

    const files = await writeZip(out, llava, image, MODE, reduced[budgets.length - 1] as VisualTokens);
    write(`\nThe picture of what 64 tokens keep: ${files[1]}\n`);
    const command = process.env.VISIONZIP_COMMAND ?? 'npx visionzip'; // the bundle's launcher says its name
    write(`Ask for yourself: ${command} ask PICTURE "QUESTION" --budget 64,576\n`);
    dispose(reduced, picture.encoding);
  } finally {
    llava.gpu.close();
  }
  return 0;
}

interface MeanTimes {
  readonly prefillMs: number;
  readonly tokenMs: number;
}

/**
 * Prints a row of answers for each question, cell by cell; returns the mean times of each budget. Tokens are reduced when
 * they are first asked about: at the first start kernels are compiled then, and the first answer need not wait for all.
 */
async function answerQuestions(
  llava: Llava,
  budgetCount: number,
  reduce: (i: number) => Promise<VisualTokens>,
): Promise<MeanTimes[]> {
  const sums = Array.from({ length: budgetCount }, () => ({ prefillMs: 0, decodeMs: 0, steps: 0 }));
  for (const question of QUESTIONS) {
    let line = question;
    for (const [i, sum] of sums.entries()) {
      const visual = await reduce(i);
      const column = FIRST_COLUMN + i * (COLUMN + GAP.length);
      write(`${i === 0 ? line : ''}${''.padEnd(Math.max(0, column - line.length))}${GAP}`);
      line = line.padEnd(column) + GAP;
      const started = await startAnswer(llava, encodeQuestion(llava.tokenizer, question), visual, {});
      const { tokenIds, decodeMs } = await finishAnswer(llava, started, () => undefined);
      const answer = llava.tokenizer.decode(tokenIds).trim();
      write(answer);
      line += answer;
      sum.prefillMs += started.prefillMs;
      sum.decodeMs += decodeMs;
      sum.steps += tokenIds.length + 1; // EOS is a step, too
    }
    write('\n');
  }
  return sums.map(({ prefillMs, decodeMs, steps }) => ({
    prefillMs: prefillMs / QUESTIONS.length,
    tokenMs: decodeMs / steps,
  }));
}

async function keptPatches(llava: Llava, reduced: readonly VisualTokens[]): Promise<string[]> {
  const { imageSize, patchSize } = llava.config.vision;
  return reduced.map(({ zip }) =>
    String(zip === null ? (imageSize / patchSize) ** 2 : (zip.keptPositions.shape[1] ?? 0)),
  );
}

async function keptAttention(llava: Llava, reduced: readonly VisualTokens[]): Promise<string[]> {
  const cells: string[] = [];
  for (const { zip } of reduced) {
    if (zip === null) {
      cells.push('100.0 %');
      continue;
    }
    const [scores, kept] = await readAll(llava.gpu, [zip.scores, zip.keptTokenIndices]);
    cells.push(`${(100 * attentionKept(scores, kept)).toFixed(1)} %`);
  }
  return cells;
}

const FIRST_COLUMN = 40;
const COLUMN = 16;
const GAP = '  ';

function columnLabel(budget: ChosenBudget): string {
  return budget === null ? '576, all' : budgetLabel(budget);
}

function row(name: string, cells: readonly string[]): string {
  return `${name.padEnd(FIRST_COLUMN)}${GAP}${cells
    .map((cell) => cell.padEnd(COLUMN))
    .join(GAP)
    .trimEnd()}\n`;
}

function write(text: string): void {
  process.stdout.write(text);
}
