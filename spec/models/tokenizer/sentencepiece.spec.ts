import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { modelDirectory } from '../../../src/models/checkpoint/model-directory.ts';
import { readSentencePiece } from '../../../src/models/tokenizer/sentencepiece.ts';
import { loadTokenizer, type Tokenizer } from '../../../src/models/tokenizer/tokenizer.ts';
import { FileError } from '../../../src/tensor/errors.ts';
import { memoryFiles } from '../checkpoint/memory-files.ts';

const folder = 'golden/tiny-llava';
const model = new Uint8Array(readFileSync(`${folder}/tokenizer.model`));
const config = JSON.parse(readFileSync(`${folder}/tokenizer_config.json`, 'utf8'));
const golden = JSON.parse(readFileSync('golden/tokenizer/cases.json', 'utf8'));

const load = (files: object): Promise<Tokenizer> =>
  loadTokenizer(memoryFiles({ 'tokenizer.model': model, ...files }));

let fromModel: Tokenizer;
let fromJson: Tokenizer;
beforeAll(async () => {
  fromModel = await load({ 'tokenizer_config.json': config });
  fromJson = await loadTokenizer(modelDirectory(folder));
});

// Text that merges often, breaks into bytes, and has special tokens in it.
const word = fc.constantFrom(
  'red ',
  'circle',
  'the ',
  ' ',
  '  ',
  '\n',
  'What',
  '?',
  '▁',
  '</s>',
  '<s>',
  '<image>',
  '<pad>',
  'é',
  '你',
  '😀',
);
const text = fc
  .array(
    fc.oneof(
      word,
      fc.string({ unit: 'grapheme', maxLength: 12 }),
      fc.string({ unit: 'binary', maxLength: 6 }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

describe('M-3.13 tokenizer.model', () => {
  it('M-3.13 gives the ids of tokenizer.json for 5,000 strings, special tokens honoured or not', () => {
    fc.assert(
      fc.property(text, (value) => {
        expect(fromModel.encode(value)).toEqual(fromJson.encode(value));
        expect(fromModel.encodePlain(value)).toEqual(fromJson.encodePlain(value));
      }),
      { numRuns: 5000 },
    );
  });

  it('M-3.13 gives the ids and the texts of SentencePiece', () => {
    for (const { text: value, ids, plainIds } of golden.encode) {
      expect(fromModel.encode(value), JSON.stringify(value)).toEqual(ids);
      expect(fromModel.encodePlain(value), JSON.stringify(value)).toEqual(plainIds);
    }
    for (const { ids, text: value } of golden.decode) expect(fromModel.decode(ids), `${ids}`).toBe(value);
    expect([fromModel.bosTokenId, fromModel.eosTokenId, fromModel.vocabSize]).toEqual([1, 2, 514]);
  });

  it('M-3.13 added tokens come from tokenizer_config.json, else from added_tokens.json, else there are none', async () => {
    const value = 'a<image>b</s>';
    const older = await load({ 'added_tokens.json': { '<image>': 512, '<pad>': 513 } });
    expect(older.encode(value)).toEqual(fromJson.encode(value));
    const none = await load({});
    expect(none.vocabSize).toBe(512);
    expect(none.encode('a</s>b')).toEqual(fromJson.encode('a</s>b'));
    expect(none.encode('<image>')).toEqual(fromJson.encodePlain('<image>'));
    await expect(load({ 'added_tokens.json': { '<image>': 600 } })).rejects.toThrow(
      /added_tokens\.json ids: expected every id/,
    );
    await expect(load({ 'added_tokens.json': { '<image>': 300 } })).rejects.toThrow(
      /id 300: expected one piece/,
    );
    await expect(load({ 'added_tokens.json': { '<begin>': 1 } })).rejects.toThrow(/id 1: expected one piece/);
    await expect(load({ 'added_tokens.json': { '<image>': '512' } })).rejects.toThrow(/added_tokens\.json/);
    await expect(load({ 'added_tokens.json': ['<image>'] })).rejects.toThrow(/added_tokens\.json/);
    expect((await load({ 'added_tokens.json': { constructor: 512 } })).encode('constructor').at(-1)).toBe(
      512,
    );
  });

  it('M-3.13 without legacy only the beginning of a text gets its "▁"', async () => {
    const modern = await load({ 'tokenizer_config.json': { ...config, legacy: false } });
    const [start, inner] = [
      fromJson.encodePlain('red'),
      fromJson.encodePlain('xred').slice(fromJson.encodePlain('x').length),
    ];
    expect(modern.encode('red</s>red')).toEqual([...start, 2, ...inner]);
    expect(modern.encode('</s>red')).toEqual([2, ...inner]);
    expect(fromModel.encode('red</s>red')).toEqual([...start, 2, ...start]);
    expect(modern.encode('<image>red')).toEqual([...fromJson.encodePlain('▁').slice(1), 512, ...inner]);
    expect(modern.encode('  ')).toEqual(fromJson.encode('  '));
    expect(modern.encodePlain('a  red\n')).toEqual(fromJson.encodePlain('a  red\n'));
  });

  it('M-3.13 tokenizer.json goes first', async () => {
    const broken = { 'tokenizer.json': '{', 'tokenizer_config.json': config };
    await expect(load(broken)).rejects.toThrow(/tokenizer\.json: expected JSON/);
  });
});

/** A protobuf field: text and bytes, integers (−1 in ten bytes), or a float in an array of one. */
function field(
  number: number,
  value: string | number | boolean | Uint8Array | readonly [number],
): Uint8Array {
  const tag = (wireType: number): number[] => varint(number * 8 + wireType);
  if (Array.isArray(value))
    return Uint8Array.of(...tag(5), ...new Uint8Array(Float32Array.of(value[0]).buffer));
  if (typeof value === 'number' || typeof value === 'boolean')
    return Uint8Array.of(...tag(0), ...varint(Number(value)));
  const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : (value as Uint8Array);
  return Uint8Array.of(...tag(2), ...varint(bytes.length), ...bytes);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return bytes;
}

const join = (...parts: readonly Uint8Array[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => [...part]));
const piece = (value: string, score: number, type?: number): Uint8Array =>
  field(1, join(field(1, value), field(2, [score]), ...(type === undefined ? [] : [field(3, type)])));

const specials = [piece('<unk>', 0, 2), piece('<s>', 0, 3), piece('</s>', 0, 3)];
const bytePieces = Array.from({ length: 256 }, (_, byte) =>
  piece(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`, 0, 6),
);
const letters = [piece('ab', -1), piece('▁', -2), piece('a', -3), piece('b', -4), piece('aba', -5)];
const trainer = field(2, join(field(3, 2), field(35, true)));
const normalizer = field(3, join(field(1, 'identity'), field(3, true), field(4, false), field(5, true)));
const base = [...specials, ...bytePieces, ...letters];
const read = (...parts: readonly Uint8Array[]) => readSentencePiece('tokenizer.model', join(...parts));

describe('M-3.14 a SentencePiece model', () => {
  it('M-3.13 pairs are merged by falling score of what they give', () => {
    const { pieces, merges, unknownPiece, specialIds } = read(...base, trainer, normalizer);
    expect(pieces.length).toBe(264);
    expect(merges).toEqual([
      ['a', 'b'],
      ['ab', 'a'],
    ]);
    expect([unknownPiece, specialIds]).toEqual(['<unk>', [0, 1, 2]]);
  });

  it('M-3.13 a piece that can be cut in several ways is made of the parts with the lower ids first', () => {
    expect(read(...base, piece('ba', -6), trainer, normalizer).merges).toEqual([
      ['a', 'b'],
      ['ab', 'a'],
      ['a', 'ba'],
      ['b', 'a'],
    ]);
  });

  it('M-3.14 unknown fields, negative integers and fields in any order are taken', () => {
    const extra = join(
      field(4, field(1, field(1, 'self test'))),
      field(5, field(2, '')),
      field(200, -1),
      field(201, [1]),
    );
    const settings = field(2, join(field(43, -1), field(35, true), field(3, 2), field(1, 'corpus')));
    expect(read(settings, ...base, extra, normalizer)).toEqual(read(...base, trainer, normalizer));
  });

  const others = (...parts: readonly Uint8Array[]): Uint8Array[] => [...base, ...parts];
  const space = (...parts: readonly Uint8Array[]): Uint8Array => field(3, join(field(4, false), ...parts));
  const refused: readonly (readonly [string, readonly Uint8Array[], RegExp])[] = [
    ['nothing', [], /trainer_spec/],
    ['no trainer settings', others(normalizer), /trainer_spec.*model_type/],
    [
      'a unigram model',
      others(field(2, join(field(3, 1), field(35, true))), normalizer),
      /model_type: expected 2, got 1/,
    ],
    ['no byte fallback', others(field(2, field(3, 2)), normalizer), /byte_fallback/],
    [
      'spaces behind words',
      others(field(2, join(field(3, 2), field(35, true), field(24, true))), normalizer),
      /whitespace_as_suffix/,
    ],
    ['no normaliser settings', others(trainer), /remove_extra_whitespaces/],
    [
      'spaces removed',
      others(trainer, field(3, field(4, true))),
      /remove_extra_whitespaces: expected false, got true/,
    ],
    ['no first space', others(trainer, space(field(3, false))), /add_dummy_prefix/],
    ['spaces not escaped', others(trainer, space(field(5, false))), /escape_whitespaces/],
    ['a table of characters', others(trainer, space(field(2, 'x'))), /precompiled_charsmap/],
    [
      'a table for decoding',
      others(trainer, normalizer, field(5, field(2, 'x'))),
      /denormalizer_spec.*charsmap/,
    ],
    ['settings twice', others(trainer, trainer, normalizer), /field 2: expected one value/],
    [
      'a setting twice',
      others(field(2, join(field(3, 2), field(3, 2), field(35, true))), normalizer),
      /model_type: expected one value/,
    ],
    [
      'a setting of another type',
      others(field(2, join(field(3, 'x'), field(35, true))), normalizer),
      /wire type 0, got 2/,
    ],
    ['a user-defined piece', others(piece('x', -9, 4), trainer, normalizer), /pieces\.264.*type/],
    ['an unused piece', others(piece('x', -9, 5), trainer, normalizer), /pieces\.264.*type/],
    ['a piece twice', others(piece('ab', -9), trainer, normalizer), /pieces\.259.*every piece once/],
    ['an empty piece', others(piece('', -9), trainer, normalizer), /pieces\.264 text/],
    [
      'a piece of 257 characters',
      others(piece('x'.repeat(257), -9), trainer, normalizer),
      /pieces\.264 text/,
    ],
    [
      'a piece that is not UTF-8',
      others(field(1, field(1, Uint8Array.of(0xff))), trainer, normalizer),
      /UTF-8/,
    ],
    ['a score that is no number', others(piece('x', Number.NaN), trainer, normalizer), /pieces\.264 score/],
    ['two merges of one score', others(piece('ba', -5), trainer, normalizer), /score of its own/],
    [
      'a byte that is missing',
      [...specials, ...bytePieces.slice(1), ...letters, trainer, normalizer],
      /256 byte pieces.*<0x00>/,
    ],
    ['a byte twice over', others(piece('<0x0A >', 0, 6), trainer, normalizer), /256 byte pieces, got 257/],
    ['no unknown piece', [...base.slice(1), trainer, normalizer], /one unknown piece, got 0/],
    ['two unknown pieces', others(piece('<unk2>', 0, 2), trainer, normalizer), /one unknown piece, got 2/],
    ['a group', others(trainer, normalizer, Uint8Array.of(0x0b)), /expected a field at byte/],
    ['a self-test that is no message', others(trainer, normalizer, field(4, 'self test')), /self_test_data/],
    [
      'a sample that is no message',
      others(trainer, normalizer, field(4, field(1, Uint8Array.of(0x0a, 9)))),
      /self_test_data samples/,
    ],
    ['field 0', others(trainer, normalizer, Uint8Array.of(0x02, 0)), /expected a field at byte/],
    ['a length beyond the end', others(trainer, normalizer, Uint8Array.of(0x0a, 5, 1)), /expected 5 bytes/],
    [
      'a negative length',
      others(trainer, normalizer, Uint8Array.of(0x0a, ...varint(-1))),
      /expected -1 bytes/,
    ],
    ['a tag without a value', others(trainer, normalizer, Uint8Array.of(0x08)), /got the end/],
    [
      'a number of 65 bits',
      others(trainer, normalizer, Uint8Array.of(0x08, ...Array(9).fill(0xff), 2)),
      /64 bits/,
    ],
    [
      'a number of 70 bits',
      others(trainer, normalizer, Uint8Array.of(0x08, ...Array(10).fill(0xff))),
      /64 bits/,
    ],
  ];
  it.each(refused)('M-3.14 %s is refused', (_, parts, message) => {
    expect(() => read(...base, trainer, normalizer)).not.toThrow();
    expect(() => read(...parts)).toThrow(FileError);
    expect(() => read(...parts)).toThrow(message);
  });

  it('M-3.14 a file cut anywhere, or with a byte changed, is refused or read, and nothing else happens', () => {
    const damage = fc.record({
      at: fc.nat(model.length - 1),
      byte: fc.integer({ min: 0, max: 255 }),
      cut: fc.boolean(),
    });
    fc.assert(
      fc.property(damage, ({ at, byte, cut }) => {
        const bytes = cut ? model.slice(0, at) : Uint8Array.from(model).fill(byte, at, at + 1);
        try {
          expect(readSentencePiece('tokenizer.model', bytes).pieces.length).toBeGreaterThan(256);
        } catch (error) {
          expect(error).toBeInstanceOf(FileError);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('M-3.14 the number of ways to cut pieces is bounded, before any is tried', () => {
    const long = Array.from({ length: 16_000 }, (_, i) => piece(String(i).padStart(256, 'x'), -10 - i));
    const bytes = Buffer.concat([...base, ...long, trainer, normalizer]);
    expect(() => readSentencePiece('tokenizer.model', bytes)).toThrow(/at most 4000000 ways.*got 4080003/);
  });
});
