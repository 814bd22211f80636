import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readSafetensorsHeader, type SafetensorsHeader } from '../../../src/models/checkpoint/safetensors.ts';
import { writeSafetensors } from '../../../src/models/checkpoint/write-safetensors.ts';
import { FileError } from '../../../src/tensor/errors.ts';
import { mainThreadMs, timed } from '../../support/processor-time.ts';
import { memoryFile } from './memory-files.ts';

const read = (bytes: Uint8Array): Promise<SafetensorsHeader> => readSafetensorsHeader(memoryFile('f', bytes));
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const zeros = (count: number): Uint8Array => new Uint8Array(count);

function join(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function lengthPrefix(length: number | bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  return bytes;
}

/** A file with this header, as it is, and this many zero bytes behind it. */
function file(header: string | Uint8Array, dataLength = 0): Uint8Array {
  const bytes = typeof header === 'string' ? text(header) : header;
  return join(lengthPrefix(bytes.length), bytes, zeros(dataLength));
}

const plain = '{"test":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]}}';
const one = (dtype: string, shape: string, offsets: string): string =>
  `{"test":{"dtype":${dtype},"shape":${shape},"data_offsets":${offsets}}}`;
const i32 = (shape: string, offsets: string): string => one('"I32"', shape, offsets);
const pair = (a: string, b: string): string =>
  `{"a":{"dtype":"U8","shape":[4],"data_offsets":${a}},"b":{"dtype":"U8","shape":[4],"data_offsets":${b}}}`;

const emptyLast =
  '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}';

describe('accepted', () => {
  const accepted: readonly (readonly [string, Uint8Array, number])[] = [
    ['a 2 x 2 tensor', file(plain, 16), 1],
    ['white space behind', file('{}\r \t\n'), 0],
    ['white space around', file('\t\n{}\r '), 0],
    ['padding with spaces', file('{}      '), 0],
    ['rank 0', file(i32('[]', '[0,4]'), 4), 1],
    ['an empty axis and a space in the offsets', file(i32('[2,0]', '[0, 0]')), 1],
    ['an empty axis before a huge one', file(i32('[0,9007199254740991]', '[0,0]')), 1],
    ['two halves of a byte', file(one('"F4"', '[1,2]', '[0,1]'), 1), 1],
    ['an empty tensor behind one that begins where it does', file(emptyLast, 4), 2],
    ['two tensors, unsorted', file(pair('[4,8]', '[0,4]'), 8), 2],
    ['metadata', file('{"__metadata__":{"format":"pt"}}'), 0],
    ['escaped text', file('{"__metadata__":{"a\\n\\u00e9":"\\ud83d\\ude00\\/"}}'), 0],
    ['a header that aligns nothing', file(' {"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4), 1],
  ];
  it.each(accepted)('M-2.3 %s is accepted', async (_, bytes, count) => {
    expect((await read(bytes)).entries.size).toBe(count);
  });

  it('M-2.3 offsets count from the start of the file', async () => {
    const { entries } = await read(file(plain, 16));
    expect(entries.get('test')).toEqual({ name: 'test', dtype: 'I32', shape: [2, 2], begin: 68, end: 84 });
  });

  it('M-2.7 any name is a plain name', async () => {
    for (const name of ['__proto__', 'constructor', 'toString', '', 'né', '😀']) {
      const bytes = writeSafetensors([
        { name, dtype: 'F32', shape: [1], data: Float32Array.of(1) },
        { name: 'other', dtype: 'F32', shape: [1], data: Float32Array.of(2) },
      ]);
      const { entries } = await read(bytes);
      expect([...entries.keys()].sort()).toEqual([name, 'other'].sort());
      expect(entries.get(name)?.shape).toEqual([1]);
      expect(Object.getPrototypeOf(entries)).toBe(Map.prototype);
    }
  });
});

describe('refused', () => {
  const overlapping = Array.from({ length: 10 }, (_, i) => `"test_${i}":${plain.slice(8, -1)}`);
  const refused: readonly (readonly [string, string, Uint8Array])[] = [
    ['M-2.3', 'an empty file', zeros(0)],
    ['M-2.3', 'seven bytes', zeros(7)],
    ['M-2.3', 'a length and nothing else', lengthPrefix(60)],
    ['M-2.3', 'a length of 0', zeros(8)],
    ['M-2.3', 'a header longer than the file', join(lengthPrefix(1000), text('{}'))],
    ['M-2.3', 'a header one byte longer than the file', join(lengthPrefix(3), text('{}'))],
    ['M-2.3', 'a header beyond 100 MB', Uint8Array.of(0x3c, 0, 0, 0, 0, 0xff, 0xff, 0xff)],
    ['M-2.3', 'a length of 2^63', join(lengthPrefix(1n << 63n), text('{}'))],
    ['M-2.4', 'a header that is not UTF-8', file(Uint8Array.of(0xff))],
    ['M-2.4', 'an overlong form', file(Uint8Array.of(0x7b, 0xc0, 0x80, 0x7d))],
    ['M-2.4', 'half an object', file('{')],
    ['M-2.4', 'a list', file('[]')],
    ['M-2.4', 'a number', file('1')],
    ['M-2.4', 'two values', file('{}{}')],
    ['M-2.4', 'a comma too many', file('{"__metadata__":{},}')],
    ['M-2.4', 'a byte order mark', file('\ufeff{}')],
    ['M-2.4', 'padding with NUL', file('{}\0\0\0\0\0\0')],
    ['M-2.4', 'a vertical tab', file('{}\v')],
    ['M-2.4', 'a control character in a name', file('{"__metadata__":{"a\u0001":""}}')],
    ['M-2.4', 'a lone surrogate', file('{"__metadata__":{"a":"\\ud800"}}')],
    ['M-2.4', 'an unknown escape', file('{"__metadata__":{"a":"\\x41"}}')],
    ['M-2.4', '100,000 open brackets', file('['.repeat(100_000))],
    ['M-2.4', '100,000 open objects', file('{"a":'.repeat(100_000))],
    ['M-2.4', 'a name twice', file(`{${plain.slice(1, -1)},${plain.slice(1, -1)}}`, 16)],
    ['M-2.4', 'a field twice', file('{"t":{"dtype":"U8","dtype":"U8","shape":[],"data_offsets":[0,1]}}', 1)],
    ['M-2.4', 'metadata twice', file('{"__metadata__":{},"__metadata__":{}}')],
    ['M-2.4', '2.0 as a length', file(i32('[2.0,2]', '[0,16]'), 16)],
    ['M-2.4', '1e1 as an offset', file(i32('[2,2]', '[0,1.6e1]'), 16)],
    ['M-2.4', 'a negative length', file(i32('[-2,-2]', '[0,16]'), 16)],
    ['M-2.4', '-0 as an offset', file(i32('[2,2]', '[-0,16]'), 16)],
    ['M-2.4', 'a leading zero', file(i32('[02,2]', '[0,16]'), 16)],
    ['M-2.4', '"2" as a length', file(i32('["2",2]', '[0,16]'), 16)],
    ['M-2.4', 'a length beyond 2^64 - 2', file(i32('[2,18446744073709551614]', '[0,16]'), 16)],
    ['M-2.4', 'a length of 2^53 beside a 0', file(i32('[0,9007199254740992]', '[0,0]'))],
    ['M-2.4', 'an offset beyond 2^53', file(i32('[2,2]', '[9007199254740992,9007199254741008]'), 16)],
    ['M-2.5', 'metadata with a number', file('{"__metadata__":{"a":1}}')],
    ['M-2.5', 'metadata that is null', file('{"__metadata__":null}')],
    ['M-2.5', 'an entry that is a list', file('{"t":[]}')],
    ['M-2.5', 'an unknown dtype', file(one('"F128"', '[1]', '[0,16]'), 16)],
    ['M-2.5', 'a dtype called constructor', file(one('"constructor"', '[1]', '[0,16]'), 16)],
    ['M-2.5', 'a dtype that is a number', file(one('32', '[1]', '[0,4]'), 4)],
    ['M-2.5', 'no dtype', file('{"t":{"shape":[],"data_offsets":[0,1]}}', 1)],
    ['M-2.5', 'no shape', file('{"t":{"dtype":"U8","data_offsets":[0,1]}}', 1)],
    ['M-2.5', 'no offsets', file('{"t":{"dtype":"U8","shape":[1]}}', 1)],
    ['M-2.5', 'an unknown field', file('{"t":{"dtype":"U8","shape":[],"data_offsets":[0,1],"x":1}}', 1)],
    ['M-2.5', 'one offset', file(i32('[2,2]', '[16]'), 16)],
    ['M-2.5', 'three offsets', file(i32('[2,2]', '[0,16,16]'), 16)],
    ['M-2.5', '17 axes', file(i32(`[${Array(17).fill(1)}]`, '[0,4]'), 4)],
    ['M-2.5', 'a name of 1,025 characters', file(plain.replace('test', 'x'.repeat(1025)), 16)],
    ['M-2.5', 'fewer bytes than the shape takes', file(i32('[2,2]', '[0,4]'), 4)],
    ['M-2.5', 'more bytes than the shape takes', file(i32('[2,2]', '[0,20]'), 20)],
    ['M-2.5', 'a length of 2^63 - 1', file(i32('[2,9223372036854775807]', '[0,16]'), 16)],
    ['M-2.5', 'a product beyond 2^53', file(i32('[94906267,94906267]', '[0,16]'), 16)],
    ['M-2.5', 'three halves of a byte', file(one('"F4"', '[1,3]', '[0,1]'), 1)],
    ['M-2.6', 'an end before its begin', file(pair('[0,4]', '[8,4]'), 8)],
    ['M-2.6', 'a hole between tensors', file(pair('[0,4]', '[5,9]'), 9)],
    ['M-2.6', 'a hole before the first tensor', file(i32('[2,2]', '[4,20]'), 20)],
    ['M-2.6', 'an overlap', file(pair('[0,4]', '[3,7]'), 7)],
    ['M-2.6', 'ten tensors on the same bytes', file(`{${overlapping.join(',')}}`, 16)],
    ['M-2.6', 'a truncated file', file(plain, 14)],
    [
      'M-2.6',
      'bytes behind the last tensor',
      join(file(plain, 16), text('extra_bogus_data_for_polyglot_file')),
    ],
    ['M-2.6', 'bytes without a tensor', file('{}', 1)],
  ];
  it.each(refused)('%s %s is refused', async (_, __, bytes) => {
    await expect(read(bytes)).rejects.toThrow(FileError);
    await expect(read(bytes)).rejects.toThrow(/^f.*expected .*, got /s);
  });

  it('M-2.3 a header beyond 100 MB is refused before it is read, however long the file', async () => {
    const reads: number[] = [];
    const huge = (length: number): Promise<SafetensorsHeader> =>
      readSafetensorsHeader({
        ...memoryFile('f', lengthPrefix(length)),
        size: 300_000_000,
        read: async (_, count) => {
          reads.push(count);
          return count === 8 ? lengthPrefix(length) : text('{}');
        },
      });
    await expect(huge(100_000_001)).rejects.toThrow(/header of at most 100000000 bytes, got 100000001/);
    expect(reads).toEqual([8]);
    await expect(huge(100_000_000)).rejects.toThrow(/bytes in all/);
    expect(reads).toEqual([8, 8, 100_000_000]);
  });

  it('M-2.6 100,000 tensors on the same bytes are refused within two seconds', async () => {
    const entries = Array.from({ length: 100_000 }, (_, i) => `"t${i}":${plain.slice(8, -1)}`);
    const header = text(`{${entries.join(',')}}`);
    const bytes = new Uint8Array(8 + header.length + 16);
    bytes.set(lengthPrefix(header.length));
    bytes.set(header, 8);
    const start = mainThreadMs();
    await expect(read(bytes)).rejects.toThrow(/an overlap/);
    expect(mainThreadMs() - start).toBeLessThan(2000);
  });

  it('M-2.5 a million and one tensors are refused', async () => {
    const header = text(`{${Array.from({ length: 1_000_001 }, (_, i) => `"${i}":0`)}}`);
    const bytes = new Uint8Array(8 + header.length);
    bytes.set(lengthPrefix(header.length));
    bytes.set(header, 8);
    await expect(read(bytes)).rejects.toThrow(/at most 1000000 tensors, got 1000001/);
  });

  it('M-2.4 20 MB of spaces are read like any other', async () => {
    const bytes = new Uint8Array(8 + 20_000_000).fill(0x20);
    bytes.set(lengthPrefix(20_000_000));
    bytes[8] = 0x7b;
    await expect(read(bytes)).rejects.toThrow(FileError);
    bytes[bytes.length - 1] = 0x7d;
    expect((await read(bytes)).entries.size).toBe(0);
  });
});

describe('damaged files', () => {
  const seeds = [
    file(plain, 16),
    file(pair('[0,4]', '[4,8]'), 8),
    file('{"__metadata__":{"format":"pt","\\u00e9":"x"}}'),
    writeSafetensors([
      { name: 'tokens', dtype: 'F32', shape: [1, 2, 3], data: new Float32Array(6) },
      { name: 'kept', dtype: 'I32', shape: [4], data: new Int32Array(4) },
    ]),
  ];
  const mutation = fc.record({
    kind: fc.constantFrom('set', 'insert', 'remove', 'truncate', 'repeat'),
    at: fc.nat(400),
    byte: fc.oneof(fc.nat(255), fc.constantFrom(...text('{}[]",:0123456789-.eE\\u '))),
  });

  function mutate(bytes: number[], { kind, at, byte }: { kind: string; at: number; byte: number }): void {
    const position = at % (bytes.length + 1);
    if (kind === 'set' && position < bytes.length) bytes[position] = byte;
    if (kind === 'insert') bytes.splice(position, 0, byte);
    if (kind === 'remove') bytes.splice(position, 1);
    if (kind === 'truncate') bytes.length = position;
    if (kind === 'repeat') bytes.splice(position, 0, ...bytes.slice(position, position + 16));
  }

  it('M-2.3 to M-2.6 a damaged file is read whole or refused with FileError, within 50 ms', async () => {
    const cases = fc.tuple(fc.constantFrom(...seeds), fc.array(mutation, { minLength: 1, maxLength: 4 }));
    let slowest = 0;
    await fc.assert(
      fc.asyncProperty(cases, async ([seed, mutations]) => {
        const bytes = [...seed];
        for (const step of mutations) mutate(bytes, step);
        // The length is put right half of the time, so that the JSON is reached.
        const damaged = Uint8Array.from(bytes);
        if (damaged.length > 8 && (mutations[0]?.at ?? 0) % 2 === 0) {
          damaged.set(lengthPrefix((seed[0] as number) + damaged.length - seed.length));
        }
        const { result: outcome, ms } = await timed(() => read(damaged).catch((error: unknown) => error));
        slowest = Math.max(slowest, ms);
        if (outcome instanceof Error) {
          expect(outcome).toBeInstanceOf(FileError);
          return;
        }
        const entries = [...(outcome as SafetensorsHeader).entries.values()];
        const covered = entries.reduce((sum, { begin, end }) => sum + end - begin, 0);
        expect(entries.every(({ begin, end }) => begin <= end && end <= damaged.length)).toBe(true);
        expect(8 + (damaged[0] as number) + 256 * (damaged[1] as number) + covered).toBe(damaged.length);
      }),
      { numRuns: 1000 },
    );
    expect(slowest).toBeLessThan(50);
  });
});
