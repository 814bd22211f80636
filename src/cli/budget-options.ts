// The options that say how many visual tokens an answer gets.

import { type Budget, paperBudgets } from '../visionzip/index.ts';
import { wholeNumber } from './options.ts';

/** A budget, or null for all patches and no zipping. */
export type ChosenBudget = Budget | null;

export interface BudgetOptions {
  readonly budget?: string | undefined;
  readonly dominant?: string | undefined;
  readonly contextual?: string | undefined;
  readonly 'no-zip'?: boolean | undefined;
}

const UNZIPPED = 576;

/** The budgets asked for, in the order given; 64 if none is. Throws RangeError for one that there is not. */
export function chosenBudgets(options: BudgetOptions): ChosenBudget[] {
  const { budget, dominant, contextual } = options;
  const pair = dominant !== undefined || contextual !== undefined;
  const ways = [budget !== undefined, pair, options['no-zip'] === true].filter(Boolean).length;
  if (ways > 1)
    throw new RangeError(
      'budget: expected one of --budget, --dominant with --contextual, --no-zip, got several',
    );
  if (options['no-zip'] === true) return [null];
  if (pair) return [explicitBudget(dominant, contextual)];
  return (budget ?? '64').split(',').map(namedBudget);
}

function explicitBudget(dominant: string | undefined, contextual: string | undefined): Budget {
  if (dominant === undefined || contextual === undefined) {
    throw new RangeError('budget: expected --dominant and --contextual together, got one of them');
  }
  return {
    dominantCount: wholeNumber('--dominant', dominant, 1),
    contextualCount: wholeNumber('--contextual', contextual, 0),
  };
}

function namedBudget(name: string): ChosenBudget {
  const count = /^\d{1,4}$/.test(name.trim()) ? Number(name) : Number.NaN;
  if (count === UNZIPPED) return null;
  const found = paperBudgets.get(count);
  if (found !== undefined) return found;
  const names = [...paperBudgets.keys(), UNZIPPED].join(', ');
  throw new RangeError(`--budget: expected some of ${names}, got ${JSON.stringify(name)}`);
}
