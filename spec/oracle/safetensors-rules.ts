// Whether a safetensors file is one, by the rules of the format alone. SPEC M-2.3 to M-2.7.
//
//     8 <= file      N <= 100,000,000      8 + N <= file      header: UTF-8, one JSON object, every key once
//     __metadata__: strings by name      a tensor: dtype, shape, data_offsets [begin, end], whole numbers
//     end - begin = product of shape x bits / 8, in whole bytes      the tensors, by offset, tile the data

import { isJsonObject, type JsonFacts, jsonFacts } from './json-rules.ts';

export interface TensorPlace {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number; // from the start of the file
  readonly end: number;
}

export interface SafetensorsVerdict {
  /** The rule of the format that the file breaks. */
  readonly broken: string | null;
  /** The rule that this library has beyond those of the format, in M-2.4 or M-2.5. */
  readonly stricter: string | null;
  readonly tensors: ReadonlyMap<string, TensorPlace>;
}

const bits: Readonly<Record<string, number>> = {
  ...{ F4: 4, F6_E2M3: 6, F6_E3M2: 6 },
  ...{ BOOL: 8, U8: 8, I8: 8, F8_E5M2: 8, F8_E4M3: 8, F8_E8M0: 8, F8_E4M3FNUZ: 8, F8_E5M2FNUZ: 8 },
  ...{ I16: 16, U16: 16, F16: 16, BF16: 16, I32: 32, U32: 32, F32: 32 },
  ...{ C64: 64, F64: 64, I64: 64, U64: 64 },
};
const largest = (1n << 64n) - 1n;

class Broken extends Error {}

function need(holds: boolean, rule: string): asserts holds {
  if (!holds) throw new Broken(rule);
}

export function judgeSafetensors(file: Uint8Array): SafetensorsVerdict {
  const tensors = new Map<string, TensorPlace>();
  try {
    const stricter = check(file, tensors);
    return { broken: null, stricter, tensors };
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    return { broken: error.message, stricter: null, tensors: new Map() };
  }
}

function check(file: Uint8Array, tensors: Map<string, TensorPlace>): string | null {
  need(file.length >= 8, 'the length of the header');
  const N = [...file.subarray(0, 8)].reduceRight((value, byte) => value * 256n + BigInt(byte), 0n);
  need(N <= 100_000_000n, 'at most 100,000,000 bytes of header');
  need(8n + N <= BigInt(file.length), 'a header within the file');
  const dataBegin = 8 + Number(N);
  const facts = jsonFacts(file.subarray(8, dataBegin));
  need(facts !== null, 'a header of JSON');
  need(isJsonObject(facts.value), 'a header that is an object');
  need(new Set(facts.keys).size === facts.keys.length, 'every key once');
  need(facts.wellFormed, 'no lone surrogates');

  let stricter = stricterJson(facts);
  for (const [name, entry] of Object.entries(facts.value)) {
    if (name === '__metadata__') {
      if (entry === null) stricter ??= 'metadata that is an object';
      else need(isJsonObject(entry) && Object.values(entry).every(isString), 'strings by name');
      continue;
    }
    stricter ??= readEntry(name, entry, dataBegin, tensors);
  }
  checkTiling([...tensors.values()], dataBegin, file.length);
  checkSpelling(facts.numbers);
  return stricter;
}

function isString(value: unknown): boolean {
  return typeof value === 'string';
}

function stricterJson({ value, numbers, depth }: JsonFacts): string | null {
  if (depth > 3) return 'at most 3 levels';
  if (numbers.some((number) => Number(number) > Number.MAX_SAFE_INTEGER)) return 'numbers below 2^53';
  // What a tensor has beyond its three fields, the format's own reader ignores.
  const others = Object.entries(value as object).filter(
    ([name, entry]) => name !== '__metadata__' && isJsonObject(entry) && Object.keys(entry).length > 3,
  );
  return others.length > 0 ? 'dtype, shape and data_offsets only' : null;
}

/** Without sign, fraction and exponent. (Also in fields that the format's own reader ignores: those are refused as such.) */
function checkSpelling(numbers: readonly string[]): void {
  const isWhole = (number: string): boolean => /^\d+$/.test(number) && BigInt(number) <= largest;
  need(numbers.every(isWhole), 'whole numbers');
}

function readEntry(
  name: string,
  entry: unknown,
  dataBegin: number,
  tensors: Map<string, TensorPlace>,
): string | null {
  need(isJsonObject(entry), 'an object for each tensor');
  const { dtype, shape, data_offsets: offsets } = entry;
  need(typeof dtype === 'string' && Object.hasOwn(bits, dtype), 'a dtype there is');
  need(isNumbers(shape), 'a shape of numbers');
  need(isNumbers(offsets) && offsets.length === 2, 'two offsets');
  const [begin = 0, end = 0] = offsets;
  need(begin <= end, 'an end that is not before its begin');
  // Lengths beyond 2^53 have been rounded by JSON.parse; they are refused for another reason.
  const count = shape.reduce((product, length) => product * BigInt(length), 1n);
  need(count <= largest, 'a number of elements below 2^64');
  const size = count * BigInt(bits[dtype] as number);
  need(size % 8n === 0n, 'whole bytes');
  need(size / 8n === BigInt(end - begin), 'as many bytes as the shape says');
  tensors.set(name, { dtype, shape, begin: dataBegin + begin, end: dataBegin + end });
  if (shape.length > 16) return 'at most 16 axes';
  if (name.length > 1024) return 'a name of at most 1,024 characters';
  return partialProductTooLarge(shape) ? 'fewer than 2^53 elements' : null;
}

function isNumbers(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((item) => Number.isInteger(item) && item >= 0);
}

/** Elements are counted axis by axis, so that a later axis of 0 does not make up for it. */
function partialProductTooLarge(shape: readonly number[]): boolean {
  let count = 1n;
  return shape.some((length) => {
    count *= BigInt(length);
    return count > BigInt(Number.MAX_SAFE_INTEGER);
  });
}

function checkTiling(places: readonly TensorPlace[], dataBegin: number, size: number): void {
  // No two non-empty tensors share a byte, no tensor leaves the data, and together they are as long as it.
  const filled = places.filter(({ begin, end }) => end > begin);
  const total = filled.reduce((sum, { begin, end }) => sum + end - begin, 0);
  need(total === size - dataBegin, 'tensors as long as the data');
  const begins = new Set([dataBegin, ...filled.map(({ end }) => end)]);
  const ends = new Set([size, ...filled.map(({ begin }) => begin)]);
  need(
    places.every(({ begin, end }) => begins.has(begin) && end <= size),
    'no hole and no overlap',
  );
  need(new Set(filled.map(({ begin }) => begin)).size === filled.length, 'no overlap');
  need(
    filled.every(({ end }) => ends.has(end)),
    'no hole',
  );
}
