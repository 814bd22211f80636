// The test of what makes a finding small, and of how the corpus stores it.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { goldenBytes } from '../../models/preprocess/picture-files.ts';
import { isProtobuf } from '../../oracle/protobuf-rules.ts';
import { bytesOf, partsOf, readCorpus, writeCase } from './corpus.ts';
import type { Files } from './judge.ts';
import { joinBytes } from './mutate-bytes.ts';
import { parseTree, spelled } from './mutate-json.ts';
import { isPng, jpegSegments, pngChunks, pngOf } from './mutate-pictures.ts';
import { fieldsOf, messageOf } from './mutate-protobuf.ts';
import { safetensorsParts } from './mutate-safetensors.ts';
import { minimise } from './shrink.ts';
import { tensorsFile } from './valid-files.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (bytes: Files): string => new TextDecoder().decode(bytes as Uint8Array);

async function smallest(file: Uint8Array, holds: (bytes: Uint8Array) => boolean): Promise<Uint8Array> {
  const isSame = async (candidate: Files): Promise<boolean> => holds(candidate as Uint8Array);
  return (await minimise(file, isSame, { most: 5000 })) as Uint8Array;
}

describe('fuzz: minimising', () => {
  it('fuzz: JSON shrinks to the members that matter, spellings and keys that stand twice kept', async () => {
    const text = '{"a":[1,2,{"b":1.0,"b":2}],"c":{"d":"eeeeeeee","f":[[]]}}';
    expect(spelled(parseTree(text) ?? '')).toBe(text);
    const isJson = (bytes: Uint8Array): boolean => {
      const tree = parseTree(decode(bytes));
      return tree !== null && spelled(tree) === decode(bytes);
    };
    const twice = await smallest(encode(text), (one) => isJson(one) && /"b":.*"b":/.test(decode(one)));
    expect(decode(twice)).toBe('{"":[{"b":0,"b":2}]}');
  });

  it('fuzz: a safetensors file keeps the one tensor that matters, and its length fits', async () => {
    const isRead = (bytes: Uint8Array): boolean => {
      try {
        return 'odd' in safetensorsParts(bytes).header;
      } catch {
        return false;
      }
    };
    const small = await smallest(tensorsFile, isRead);
    expect(Object.keys(safetensorsParts(small).header)).toEqual(['odd']);
    expect(small.length).toBeLessThan(30);
  });

  it('fuzz: pictures lose chunks and segments, messages lose fields, CRCs and lengths fit', async () => {
    const png = goldenBytes('exif-3.png');
    const typesOf = (bytes: Uint8Array): string[] => pngChunks(bytes).map(({ type }) => decode(type));
    const isWhole = (bytes: Uint8Array): boolean =>
      isPng(bytes) && `${pngOf(bytes.slice(0, 8), pngChunks(bytes))}` === `${bytes}`;
    const small = await smallest(png, (one) => isWhole(one) && typesOf(one).includes('eXIf'));
    expect(typesOf(small)).toEqual(['eXIf']);

    const jpeg = goldenBytes('exif-6.jpg');
    const exif = await smallest(jpeg, (one) => one[1] === 0xd8 && decode(one).includes('Exif\0\0'));
    expect(jpegSegments(exif).length).toBeLessThan(jpegSegments(jpeg).length);
    expect(exif.length).toBeLessThan(30);

    const message = messageOf([7, 8, 9].map((letter) => ({ tag: 10, body: Uint8Array.of(letter, letter) })));
    const hasEights = (bytes: Uint8Array): boolean =>
      isProtobuf(bytes, {}) && fieldsOf(bytes).some(({ body }) => `${body}` === '8,8');
    const shorter = await smallest(message, hasEights);
    expect(fieldsOf(shorter)).toEqual([{ tag: 10, body: Uint8Array.of(8, 8) }]);
  });

  it('fuzz: bytes without a form shrink, too, a folder to its files, and no more are tried than allowed', async () => {
    const noise = joinBytes(encode('\u0000\u0001xyz'), new Uint8Array(500).fill(200), [7]);
    expect(await smallest(noise, (one) => one.includes(7) && one.includes(0))).toEqual(Uint8Array.of(0, 7));
    const folder = { 'a.json': encode('[1,2,3]'), b: encode('b'), c: new Uint8Array(30) };
    const keepsA = async (file: Files): Promise<boolean> =>
      'a.json' in file && decode((file as typeof folder)['a.json']).includes('3');
    const small = (await minimise(folder, keepsA, { most: 500 })) as typeof folder;
    expect(Object.keys(small)).toEqual(['a.json']);
    expect(decode(small['a.json'])).toBe('3');
    let tried = 0;
    const counts = async (): Promise<boolean> => ++tried < 0;
    await minimise(noise, counts, { most: 12 });
    expect(tried).toBe(12);
    await minimise(noise, counts, { most: 12, isStopped: () => true });
    expect(tried).toBe(12);
  });
});

describe('fuzz: corpus', () => {
  it('fuzz: a case is stored as it is, legibly', () => {
    const bytes = joinBytes(
      [60, 0, 0, 0, 0, 0, 0, 0, 0],
      encode('{"test":1}'),
      new Uint8Array(16),
      [255, 10, 0],
    );
    expect(bytesOf(partsOf(bytes))).toEqual(bytes);
    expect(partsOf(bytes)).toContain('{"test":1}');
    expect(partsOf(bytes)).toContainEqual({ zeros: 16 });
    const parts = ['a', { u64: '258' }, { repeat: '#-', times: 3 }] as const;
    expect(bytesOf(parts)).toEqual(joinBytes(encode('a'), [2, 1, 0, 0, 0, 0, 0, 0], encode('0-1-2-')));

    const folder = mkdtempSync(join(tmpdir(), 'visionzip-corpus-'));
    try {
      const one = { target: 't', expected: 'refused', why: 'w', file: bytes } as const;
      const several = { ...one, file: { 'm/a': bytes, b: new Uint8Array(0) } };
      writeCase(folder, 'one', one);
      expect(JSON.parse(readFileSync(writeCase(folder, 'several', several), 'utf8')).why).toBe('w');
      expect([...readCorpus(folder)]).toEqual([
        ['one', one],
        ['several', several],
      ]);
      expect(readCorpus(join(folder, 'missing')).size).toBe(0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
