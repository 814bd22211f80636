// Checks a JSON file against a valibot schema and speaks of it as the house does. SPEC M-2.14.

import * as v from 'valibot';
import { FileError } from '../../tensor/errors.ts';
import { quoted } from './model-files.ts';

type Schema<Output> = v.BaseSchema<unknown, Output, v.BaseIssue<unknown>>;

/** An integer in [least, most]. */
export function wholeNumber(least: number, most: number): Schema<number> {
  const inRange = (value: number): boolean => Number.isInteger(value) && value >= least && value <= most;
  return v.pipe(v.number(), v.check(inRange, `an integer of ${least} to ${most}`));
}

/** A finite number above 0, up to `most`. */
export function positiveNumber(most: number): Schema<number> {
  const inRange = (value: number): boolean => value > 0 && value <= most;
  return v.pipe(v.number(), v.check(inRange, `a number above 0, up to ${most}`));
}

/** An object with these fields, others ignored. Not an array, which valibot's own would take where no field is needed. */
export function object<const Entries extends v.ObjectEntries>(
  entries: Entries,
): Schema<v.InferOutput<v.ObjectSchema<Entries, undefined>>> {
  return v.pipe(anyObject, v.object(entries));
}

/** Any object but an array, as it is. */
export const anyObject: Schema<Record<string, unknown>> = v.custom<Record<string, unknown>>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  'an object',
);

/** The one value that is implemented; whatever else is refused by name. */
export function only<const Value extends string | number | boolean>(value: Value): Schema<Value> {
  return v.custom<Value>((input) => input === value, JSON.stringify(value));
}

/** `value` as the schema has it. Throws FileError naming the file and the path of the field. */
export function checkSchema<Output>(who: string, schema: Schema<Output>, value: unknown): Output {
  const result = v.safeParse(schema, value, { abortEarly: true, abortPipeEarly: true });
  if (result.success) return result.output;
  const issue = result.issues[0];
  const path = v.getDotPath(issue);
  const expected = issue.type === 'check' || issue.type === 'custom' ? issue.message : issue.expected;
  throw new FileError(
    `${who}${path === null ? '' : ` ${path}`}: expected ${expected ?? issue.message}, got ${quoted(issue.input)}`,
  );
}
