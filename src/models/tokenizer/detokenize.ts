// From token ids back to text, at once or as they come. SPEC M-3.6 to M-3.8.
//
//     "▁" is a space; <0xE2> is one byte of UTF-8; a special token is nothing
//
// A character may take up to four byte pieces, so text is held back until its last byte is there. A
// byte that cannot be part of any character becomes U+FFFD by itself, as SentencePiece does it
// (TextDecoder would make one U+FFFD of several). One space at the very beginning is dropped: the
// tokenizer put it there.

/** What a token id stands for: text, or one byte of UTF-8. */
export type PieceText = string | number;

/** Takes ids one by one and returns the text that has become certain. */
export interface TextStream {
  /** The text that is certain now, which may be none. */
  push(tokenId: number): string;
  /** Whatever is still held back; then the stream begins anew. */
  flush(): string;
}

/** A stream over the pieces of one tokenizer. The texts it returns, joined, are `decode` of the ids. */
export function streamPieces(pieceText: (tokenId: number) => PieceText): TextStream {
  let bytes: number[] = [];
  let atStart = true;

  return {
    push(tokenId) {
      const piece = pieceText(tokenId);
      if (piece === '') return '';
      const first = atStart;
      atStart = false;
      if (typeof piece === 'number') {
        bytes.push(piece);
        return takeCharacters(bytes, false);
      }
      const text = first && piece.startsWith(' ') ? piece.slice(1) : piece;
      return takeCharacters(bytes, true) + text;
    },
    flush() {
      const text = takeCharacters(bytes, true);
      bytes = [];
      atStart = true;
      return text;
    },
  };
}

/** Removes whole characters from the front of `bytes`; the incomplete rest too if `isLast`. */
function takeCharacters(bytes: number[], isLast: boolean): string {
  let text = '';
  while (bytes.length > 0) {
    const length = characterLength(bytes[0] as number);
    const trails = bytes.slice(1, length);
    const incomplete = trails.length < length - 1;
    const trailsAreValid = trails.every((byte) => (byte & 0xc0) === 0x80);
    if (incomplete && trailsAreValid && !isLast) return text;
    const character = incomplete || !trailsAreValid ? null : decodeCharacter(bytes.slice(0, length));
    text += character ?? '\ufffd';
    bytes.splice(0, character === null ? 1 : length);
  }
  return text;
}

/** How many bytes the character takes that begins with `lead`; 1 also for what cannot begin one. */
function characterLength(lead: number): number {
  if (lead >= 0xf0 && lead < 0xf8) return 4;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  return lead >= 0xc0 && lead < 0xe0 ? 2 : 1;
}

function decodeCharacter(bytes: readonly number[]): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
  } catch {
    return null; // too long a form, a surrogate, or beyond U+10FFFF
  }
}
