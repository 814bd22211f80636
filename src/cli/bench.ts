// `visionzip bench`: how long each stage takes, with all visual tokens and with few. SPEC B-1.

import type { Gpu, KernelTime } from '../tensor/index.ts';
import { type BenchConfig, benchConfigs, checkpointBudgets } from './bench-configs.ts';
import { type Opened, openCheckpoint, openRandom } from './bench-open.ts';
import { type BenchPlan, type BenchRow, measure } from './bench-run.ts';
import { ratiosTable, timesTable } from './bench-table.ts';
import { adapterLine, adapterRecord } from './labels.ts';
import { modelFlags, modelOptions } from './model.ts';
import { readOptionsAlone, wholeNumber } from './options.ts';
import { profiled, profileTable } from './profile.ts';
import { INTERRUPTED, noteInterrupt, takeInterrupts } from './signals.ts';

const options = {
  ...modelFlags,
  config: { type: 'string' },
  budget: { type: 'string' },
  layers: { type: 'string' },
  repeat: { type: 'string' },
  tokens: { type: 'string' },
  'subgroup-matrix': { type: 'boolean' },
  profile: { type: 'boolean' },
  json: { type: 'boolean' },
} as const;

const TEXT_TOKENS = 64;

export async function bench(args: string[]): Promise<number> {
  const values = readOptionsAlone('bench', args, options);
  if (values.config !== undefined && values.model !== undefined) {
    throw new RangeError('bench: expected --config or --model, got both');
  }
  const name = values.model ?? values.config ?? 'tiny';
  const config = values.model === undefined && name !== 'tiny' ? configOf(name) : null;
  const plan: BenchPlan = {
    budgets: budgetsOf(config?.budgets ?? checkpointBudgets, values.budget),
    repeat: wholeNumber('--repeat', values.repeat ?? '3', 1),
    textTokens: TEXT_TOKENS,
    newTokens: wholeNumber('--tokens', values.tokens ?? '16', 2),
  };
  const layers = values.layers === undefined ? null : wholeNumber('--layers', values.layers, 1);
  const opening = { ...modelOptions(values), subgroupMatrix: values['subgroup-matrix'] === true };
  const isInterrupted = noteInterrupt('behind the budget at hand');
  const opened =
    config === null
      ? await openCheckpoint(name, values.model, opening, layers, plan)
      : await openRandom(name, config, opening, layers, plan);
  const { gpu } = opened.subject;
  const rows: BenchRow[] = [];
  const print = (isPartial: boolean, profile?: readonly KernelTime[]): void => {
    const report: Report = { opened, plan, rows, isPartial, profile };
    process.stdout.write(values.json === true ? asJson(report) : asText(report));
    if (profile !== undefined && values.json !== true) process.stderr.write(`\n${profileTable(profile)}`);
  };
  try {
    const { profile } = await profiled(gpu, values.profile === true, async () => {
      for await (const row of measure(opened.subject, plan)) {
        rows.push(row);
        if (isInterrupted()) break;
      }
    });
    const isPartial = rows.length < plan.budgets.size;
    print(isPartial, profile);
    return isPartial ? INTERRUPTED : 0;
  } catch (error) {
    print(true);
    throw error;
  } finally {
    takeInterrupts(null);
    gpu.close();
  }
}

function configOf(name: string): BenchConfig {
  const found = benchConfigs.get(name);
  if (found !== undefined) return found;
  const names = ['tiny', ...benchConfigs.keys()].join(', ');
  throw new RangeError(`--config: expected one of ${names}, got ${JSON.stringify(name)}`);
}

/** Those asked for, and first of all the one without zipping, which the others are compared with. */
function budgetsOf(all: BenchConfig['budgets'], list: string | undefined): BenchConfig['budgets'] {
  if (list === undefined) return all;
  const counts = list.split(',').map((text) => (/^\d{1,5}$/.test(text.trim()) ? Number(text) : Number.NaN));
  const unknown = counts.findIndex((count) => !all.has(count));
  if (unknown !== -1) {
    const got = JSON.stringify(list.split(',')[unknown]);
    throw new RangeError(`--budget: expected some of ${[...all.keys()].join(', ')}, got ${got}`);
  }
  return new Map([...all].filter(([count, budget]) => budget === null || counts.includes(count)));
}

interface Report {
  readonly opened: Opened;
  readonly plan: BenchPlan;
  readonly rows: readonly BenchRow[];
  readonly isPartial: boolean;
  readonly profile: readonly KernelTime[] | undefined;
}

function asText({ opened, plan, rows, isPartial, profile }: Report): string {
  const { name, subject, weights, layers } = opened;
  const isCut = layers.run < layers.whole;
  const model = isCut
    ? `${name}, ${layers.run} OF ${layers.whole} ${layers.part.toUpperCase()} LAYERS`
    : `${name}, ${layers.whole} ${layers.part} layers`;
  const prompt =
    subject.llava === null
      ? ''
      : `; prompt of the picture${subject.cropCount > 1 ? ` in ${subject.cropCount} crops` : ''} and ${plan.textTokens} text tokens, ${plan.newTokens} new tokens`;
  return [
    `${model}: ${weights}${prompt}`,
    `on ${adapterLine(subject.gpu)}${tensorCores(subject.gpu)}; milliseconds, median of ${plan.repeat}${plan.repeat > 1 ? '' : ' run'}`,
    ...(profile ? ['PROFILED: every kernel was timed by itself, which slows all stages down.'] : []),
    ...(isPartial ? ['PARTIAL: not all budgets were measured.'] : []),
    '',
    rows.length === 0 ? 'Nothing was measured.\n' : timesTable(rows),
    ratiosTable(rows),
  ].join('\n');
}

/** What became of --subgroup-matrix. */
function tensorCores({ subgroupMatrix }: Gpu): string {
  return subgroupMatrix === 'off' ? '' : `, tensor cores: ${subgroupMatrix}`;
}

function asJson({ opened, plan, rows, isPartial, profile }: Report): string {
  const { name, subject, weights, layers } = opened;
  const record = {
    config: name,
    weights,
    layers,
    crops: subject.cropCount,
    textTokens: plan.textTokens,
    newTokens: plan.newTokens,
    repeat: plan.repeat,
    partial: isPartial,
    rows,
    ...(profile && { profile }),
    subgroupMatrix: subject.gpu.subgroupMatrix,
    adapter: adapterRecord(subject.gpu),
  };
  return `${JSON.stringify(record, null, 2)}\n`;
}
