// The options of a command line, checked: what is wrong is said in one line, as of any other argument.

import { parseArgs } from 'node:util';

/** The options of a command by name: those with a value, and switches. */
export type OptionTypes = Readonly<Record<string, { readonly type: 'string' | 'boolean' }>>;

export type OptionValues<O extends OptionTypes> = {
  readonly [name in keyof O]?: O[name]['type'] extends 'string' ? string : boolean;
};

export interface GivenOptions<O extends OptionTypes> {
  readonly values: OptionValues<O>;
  readonly positionals: readonly string[];
}

/**
 * The options and what stands beside them. Throws RangeError for an option that the command has not, for one that lacks its
 * value, and for a switch with one.
 */
export function readOptions<const O extends OptionTypes>(
  command: string,
  args: readonly string[],
  options: O,
): GivenOptions<O> {
  const { values, positionals, tokens } = parseArgs({
    args: [...args],
    options,
    strict: false, // Node's own refusals are of several lines, and take -1 for an option
    tokens: true,
  });
  for (const token of tokens) if (token.kind === 'option') checkOption(command, token, options);
  return { values: values as OptionValues<O>, positionals };
}

/** The options of a command that takes nothing else. Throws RangeError as `readOptions`, and for anything beside them. */
export function readOptionsAlone<const O extends OptionTypes>(
  command: string,
  args: readonly string[],
  options: O,
): OptionValues<O> {
  const { values, positionals } = readOptions(command, args, options);
  const [other] = positionals;
  if (other !== undefined) {
    throw new RangeError(`${command}: expected options alone, got ${JSON.stringify(other)}`);
  }
  return values;
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string; // with its dashes
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined; // behind =
}

function checkOption(command: string, token: OptionToken, options: OptionTypes): void {
  const { name, rawName, value, inlineValue } = token;
  const type = Object.hasOwn(options, name) ? options[name]?.type : undefined;
  if (type === undefined) {
    throw new RangeError(
      `${command}: expected an option that \`visionzip ${command} --help\` lists, got ${rawName}`,
    );
  }
  if (type === 'boolean') {
    if (value === undefined) return;
    throw new RangeError(`${rawName}: expected no value, got ${JSON.stringify(value)}`);
  }
  if (value === undefined || value === '') throw new RangeError(`${rawName}: expected a value, got none`);
  if (inlineValue !== true && /^--?[a-z]/i.test(value)) {
    throw new RangeError(`${rawName}: expected a value, got ${value} (to mean it: ${rawName}=${value})`);
  }
}

const LARGEST_NUMBER = 999_999_999;

/** A whole number from `least` on, as an option gives it. Throws RangeError. */
export function wholeNumber(option: string, text: string, least: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least) return value;
  throw new RangeError(
    `${option}: expected a whole number from ${least} to ${LARGEST_NUMBER}, got ${JSON.stringify(text)}`,
  );
}
