// Files kept in spec/corpus: what the fuzzer has found, and the bad files that others publish. One JSON file a case, with
// what is expected of the reader; the suite replays all of them.
//
//     part    text      { base64 }      { u64 }: eight bytes, little-endian      { zeros }: how many
//             { repeat, times }: a text again and again, # being how often it stood there before

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Files, Folder } from './judge.ts';
import { joinBytes } from './mutate-bytes.ts';

type Part =
  | string
  | { readonly base64: string }
  | { readonly u64: string }
  | { readonly zeros: number }
  | { readonly repeat: string; readonly times: number };

export type Expected = 'read' | 'refused' | 'either';

export interface CorpusCase {
  /** The name of a target of the suite. */
  readonly target: string;
  readonly expected: Expected;
  readonly why: string;
  readonly file: Files;
}

/** As it is stored: the parts of one file, or of several by their paths. */
interface StoredCase extends Omit<CorpusCase, 'file'> {
  readonly file?: readonly Part[];
  readonly files?: Readonly<Record<string, readonly Part[]>>;
}

export const CORPUS = 'spec/corpus';

/** All cases of a folder of the corpus by their names, or none where it is missing. */
export function readCorpus(folder: string): ReadonlyMap<string, CorpusCase> {
  return new Map(caseNames(folder).map((name) => [name.slice(0, -5), readCase(join(folder, name))]));
}

function caseNames(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .sort();
  } catch {
    return [];
  }
}

function readCase(path: string): CorpusCase {
  const { file, files, ...rest } = JSON.parse(readFileSync(path, 'utf8')) as StoredCase;
  if (file !== undefined) return { ...rest, file: bytesOf(file) };
  const entries = Object.entries(files ?? {}).map(([name, parts]) => [name, bytesOf(parts)] as const);
  return { ...rest, file: Object.fromEntries(entries) };
}

/** Writes a case and returns its path. */
export function writeCase(folder: string, name: string, { file, ...rest }: CorpusCase): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${name}.json`);
  const stored: StoredCase =
    file instanceof Uint8Array ? { ...rest, file: partsOf(file) } : { ...rest, files: partsOfAll(file) };
  writeFileSync(path, `${JSON.stringify(stored, null, 2)}\n`);
  return path;
}

function partsOfAll(folder: Folder): Readonly<Record<string, readonly Part[]>> {
  return Object.fromEntries(Object.entries(folder).map(([name, bytes]) => [name, partsOf(bytes)]));
}

export function bytesOf(parts: readonly Part[]): Uint8Array {
  return joinBytes(...parts.map(bytesOfPart));
}

function bytesOfPart(part: Part): Uint8Array {
  if (typeof part === 'string') return new TextEncoder().encode(part);
  if ('base64' in part) return new Uint8Array(Buffer.from(part.base64, 'base64'));
  if ('zeros' in part) return new Uint8Array(part.zeros);
  if ('repeat' in part) {
    const texts = Array.from({ length: part.times }, (_, i) => part.repeat.replaceAll('#', `${i}`));
    return new TextEncoder().encode(texts.join(''));
  }
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(part.u64), true);
  return bytes;
}

/** Zeros and plain text as such, all else in base64. */
export function partsOf(bytes: Uint8Array): readonly Part[] {
  const latin1 = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
  const runs = latin1.match(/\0{8,}|[ -~]{6,}|[\s\S]+?(?=\0{8}|[ -~]{6}|$)/g) ?? [];
  return runs.map((run) => {
    if (/^\0{8}/.test(run)) return { zeros: run.length };
    return /^[ -~]+$/.test(run) ? run : { base64: Buffer.from(run, 'latin1').toString('base64') };
  });
}
