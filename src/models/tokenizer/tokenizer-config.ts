// tokenizer_config.json and added_tokens.json. SPEC M-3.3, M-3.13.

import * as v from 'valibot';
import { type ModelFiles, quoted, readJson, sizeCaps } from '../checkpoint/model-files.ts';
import { anyObject, checkSchema, object, only, wholeNumber } from '../checkpoint/schema.ts';
import { type AddedToken, maxPieces } from './vocabulary.ts';

type TokenContent = string | { readonly content: string };

export interface TokenizerConfig {
  readonly bos_token: TokenContent;
  readonly eos_token: TokenContent;
  readonly pad_token?: TokenContent | null | undefined;
  /** Of tokenizer.model alone: "▁" behind special tokens, too. */
  readonly legacy: boolean;
  readonly added_tokens_decoder?: Readonly<Record<string, Omit<AddedToken, 'id'>>> | null | undefined;
}

const tokenFields = {
  content: v.pipe(v.string(), v.minLength(1), v.maxLength(1024)),
  special: v.optional(v.boolean(), false),
  single_word: v.optional(only(false)),
  lstrip: v.optional(v.boolean()),
  rstrip: v.optional(v.boolean()),
  normalized: v.optional(v.boolean()),
};

/** An added token as tokenizer.json has it. */
export const addedTokenSchema: v.GenericSchema<unknown, AddedToken> = object({
  ...tokenFields,
  id: wholeNumber(0, maxPieces),
});

const tokenContent = v.union([v.string(), object({ content: v.string() })]);
const configSchema = object({
  bos_token: v.nullish(tokenContent, '<s>'),
  eos_token: v.nullish(tokenContent, '</s>'),
  add_bos_token: v.nullish(only(true)),
  add_eos_token: v.nullish(only(false)),
  clean_up_tokenization_spaces: v.nullish(only(false)),
  pad_token: v.nullish(tokenContent),
  legacy: v.nullish(v.boolean(), true),
  added_tokens_decoder: v.nullish(
    v.pipe(anyObject, v.record(v.pipe(v.string(), v.regex(/^\d{1,7}$/)), object(tokenFields))),
  ),
});
const tokenId = wholeNumber(0, maxPieces);

/** Reads tokenizer_config.json, or takes the defaults where there is none. Throws FileError. */
export async function readTokenizerConfig(files: ModelFiles): Promise<TokenizerConfig> {
  const name = 'tokenizer_config.json';
  const json = (await files.has(name)) ? await readJson(files, name, sizeCaps.config) : {};
  return checkSchema(`${files.where}/${name}`, configSchema, json);
}

/** The added tokens of tokenizer_config.json, else those of added_tokens.json. Throws FileError. */
export async function addedTokensOf(
  files: ModelFiles,
  config: TokenizerConfig,
): Promise<readonly AddedToken[]> {
  if (config.added_tokens_decoder != null) {
    return Object.entries(config.added_tokens_decoder).map(([id, token]) => ({ ...token, id: Number(id) }));
  }
  const name = 'added_tokens.json';
  if (!(await files.has(name))) return [];
  const who = `${files.where}/${name}`;
  const json = await readJson(files, name, sizeCaps.config);
  // Not v.record, which leaves out a token `constructor` without a word.
  return Object.entries(checkSchema(who, anyObject, json)).map(([content, id]) => ({
    id: checkSchema(`${who} ${quoted(content)}`, tokenId, id),
    content,
    special: true,
  }));
}

/** The text of a token that may stand alone or in a record. */
export function contentOf(token: string | { readonly content: string }): string {
  return typeof token === 'string' ? token : token.content;
}
