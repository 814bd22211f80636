// The files of a tokenizer under tampering. SPEC T-1.3.

import { readFileSync } from 'node:fs';
import { loadTokenizer } from '../../../src/models/index.ts';
import { readSentencePiece } from '../../../src/models/tokenizer/sentencepiece.ts';
import { memoryFiles } from '../../models/checkpoint/memory-files.ts';
import { isJsonObject, jsonFacts } from '../../oracle/json-rules.ts';
import { isProtobuf } from '../../oracle/protobuf-rules.ts';
import type { Target } from './judge.ts';
import { joinBytes } from './mutate-bytes.ts';
import { mutateProtobuf } from './mutate-protobuf.ts';
import { keepsModel, keepsTokenizer } from './promises.ts';
import { brokenRecord, jsonTarget } from './target-json.ts';
import * as valid from './valid-files.ts';

/** As the Rust tokenizer has it: both parts of a merge, and what they give, are pieces. */
function brokenTokenizer(bytes: Uint8Array): string | undefined {
  const { value } = jsonFacts(bytes) ?? {};
  const model = isJsonObject(value) && isJsonObject(value.model) ? value.model : {};
  const { vocab, merges } = model;
  if (!isJsonObject(vocab) || !Array.isArray(merges)) return 'a model with vocab and merges';
  const isMerge = (merge: unknown): boolean => {
    const parts: unknown = typeof merge === 'string' ? merge.split(' ') : merge;
    if (!Array.isArray(parts) || parts.length !== 2) return false;
    if (!parts.every((part) => typeof part === 'string')) return false;
    return [...parts, parts.join('')].every((part) => Object.hasOwn(vocab, part));
  };
  return merges.every(isMerge) ? brokenRecord(bytes) : 'merges of pieces';
}

const selfTest = [0x22, 8, 0x0a, 6, 0x0a, 1, 0x61, 0x12, 1, 0x62]; // of one sample, "a" to "b"
const sentencePiece = joinBytes(readFileSync('golden/tiny-llava/tokenizer.model'), selfTest);

const pairs = [
  ['a', 'b'],
  ['▁', 'ab'],
];
const ofTexts = valid.tokenizerJson(pairs.map((pair) => pair.join(' ')));
export const tokenizers: readonly Target<Uint8Array>[] = [
  jsonTarget(
    'tokenizer.json',
    [valid.tokenizerJson(pairs), ofTexts],
    async (bytes) => keepsTokenizer(await loadTokenizer(memoryFiles({ 'tokenizer.json': bytes }))),
    brokenTokenizer,
  ),
  jsonTarget('tokenizer_config.json', [valid.tokenizerConfig], async (bytes) => {
    const files = { 'tokenizer.json': ofTexts, 'tokenizer_config.json': bytes };
    keepsTokenizer(await loadTokenizer(memoryFiles(files)));
  }),
  jsonTarget('added_tokens.json', [{ '<image>': 512, '<pad>': 513 }], async (bytes) => {
    const files = { 'tokenizer.model': sentencePiece, 'added_tokens.json': bytes };
    keepsTokenizer(await loadTokenizer(memoryFiles(files)));
  }),
];

export const tokenizerModel: Target<Uint8Array> = {
  name: 'tokenizer.model',
  file: /^memory\/tokenizer(\.model|_config\.json)/,
  mutate: (draw) => mutateProtobuf(draw, sentencePiece, [1, 2, 3, 4, 5]),
  async read(bytes) {
    keepsModel(readSentencePiece('memory/tokenizer.model', bytes));
    keepsTokenizer(await loadTokenizer(memoryFiles({ 'tokenizer.model': bytes })));
  },
  broken: (bytes) =>
    isProtobuf(bytes, { 1: {}, 2: {}, 3: {}, 4: { 1: {} }, 5: {} }) ? undefined : 'protobuf',
};
