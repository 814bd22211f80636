// Smaller files: what a file is made of, one part or several left out, large steps first.
//
// What a file is shows in itself: PNG, JPEG, JSON, safetensors and protobuf are taken apart and put together again; any file
// is a list of bytes.

import { isProtobuf } from '../../oracle/protobuf-rules.ts';
import type { Files } from './judge.ts';
import { joinBytes } from './mutate-bytes.ts';
import { parseTree, spelled, type Tree } from './mutate-json.ts';
import { isPng, jpegSegments, pngChunks, pngOf } from './mutate-pictures.ts';
import { fieldsOf, messageOf } from './mutate-protobuf.ts';
import { safetensorsFile } from './mutate-safetensors.ts';

/** Files one step smaller than this one. */
export function* smaller(file: Files): Iterable<Files> {
  if (file instanceof Uint8Array) {
    yield* smallerBytes(file);
    return;
  }
  const entries = Object.entries(file);
  for (const fewer of shorter(entries)) yield Object.fromEntries(fewer);
  for (const [name, bytes] of entries) {
    for (const less of smallerBytes(bytes)) yield { ...file, [name]: less };
  }
}

/** Lists without a half, a quarter, ... one of the items. */
function* shorter<T>(items: readonly T[]): Iterable<readonly T[]> {
  for (let size = Math.ceil(items.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < items.length; at += size) yield items.toSpliced(at, size);
  }
}

function* smallerBytes(bytes: Uint8Array): Iterable<Uint8Array> {
  yield* smallerByStructure(bytes);
  for (let size = Math.ceil(bytes.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < bytes.length; at += size) {
      yield joinBytes(bytes.subarray(0, at), bytes.subarray(at + size));
    }
  }
}

function* smallerByStructure(bytes: Uint8Array): Iterable<Uint8Array> {
  if (isPng(bytes)) {
    for (const chunks of shorter(pngChunks(bytes))) yield pngOf(bytes.slice(0, 8), chunks);
    return;
  }
  if (bytes[0] === 0xff && bytes[1] === 0xd8) {
    const [start, ...segments] = jpegSegments(bytes);
    for (const fewer of shorter(segments)) yield joinBytes(start as Uint8Array, ...fewer);
    return;
  }
  const tree = treeIn(bytes);
  if (tree !== null && typeof tree !== 'string') {
    for (const less of smallerTrees(tree)) yield new TextEncoder().encode(spelled(less));
    return;
  }
  yield* smallerSafetensors(bytes);
  if (bytes.length < 1e6 && isProtobuf(bytes, {})) {
    for (const fields of shorter(fieldsOf(bytes))) yield messageOf(fields);
  }
}

function treeIn(bytes: Uint8Array): Tree | null {
  try {
    return parseTree(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return null;
  }
}

function* smallerSafetensors(bytes: Uint8Array): Iterable<Uint8Array> {
  if (bytes.length < 8) return;
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (length > BigInt(bytes.length - 8)) return;
  const begin = 8 + Number(length);
  const [header, data] = [bytes.subarray(8, begin), bytes.subarray(begin)];
  const tree = treeIn(header);
  if (tree !== null) {
    for (const less of smallerTrees(tree))
      yield safetensorsFile(new TextEncoder().encode(spelled(less)), data);
  }
  for (let size = data.length; size >= 1; size = Math.floor(size / 2)) {
    yield safetensorsFile(header, data.subarray(size));
  }
}

function* smallerTrees(tree: Tree): Iterable<Tree> {
  if (typeof tree === 'string') {
    if (tree.startsWith('"') && tree.length > 3) yield '"a"';
    if (tree.length > 1 && !tree.startsWith('"')) yield '0';
    return;
  }
  if ('members' in tree) {
    for (const members of shorter(tree.members)) yield { members };
    for (const [i, [key, value]] of tree.members.entries()) {
      for (const less of smallerTrees(value)) yield { members: tree.members.with(i, [key, less]) };
    }
    return;
  }
  yield* shorter(tree);
  for (const [i, item] of tree.entries()) {
    for (const less of smallerTrees(item)) yield tree.with(i, less);
  }
}

/**
 * The smallest file found that `isSame` holds for, trying at most `most` of them and none once `isStopped`. It must hold
 * for `file`.
 */
export async function minimise(
  file: Files,
  isSame: (file: Files) => Promise<boolean>,
  { most, isStopped = () => false }: { readonly most: number; readonly isStopped?: () => boolean },
): Promise<Files> {
  let best = file;
  let left = most;
  for (let found = true; found; ) {
    found = false;
    for (const candidate of smaller(best)) {
      if (left-- <= 0 || isStopped()) return best;
      if (sizeOf(candidate) >= sizeOf(best) || !(await isSame(candidate))) continue;
      best = candidate;
      found = true;
      break;
    }
  }
  return best;
}

export function sizeOf(file: Files): number {
  const parts = file instanceof Uint8Array ? [file] : Object.values(file);
  return parts.reduce((sum, bytes) => sum + bytes.length, file instanceof Uint8Array ? 0 : parts.length);
}
