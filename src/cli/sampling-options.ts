// The options that say how the tokens of an answer are chosen.

import type { SamplingOptions } from '../models/index.ts';
import { wholeNumber } from './options.ts';

export interface SamplingArguments {
  readonly temperature?: string | undefined;
  readonly 'top-p'?: string | undefined;
  readonly seed?: string | undefined;
}

/** Null for greedy decoding, the default. Throws RangeError. */
export function chosenSampling(given: SamplingArguments): Required<SamplingOptions> | null {
  const temperature = decimal('--temperature', given.temperature ?? '0');
  const topP = decimal('--top-p', given['top-p'] ?? '1');
  const seed = wholeNumber('--seed', given.seed ?? '0', 0);
  if (topP === 0 || topP > 1) throw new RangeError(`--top-p: expected more than 0, at most 1, got ${topP}`);
  if (temperature > 0) return { temperature, topP, seed };
  if (given['top-p'] === undefined && given.seed === undefined) return null;
  throw new RangeError('--top-p, --seed: expected a --temperature above 0 with them, got none');
}

function decimal(option: string, text: string): number {
  if (/^\d{1,9}(\.\d{1,9})?$/.test(text)) return Number(text);
  throw new RangeError(`${option}: expected a decimal number, got ${JSON.stringify(text)}`);
}
