// Ids of text that does not stand at the very start. SPEC M-3.13, M-3.19, M-8.5.

import type { Tokenizer } from './tokenizer.ts';

/** Text of a template, in which special tokens are honoured, or of a user, in which they are not. */
export interface PromptPart {
  readonly text: string;
  readonly isUsers: boolean;
}

/**
 * Whether text begins with its own "▁" behind a special token, as it does at the very start, is up to the tokenizer: with
 * `legacy: false` it does not.
 */
export function encodeBehindSpecial(tokenizer: Tokenizer, text: string): number[] {
  const probe = 'USER:';
  const [special, ...ids] = tokenizer.encode(`</s>${probe}`);
  const hasPrefix = special !== tokenizer.eosTokenId || ids.join() === tokenizer.encodePlain(probe).join();
  return hasPrefix ? tokenizer.encodePlain(text) : encodeBehindText(tokenizer, text);
}

/** Without a "▁" of its own: behind a newline, a byte that merges with nothing. */
export function encodeBehindText(tokenizer: Tokenizer, text: string): number[] {
  return tokenizer.encodePlain(`\n${text}`).slice(tokenizer.encodePlain('\n').length);
}

/**
 * The ids of parts that follow each other, the first of them at the very `start`, behind a `special` token, or behind
 * `text`. What stands between two special tokens is one text, whoever wrote it.
 */
export function encodeParts(
  tokenizer: Tokenizer,
  parts: readonly PromptPart[],
  place: 'start' | 'special' | 'text',
): number[] {
  const ids: number[] = [];
  let where = place;
  let text = '';
  const flush = (): void => {
    if (text === '') return;
    if (where === 'start') ids.push(...tokenizer.encodePlain(text));
    else if (where === 'special') ids.push(...encodeBehindSpecial(tokenizer, text));
    else ids.push(...encodeBehindText(tokenizer, text));
    text = '';
  };
  for (const part of parts) {
    for (const piece of part.isUsers ? [part.text] : tokenizer.splitSpecial(part.text)) {
      if (typeof piece === 'string') text += piece;
      else {
        flush();
        ids.push(piece);
        where = 'special';
      }
    }
  }
  flush();
  return ids;
}
