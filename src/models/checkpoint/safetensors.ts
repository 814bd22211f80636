// The header of a safetensors file. SPEC M-2.3 to M-2.7.
//
//     bytes 0..8      N, unsigned 64-bit little-endian
//     bytes 8..8+N    JSON: { name: { dtype, shape, data_offsets: [begin, end] }, __metadata__?: {...} }
//     the rest        the tensors, row-major, little-endian; offsets count from here
//
// The tensors must tile the rest exactly: no hole, no overlap, nothing behind the last one. Then no
// byte of the file is unaccounted for, and no offset can point outside.

import { FileError } from '../../tensor/errors.ts';
import { decodeUtf8, type ModelFile, quoted } from './model-files.ts';
import { parseStrictJson, type StrictJson } from './strict-json.ts';

const bitsOf = {
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  BOOL: 8,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

export type Dtype = keyof typeof bitsOf;

/** Where one tensor lies. `begin` and `end` count from the start of the file. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** Longest header in bytes, as in the reference implementation. */
export const maxHeaderBytes = 100_000_000;
const maxEntries = 1_000_000;
const maxRank = 16;
const maxNameLength = 1024;

/** Reads and checks the header. Throws FileError, naming the file, where any rule is broken. */
export async function readSafetensorsHeader(file: ModelFile): Promise<SafetensorsHeader> {
  const who = file.name;
  if (file.size < 8) throw new FileError(`${who}: expected at least 8 bytes, got ${file.size}`);
  const prefix = await file.read(0, 8);
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  // Both before anything of that length is allocated.
  if (length > BigInt(maxHeaderBytes)) {
    throw new FileError(`${who}: expected a header of at most ${maxHeaderBytes} bytes, got ${length}`);
  }
  if (8n + length > BigInt(file.size)) {
    throw new FileError(`${who}: expected a header of ${length} bytes, got a file of ${file.size}`);
  }

  const dataBegin = 8 + Number(length);
  const text = decodeUtf8(`${who} header`, await file.read(8, Number(length)));
  const json = parseStrictJson(`${who} header`, text, { maxDepth: 3, unsignedIntegersOnly: true });
  if (!(json instanceof Map)) throw new FileError(`${who}: expected a JSON object, got ${quoted(json)}`);
  if (json.size > maxEntries) {
    throw new FileError(`${who}: expected at most ${maxEntries} tensors, got ${json.size}`);
  }

  let metadata: ReadonlyMap<string, string> = new Map();
  const entries = new Map<string, TensorEntry>();
  for (const [name, value] of json as ReadonlyMap<string, StrictJson>) {
    if (name === '__metadata__') metadata = readMetadata(who, value);
    else entries.set(name, readEntry(who, name, value, dataBegin));
  }
  checkTiling(who, entries, dataBegin, file.size);
  return { entries, metadata };
}

function readMetadata(who: string, value: StrictJson): ReadonlyMap<string, string> {
  const valid = value instanceof Map && [...value.values()].every((text) => typeof text === 'string');
  if (!valid) throw new FileError(`${who} __metadata__: expected strings by name, got something else`);
  return value as ReadonlyMap<string, string>;
}

function readEntry(who: string, name: string, value: StrictJson, dataBegin: number): TensorEntry {
  const tensor = `${who} tensor ${quoted(name)}`;
  if (name.length > maxNameLength) {
    throw new FileError(`${tensor}: expected a name of at most ${maxNameLength}, got ${name.length}`);
  }
  if (!(value instanceof Map)) throw new FileError(`${tensor}: expected an object, got ${quoted(value)}`);
  for (const key of value.keys()) {
    if (key !== 'dtype' && key !== 'shape' && key !== 'data_offsets') {
      throw new FileError(`${tensor}: expected dtype, shape and data_offsets, got ${quoted(key)}`);
    }
  }
  const dtype = value.get('dtype');
  if (typeof dtype !== 'string' || !Object.hasOwn(bitsOf, dtype)) {
    throw new FileError(`${tensor} dtype: expected one of ${Object.keys(bitsOf)}, got ${quoted(dtype)}`);
  }
  const shape = integers(`${tensor} shape`, value.get('shape'));
  const offsets = integers(`${tensor} data_offsets`, value.get('data_offsets'));
  if (shape.length > maxRank) {
    throw new FileError(`${tensor} shape: expected at most ${maxRank} axes, got ${shape.length}`);
  }
  const [begin, end] = offsets;
  if (offsets.length !== 2 || begin === undefined || end === undefined || end < begin) {
    throw new FileError(`${tensor} data_offsets: expected [begin, end], got ${quoted(offsets)}`);
  }
  const byteCount = byteLength(tensor, dtype as Dtype, shape);
  if (end - begin !== byteCount) {
    throw new FileError(`${tensor}: expected ${byteCount} bytes for [${shape}], got ${end - begin}`);
  }
  return { name, dtype: dtype as Dtype, shape, begin: dataBegin + begin, end: dataBegin + end };
}

function integers(who: string, value: StrictJson | undefined): readonly number[] {
  // The parser has let through no number that is not an unsigned integer.
  if (!Array.isArray(value) || value.some((item) => typeof item !== 'number')) {
    throw new FileError(`${who}: expected a list of integers, got ${quoted(value)}`);
  }
  return value;
}

function byteLength(tensor: string, dtype: Dtype, shape: readonly number[]): number {
  let count = 1;
  for (const length of shape) {
    count *= length;
    if (count > Number.MAX_SAFE_INTEGER) {
      throw new FileError(`${tensor} shape: expected fewer than 2^53 elements, got [${shape}]`);
    }
  }
  const bits = BigInt(count) * BigInt(bitsOf[dtype]);
  if (bits % 8n !== 0n) {
    throw new FileError(`${tensor}: expected whole bytes, got ${count} elements of ${bitsOf[dtype]} bits`);
  }
  return Number(bits / 8n);
}

function checkTiling(
  who: string,
  entries: ReadonlyMap<string, TensorEntry>,
  dataBegin: number,
  fileSize: number,
): void {
  const inOrder = [...entries.values()].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let next = dataBegin;
  for (const { name, begin, end } of inOrder) {
    if (begin !== next) {
      const gap = begin > next ? 'a hole' : 'an overlap';
      throw new FileError(
        `${who} tensor ${quoted(name)}: expected to begin at ${next - dataBegin}, got ${begin - dataBegin}: ${gap}`,
      );
    }
    next = end;
  }
  if (next !== fileSize) {
    throw new FileError(`${who}: expected ${next} bytes in all, got a file of ${fileSize}`);
  }
}
