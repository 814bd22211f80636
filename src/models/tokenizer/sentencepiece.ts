// tokenizer.model: a SentencePiece model, made into what tokenizer.json would say. SPEC M-3.13, M-3.14.
//
//     ModelProto   1 pieces* { 1 text, 2 score, 3 type }   2 trainer settings   3 normaliser settings   4 self-test
//                  5 denormaliser
//
// SentencePiece's BPE merges the neighbours whose joined piece has the highest score; the library's goes by a list of
// pairs. The list is: every cut of every piece into two pieces, pieces by falling score, cuts by the ids of their parts.

import * as v from 'valibot';
import { FileError } from '../../tensor/errors.ts';
import { quoted } from '../checkpoint/model-files.ts';
import { checkSchema, only } from '../checkpoint/schema.ts';
import { type MessageShape, readFields, readMessage } from './protobuf.ts';

export interface SentencePieceModel {
  /** Text by id. */
  readonly pieces: readonly string[];
  /** Pairs in the order in which they are to be merged. */
  readonly merges: readonly (readonly [left: string, right: string])[];
  readonly unknownPiece: string;
  /** Ids of the unknown and the control pieces, which no text may give. */
  readonly specialIds: readonly number[];
}

const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const BYTE = 6;
const BPE = 2;
const SELF_TEST = 4; // field of a ModelProto

const maxPieces = 1_000_000;
const maxPieceLength = 256;
// A model of 256,000 pieces has about 2,000,000; a hostile one could have 10^10.
const maxCuts = 4_000_000;

const pieceShape: MessageShape = { text: [1, 'text'], score: [2, 'float'], type: [3, 'integer'] };
const pieceSchema = v.object({
  text: v.pipe(v.string(), v.minLength(1), v.maxLength(maxPieceLength)),
  score: v.optional(v.pipe(v.number(), v.finite()), 0),
  // User-defined and unused pieces (4 and 5) are cut out before merging, which is not implemented.
  type: v.optional(v.picklist([NORMAL, UNKNOWN, CONTROL, BYTE]), NORMAL),
});
type Piece = v.InferOutput<typeof pieceSchema>;

const trainerShape: MessageShape = {
  model_type: [3, 'integer'],
  treat_whitespace_as_suffix: [24, 'flag'],
  byte_fallback: [35, 'flag'],
};
const trainerSchema = v.object({
  model_type: only(BPE),
  treat_whitespace_as_suffix: v.optional(only(false)),
  byte_fallback: only(true),
});

const normalizerShape: MessageShape = {
  precompiled_charsmap: [2, 'bytes'],
  add_dummy_prefix: [3, 'flag'],
  remove_extra_whitespaces: [4, 'flag'],
  escape_whitespaces: [5, 'flag'],
};
const noBytes = v.optional(v.custom<Uint8Array>((value) => (value as Uint8Array).length === 0, 'none'));
const normalizerSchema = v.object({
  precompiled_charsmap: noBytes,
  add_dummy_prefix: v.optional(only(true)),
  remove_extra_whitespaces: only(false), // true where it is left out
  escape_whitespaces: v.optional(only(true)),
});
const denormalizerSchema = v.object({ precompiled_charsmap: noBytes });

/** Reads a ModelProto. Throws FileError, naming `who` and the field, for what is malformed or not of the Llama kind. */
export function readSentencePiece(who: string, bytes: Uint8Array): SentencePieceModel {
  const pieces: Piece[] = [];
  const settings = new Map<number, Uint8Array>();
  for (const { number, wireType, bytes: value } of readFields(who, bytes)) {
    if (wireType !== 2) continue;
    if (number === 1) {
      const name = `${who} pieces.${pieces.length}`;
      if (pieces.length >= maxPieces)
        throw new FileError(`${who}: expected at most ${maxPieces} pieces, got more`);
      pieces.push(checkSchema(name, pieceSchema, readMessage(name, value, pieceShape)));
    } else if (number === 2 || number === 3 || number === 5) {
      if (settings.has(number))
        throw new FileError(`${who} field ${number}: expected one value, got several`);
      settings.set(number, value);
    } else if (number === SELF_TEST) {
      checkSelfTest(`${who} self_test_data`, value);
    }
  }
  const message = (name: string, number: number, shape: MessageShape): unknown =>
    readMessage(`${who} ${name}`, settings.get(number) ?? new Uint8Array(0), shape);
  checkSchema(`${who} trainer_spec`, trainerSchema, message('trainer_spec', 2, trainerShape));
  checkSchema(`${who} normalizer_spec`, normalizerSchema, message('normalizer_spec', 3, normalizerShape));
  checkSchema(
    `${who} denormalizer_spec`,
    denormalizerSchema,
    message('denormalizer_spec', 5, normalizerShape),
  );
  return { ...namedPieces(who, pieces), merges: mergesOf(who, pieces) };
}

/** Its samples say what texts gave when the model was made. They are not used, but must be messages. */
function checkSelfTest(who: string, bytes: Uint8Array): void {
  for (const { number, wireType, bytes: sample } of readFields(who, bytes)) {
    if (number === 1 && wireType === 2) readMessage(`${who} samples`, sample, {});
  }
}

function namedPieces(who: string, pieces: readonly Piece[]): Omit<SentencePieceModel, 'merges'> {
  const ids = new Map(pieces.map(({ text }, id) => [text, id]));
  const twin = pieces.findIndex(({ text }, id) => ids.get(text) !== id);
  if (twin >= 0)
    throw new FileError(`${who} pieces.${twin}: expected every piece once, got ${named(pieces, twin)} twice`);

  const bytes = pieces.filter(({ type }) => type === BYTE).map(({ text }) => text);
  const missing = Array.from({ length: 256 }, (_, byte) => bytePiece(byte)).find(
    (text) => pieces[ids.get(text) ?? -1]?.type !== BYTE,
  );
  if (bytes.length !== 256 || missing !== undefined) {
    const got = missing === undefined ? String(bytes.length) : `${bytes.length} and no ${missing}`;
    throw new FileError(`${who} pieces: expected the 256 byte pieces, got ${got}`);
  }
  const unknown = pieces.filter(({ type }) => type === UNKNOWN);
  if (unknown[0] === undefined || unknown.length > 1) {
    throw new FileError(`${who} pieces: expected one unknown piece, got ${unknown.length}`);
  }
  return {
    pieces: pieces.map(({ text }) => text),
    unknownPiece: unknown[0].text,
    specialIds: [...pieces.keys()].filter((id) => [UNKNOWN, CONTROL].includes(pieces[id]?.type ?? NORMAL)),
  };
}

function mergesOf(who: string, pieces: readonly Piece[]): readonly (readonly [string, string])[] {
  const normal = [...pieces.entries()].filter(([, { type }]) => type === NORMAL);
  const cuts = normal.reduce((sum, [, { text }]) => sum + text.length - 1, 0);
  if (cuts > maxCuts) {
    throw new FileError(`${who} pieces: expected at most ${maxCuts} ways to cut them, got ${cuts}`);
  }
  const idOf = new Map(normal.map(([id, { text }]) => [text, id]));
  const byScore = [...idOf].sort(([, a], [, b]) => scoreOf(pieces, b) - scoreOf(pieces, a) || a - b);
  const merges: (readonly [string, string])[] = [];
  let before: number | undefined; // the score of the last piece that can be cut
  for (const [text, id] of byScore) {
    const pairs = cutsOf(text, idOf);
    if (pairs.length === 0) continue;
    if (scoreOf(pieces, id) === before) {
      throw new FileError(
        `${who} pieces.${id}: expected a score of its own, got ${before} for ${named(pieces, id)}, too`,
      );
    }
    before = scoreOf(pieces, id);
    merges.push(...pairs);
  }
  return merges;
}

/** The ways to cut a piece into two pieces, by the ids of the parts. */
function cutsOf(text: string, idOf: ReadonlyMap<string, number>): readonly (readonly [string, string])[] {
  const pairs: { ids: readonly [number, number]; parts: readonly [string, string] }[] = [];
  for (let i = 1; i < text.length; i++) {
    const parts = [text.slice(0, i), text.slice(i)] as const;
    const [left, right] = [idOf.get(parts[0]), idOf.get(parts[1])];
    if (left !== undefined && right !== undefined) pairs.push({ ids: [left, right], parts });
  }
  pairs.sort((a, b) => a.ids[0] - b.ids[0] || a.ids[1] - b.ids[1]);
  return pairs.map(({ parts }) => parts);
}

function scoreOf(pieces: readonly Piece[], id: number): number {
  return (pieces[id] as Piece).score;
}

function named(pieces: readonly Piece[], id: number): string {
  return quoted(pieces[id]?.text);
}

function bytePiece(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}
