// How commands name budgets and adapters.

import type { Gpu } from '../tensor/index.ts';
import type { ChosenBudget } from './budget-options.ts';

/** `64 = 54 + 10`, or `all patches`. */
export function budgetLabel(budget: ChosenBudget): string {
  if (budget === null) return 'all patches';
  const { dominantCount, contextualCount } = budget;
  return `${dominantCount + contextualCount} = ${dominantCount} + ${contextualCount}`;
}

export interface AdapterRecord {
  readonly vendor: string;
  readonly device: string;
  readonly description: string;
  readonly software: boolean;
}

/** The adapter, as `--json` prints it. */
export function adapterRecord({ adapter }: Gpu): AdapterRecord {
  const { vendor, device, description, software } = adapter;
  return { vendor, device, description, software };
}

/** The adapter in a line. */
export function adapterLine({ adapter }: Gpu): string {
  const name = adapter.description === '' ? adapter.device : adapter.description;
  return `${name}${adapter.software ? ', a software adapter' : ''}`;
}
