// `visionzip eval`: how often the model in the package is right, by budget and by way of reducing a picture.

import { join } from 'node:path';
import { accuracyChart } from '../eval/chart.ts';
import { type QuestionType, questionTypes } from '../eval/questions.ts';
import { type Evaluation, type EvaluationRow, evaluate, type Tally, VANILLA_TOKENS } from '../eval/run.ts';
import { type Interval, ratioInterval, wilsonInterval } from '../eval/statistics.ts';
import { chosenBudgets } from './budget-options.ts';
import { type AdapterRecord, adapterLine, adapterRecord } from './labels.ts';
import { openModel } from './model.ts';
import { readOptionsAlone, wholeNumber } from './options.ts';
import { outputFolder, writeWhole } from './output-files.ts';
import { INTERRUPTED, noteInterrupt, takeInterrupts } from './signals.ts';

const options = {
  budget: { type: 'string' },
  questions: { type: 'string' },
  seed: { type: 'string' },
  json: { type: 'boolean' },
  out: { type: 'string' },
} as const;

const DEFAULT_BUDGETS = '64,128,192,576';
const DEFAULT_QUESTIONS = '560';

interface Finished {
  readonly questions: number;
  readonly seed: number;
  readonly isWhole: boolean;
  readonly seconds: number;
  readonly adapter: AdapterRecord;
  readonly adapterLine: string;
  readonly chart: string;
  readonly rows: readonly EvaluationRow[];
}

export async function evalCommand(args: string[]): Promise<number> {
  const values = readOptionsAlone('eval', args, options);
  const budgets = chosenBudgets({ budget: values.budget ?? DEFAULT_BUDGETS }).map((budget) =>
    budget === null ? VANILLA_TOKENS : budget.dominantCount + budget.contextualCount,
  );
  const questionCount = wholeNumber('--questions', values.questions ?? DEFAULT_QUESTIONS, 1);
  const seed = wholeNumber('--seed', values.seed ?? '1', 0);
  const out = await outputFolder(values.out ?? 'visionzip-out');
  const isInterrupted = noteInterrupt('behind the stage at hand');
  const llava = await openModel();
  const start = performance.now();
  try {
    let last: Evaluation | undefined;
    for await (const state of evaluate(llava, { budgets, questionCount, seed })) {
      last = state;
      showProgress(state);
      if (isInterrupted()) break;
    }
    const isWhole = last !== undefined && last.answersGiven === last.answersPlanned;
    clearProgress();
    const rows = last?.rows ?? [];
    const chart = join(out, 'accuracy.svg');
    const note = `${questionCount} generated questions, seed ${seed}, 95 % intervals${isWhole ? '' : ', partial'}`;
    const finished: Finished = {
      questions: questionCount,
      seed,
      isWhole,
      seconds: (performance.now() - start) / 1000,
      adapter: adapterRecord(llava.gpu),
      adapterLine: adapterLine(llava.gpu),
      chart,
      rows,
    };
    process.stdout.write(values.json === true ? asJson(finished) : asTable(finished));
    await writeWhole(chart, Buffer.from(accuracyChart(rows, note))); // behind the table, which a full disk must not cost
    return isWhole ? 0 : INTERRUPTED;
  } finally {
    takeInterrupts(null);
    llava.gpu.close();
  }
}

interface JsonTally extends Tally {
  readonly accuracy: number | null;
  readonly low: number;
  readonly high: number;
}

function jsonTally({ correct, total }: Tally): JsonTally {
  return {
    correct,
    total,
    accuracy: total === 0 ? null : correct / total,
    ...wilsonInterval(correct, total),
  };
}

function asJson({ rows, questions, seed, isWhole, seconds, adapter, chart }: Finished): string {
  const vanilla = vanillaOf(rows);
  const record = {
    questions,
    seed,
    partial: !isWhole,
    rows: rows.map(({ method, visualTokens, byType, all, bothRight }) => ({
      method,
      visualTokens,
      byType: Object.fromEntries(questionTypes.map((type) => [type, jsonTally(byType[type])])),
      all: jsonTally(all),
      ofVanilla: ofVanilla(all, vanilla, bothRight),
    })),
    chart,
    seconds,
    adapter,
  };
  return `${JSON.stringify(record, null, 2)}\n`;
}

const COLUMN = 9;
const FIRST_COLUMNS = 24;

const headings: Readonly<Record<QuestionType, string>> = {
  color: 'color',
  shape: 'shape',
  count: 'count',
  where: 'where',
  what: 'what',
  yesno: 'yes/no',
  ncolor: 'n color',
  caption: 'caption',
};

/** Two lines for each method: shares, and the 95 % intervals below them. */
function asTable({ rows, questions, seed, isWhole, seconds, adapterLine: adapter, chart }: Finished): string {
  const cells = (parts: readonly string[]): string => parts.map((part) => part.padStart(COLUMN)).join('');
  const lines = [
    `${questions} generated questions, seed ${seed}, on ${adapter}`,
    ...(isWhole ? [] : ['PARTIAL: stopped before the end; what is below is what was counted until then.']),
    '',
    `${'tokens  method'.padEnd(FIRST_COLUMNS)}${cells([...questionTypes.map((type) => headings[type]), 'all', 'of 576'])}`,
  ];
  const vanilla = vanillaOf(rows);
  let before = 0;
  for (const { method, visualTokens, byType, all, bothRight } of rows) {
    if (before !== visualTokens) lines.push('');
    before = visualTokens;
    const tallies = [...questionTypes.map((type) => byType[type]), all];
    const name = `${String(visualTokens).padStart(6)}  ${method}`.padEnd(FIRST_COLUMNS);
    const ratio = ofVanilla(all, vanilla, bothRight);
    lines.push(
      `${name}${cells([...tallies.map(share), ratio === null ? '-' : `${percent(ratio.ratio)} %`])}`,
    );
    const ends = ratio === null || method === 'vanilla' ? '' : `${percent(ratio.low)}-${percent(ratio.high)}`;
    lines.push(`${''.padEnd(FIRST_COLUMNS)}${cells([...tallies.map(interval), ends])}`.trimEnd());
  }
  const asked = rows[0]?.all.total ?? 0;
  lines.push('', `Below each share its 95 % interval. ${asked} questions asked at 576 tokens.`);
  lines.push(`${seconds.toFixed(0)} s. The chart: ${chart}`, '');
  return lines.join('\n');
}

function share({ correct, total }: Tally): string {
  return total === 0 ? '-' : hundredths(correct / total);
}

function interval({ correct, total }: Tally): string {
  if (total === 0) return '';
  const { low, high } = wilsonInterval(correct, total);
  return `${hundredths(low)}-${hundredths(high)}`;
}

function vanillaOf(rows: readonly EvaluationRow[]): Tally | undefined {
  return rows.find(({ method }) => method === 'vanilla')?.all;
}

/** The right answers as a share of those of all patches; null until the same questions have been asked of both. */
function ofVanilla(
  all: Tally,
  vanilla: Tally | undefined,
  bothRight: number,
): ({ readonly ratio: number } & Interval) | null {
  if (vanilla === undefined || all.total !== vanilla.total || all.correct === 0 || vanilla.correct === 0) {
    return null;
  }
  return { ratio: all.correct / vanilla.correct, ...ratioInterval(all.correct, vanilla.correct, bothRight) };
}

function percent(share: number): string {
  return (100 * share).toFixed(0);
}

/** `.07`, `1.0`: as the paper's tables print shares, in three characters. */
function hundredths(value: number): string {
  const text = value.toFixed(2);
  return text === '1.00' ? '1.0' : text.slice(1);
}

function showProgress({ answersGiven, answersPlanned }: Evaluation): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${answersGiven} of ${answersPlanned} answers`);
}

function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
}
