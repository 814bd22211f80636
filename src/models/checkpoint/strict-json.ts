// A strict JSON reader for text that decides where bytes lie. SPEC M-2.4.
//
// JSON.parse is not enough there: it rounds integers beyond 2^53, takes 2.0 and 1e2 for integers,
// keeps the last of two equal keys without a word, and lets lone surrogates through. Objects become
// Maps, so that a tensor may be called `__proto__`. Depth is capped before the recursion starts.

import { FileError } from '../../tensor/errors.ts';
import { quoted } from './model-files.ts';

export type StrictJson = string | number | boolean | null | readonly StrictJson[] | StrictJsonObject;
export type StrictJsonObject = ReadonlyMap<string, StrictJson>;

export interface StrictJsonRules {
  /** Deepest nesting of objects and arrays. */
  readonly maxDepth: number;
  /** Refuse -1, 1.0, 1e2 and whatever is above 2^53 - 1. */
  readonly unsignedIntegersOnly: boolean;
}

// Loops over character codes, not regular expressions: those run out of stack on 100 MB of spaces.
const isSpace = (code: number): boolean => code === 32 || code === 9 || code === 10 || code === 13;
const isPlain = (code: number): boolean => code >= 32 && code !== 34 && code !== 92;
const isNumeric = (code: number): boolean =>
  (code >= 48 && code <= 57) || code === 43 || code === 45 || code === 46 || code === 69 || code === 101;
const numberPattern = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const longestNumber = 64;
const words = [
  ['true', true],
  ['false', false],
  ['null', null],
] as const;
const escapes: ReadonlyMap<string, string> = new Map(
  Object.entries({ '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }),
);

/** The value of `text`. Throws FileError, with `who` and the position, at the first broken rule. */
export function parseStrictJson(who: string, text: string, rules: StrictJsonRules): StrictJson {
  let position = 0;

  function fail(expected: string): never {
    const got = position < text.length ? quoted(text.slice(position, position + 12)) : 'the end';
    throw new FileError(`${who}: expected ${expected} at character ${position}, got ${got}`);
  }

  function takeWhile(isWanted: (code: number) => boolean): string {
    const start = position;
    while (position < text.length && isWanted(text.charCodeAt(position))) position++;
    return text.slice(start, position);
  }

  function take(character: string): boolean {
    if (text[position] !== character) return false;
    position++;
    return true;
  }

  function parseValue(depth: number): StrictJson {
    const first = text[position];
    if (first === '"') return parseString();
    if (first === '{' || first === '[') {
      if (depth >= rules.maxDepth) fail(`at most ${rules.maxDepth} levels`);
      return first === '{' ? parseObject(depth + 1) : parseArray(depth + 1);
    }
    for (const [word, value] of words) {
      if (!text.startsWith(word, position)) continue;
      position += word.length;
      return value;
    }
    return parseNumber();
  }

  function parseNumber(): number {
    const start = position;
    const literal = takeWhile(isNumeric);
    const valid = literal.length <= longestNumber && numberPattern.test(literal);
    const value = valid ? Number(literal) : Number.NaN;
    const unsigned = /^\d+$/.test(literal) && Number.isSafeInteger(value);
    if (!valid || (rules.unsignedIntegersOnly && !unsigned)) {
      position = start;
      fail(rules.unsignedIntegersOnly ? 'a value (numbers: 0 to 2^53 - 1, digits only)' : 'a value');
    }
    return value;
  }

  function parseString(): string {
    if (!take('"')) fail('a string');
    let value = takeWhile(isPlain);
    let escaped = false;
    while (!take('"')) {
      if (!take('\\')) fail('a string that ends, without control characters');
      escaped = true;
      value += parseEscape() + takeWhile(isPlain);
    }
    if (escaped && /\p{Surrogate}/u.test(value)) fail('a string without lone surrogates');
    return value;
  }

  function parseEscape(): string {
    const letter = text[position] ?? '';
    const hex = text.slice(position + 1, position + 5);
    if (letter === 'u' && /^[0-9a-fA-F]{4}$/.test(hex)) {
      position += 5;
      return String.fromCharCode(Number.parseInt(hex, 16));
    }
    const character = escapes.get(letter);
    if (character === undefined) fail('an escape');
    position++;
    return character;
  }

  function parseArray(depth: number): StrictJson[] {
    const items: StrictJson[] = [];
    position++;
    takeWhile(isSpace);
    if (take(']')) return items;
    for (;;) {
      items.push(parseValue(depth));
      takeWhile(isSpace);
      if (take(']')) return items;
      if (!take(',')) fail('"," or "]"');
      takeWhile(isSpace);
    }
  }

  function parseObject(depth: number): StrictJsonObject {
    const members = new Map<string, StrictJson>();
    position++;
    takeWhile(isSpace);
    if (take('}')) return members;
    for (;;) {
      const start = position;
      const key = parseString();
      if (members.has(key)) {
        position = start;
        fail('every key once');
      }
      takeWhile(isSpace);
      if (!take(':')) fail('":"');
      takeWhile(isSpace);
      members.set(key, parseValue(depth));
      takeWhile(isSpace);
      if (take('}')) return members;
      if (!take(',')) fail('"," or "}"');
      takeWhile(isSpace);
    }
  }

  takeWhile(isSpace);
  const value = parseValue(0);
  takeWhile(isSpace);
  if (position < text.length) fail('nothing more');
  return value;
}
