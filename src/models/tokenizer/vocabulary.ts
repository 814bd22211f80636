// The pieces of a tokenizer, wherever they were read from. SPEC M-3.2.

import { FileError } from '../../tensor/errors.ts';
import { quoted } from '../checkpoint/model-files.ts';

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly lstrip?: boolean | undefined; // it takes the blanks in front of it along
  readonly rstrip?: boolean | undefined;
}

export interface Vocabulary {
  /** What the library takes as tokenizer.json. */
  readonly json: object;
  /** Piece by id, dense from 0; the added tokens are among them. */
  readonly pieces: readonly string[];
  readonly addedTokens: readonly AddedToken[];
  /** Where the library adds no "▁": the id of the one that goes before a text, unless one of these ids follows it. */
  readonly prefix: { readonly pieceId: number; readonly droppedBefore: ReadonlySet<number> } | null;
}

/** Most pieces that a tokenizer may have. */
export const maxPieces = 1_000_000;

/** Piece by id. Throws FileError unless every id from 0 on has exactly one. */
export function denseVocabulary(
  who: string,
  vocab: Record<string, unknown>,
  addedTokens: readonly AddedToken[],
): readonly string[] {
  const byId = new Map<number, string>();
  const add = (piece: string, id: unknown): void => {
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= maxPieces) {
      throw new FileError(
        `${who} id of ${quoted(piece)}: expected an integer below ${maxPieces}, got ${quoted(id)}`,
      );
    }
    const other = byId.get(id as number);
    if (other !== undefined && other !== piece) {
      throw new FileError(`${who} id ${id}: expected one piece, got ${quoted(other)} and ${quoted(piece)}`);
    }
    byId.set(id as number, piece);
  };
  for (const [piece, id] of Object.entries(vocab)) add(piece, id);
  for (const { content, id } of addedTokens) add(content, id);

  return Array.from({ length: byId.size }, (_, id) => {
    const piece = byId.get(id);
    if (piece === undefined)
      throw new FileError(`${who} ids: expected every id below ${byId.size}, got no ${id}`);
    return piece;
  });
}
