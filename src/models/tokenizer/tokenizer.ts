// The Llama tokenizer of a checkpoint, from tokenizer.json or tokenizer.model. SPEC M-3.1 to M-3.8.
//
// Two instances of the library share the vocabulary. One knows the added tokens, for prompts that
// are written by whoever runs the model. The other does not: in it `</s>` and `<image>` are ordinary
// characters, and what a user types cannot become a special token.

import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { FileError } from '../../tensor/errors.ts';
import type { ModelFiles } from '../checkpoint/model-files.ts';
import { type PieceText, streamPieces, type TextStream } from './detokenize.ts';
import { readTokenizerFiles, type TokenizerFiles } from './tokenizer-files.ts';

export interface Tokenizer {
  readonly bosTokenId: number;
  readonly eosTokenId: number;
  /** Pieces and added tokens; a model's own vocabulary may be padded beyond it. */
  readonly vocabSize: number;
  /** Without BOS. Special tokens in the text are honoured. */
  encode(text: string): number[];
  /** Without BOS. No text becomes a special token. */
  encodePlain(text: string): number[];
  /** The text cut at its added tokens, which are given as ids. */
  splitSpecial(text: string): (string | number)[];
  /** Special tokens, and ids beyond the vocabulary, decode to nothing. */
  decode(tokenIds: readonly number[]): string;
  /** The text or the byte that one id stands for. Throws RangeError unless it is an integer >= 0. */
  pieceText(tokenId: number): PieceText;
}

/** Reads the tokenizer of a model folder. Throws FileError. */
export async function loadTokenizer(files: ModelFiles): Promise<Tokenizer> {
  const checked = await readTokenizerFiles(files);
  const honouring = new LibraryTokenizer(checked.json, {});
  const plain = new LibraryTokenizer({ ...checked.json, added_tokens: [] }, {});
  const { prefix } = checked;
  const encodeWith = (library: LibraryTokenizer, text: string): number[] => {
    if (text === '') return [];
    const { ids } = library.encode(prefix === null ? text : `▁${text}`, { add_special_tokens: false });
    const isDropped = ids[0] === prefix?.pieceId && prefix?.droppedBefore.has(ids[1] ?? -1);
    return isDropped ? ids.slice(1) : ids;
  };

  const texts = pieceTexts(checked);
  const pieceText = (tokenId: number): PieceText => {
    if (Number.isInteger(tokenId) && tokenId >= 0) return texts[tokenId] ?? '';
    throw new RangeError(`decode: expected token ids of 0 or more, got ${tokenId}`);
  };
  return {
    bosTokenId: idOf(files.where, checked, checked.bosToken),
    eosTokenId: idOf(files.where, checked, checked.eosToken),
    vocabSize: checked.pieces.length,
    encode: (text) => encodeWith(honouring, text),
    encodePlain: (text) => encodeWith(plain, text),
    splitSpecial: (text) => splitAdded(checked, text),
    decode(tokenIds) {
      const stream = streamPieces(pieceText);
      return tokenIds.map((tokenId) => stream.push(tokenId)).join('') + stream.flush();
    },
    pieceText,
  };
}

/** A token may take the blanks beside it along (lstrip, rstrip); of two that begin alike the longer one counts. */
function splitAdded({ addedTokens }: TokenizerFiles, text: string): (string | number)[] {
  if (addedTokens.length === 0) return [text];
  const sorted = [...addedTokens].sort((a, b) => b.content.length - a.content.length);
  const patterns = sorted.map(({ content, lstrip, rstrip }) => {
    const literal = content.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
    return `${lstrip === true ? '\\s*' : ''}(${literal})${rstrip === true ? '\\s*' : ''}`;
  });
  const pieces: (string | number)[] = [];
  let from = 0;
  for (const match of text.matchAll(new RegExp(patterns.join('|'), 'g'))) {
    const token = sorted[match.slice(1).findIndex((group) => group !== undefined)];
    if (token === undefined) continue;
    pieces.push(text.slice(from, match.index), token.id);
    from = match.index + match[0].length;
  }
  return [...pieces, text.slice(from)];
}

/** Text for an answer that is printed while it grows. Joined, the parts equal `decode` of all ids. */
export function streamText(tokenizer: Tokenizer): TextStream {
  return streamPieces(tokenizer.pieceText);
}

function pieceTexts({ pieces, addedTokens }: TokenizerFiles): readonly PieceText[] {
  const added = new Map(addedTokens.map((token) => [token.id, token]));
  return pieces.map((piece, id) => {
    const token = added.get(id);
    if (token !== undefined) return token.special ? '' : token.content;
    const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(piece)?.[1];
    return byte === undefined ? piece.replaceAll('▁', ' ') : Number.parseInt(byte, 16);
  });
}

function idOf(where: string, { pieces }: TokenizerFiles, token: string): number {
  const id = pieces.indexOf(token);
  if (id < 0) {
    throw new FileError(
      `${where}/tokenizer_config.json: expected ${token} in the vocabulary, got no such piece`,
    );
  }
  return id;
}
