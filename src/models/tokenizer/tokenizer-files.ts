// Checks tokenizer.json and tokenizer_config.json before the library sees them. SPEC M-3.1 to M-3.3.
//
// Only the Llama kind is taken: BPE with byte fallback, "▁" for a space. None of its parts needs a
// regular expression, and a file's own expressions are never run (they can take exponential time).
// What is not on the list here is refused by name.

import * as v from 'valibot';
import { FileError } from '../../tensor/errors.ts';
import { type ModelFiles, quoted, readJson, sizeCaps } from '../checkpoint/model-files.ts';
import { checkSchema, only, wholeNumber } from '../checkpoint/schema.ts';

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

export interface TokenizerFiles {
  /** What the library takes as tokenizer.json. */
  readonly json: object;
  /** Piece by id, dense from 0; the added tokens are among them. */
  readonly pieces: readonly string[];
  readonly addedTokens: readonly AddedToken[];
  readonly bosToken: string;
  readonly eosToken: string;
}

const maxPieces = 1_000_000;
const space = only('▁');

const prepend = v.object({ type: only('Prepend'), prepend: space });
const replaceSpace = v.object({
  type: only('Replace'),
  pattern: v.strictObject({ String: only(' ') }),
  content: space,
});
const normalizer = v.object({
  type: only('Sequence'),
  normalizers: v.strictTuple([prepend, replaceSpace]),
});

const preTokenizer = v.object({
  type: only('Metaspace'),
  replacement: v.optional(space),
  str_rep: v.optional(space),
  prepend_scheme: v.optional(v.picklist(['first', 'always', 'never'])),
  add_prefix_space: v.optional(only(true)), // the library looks at prepend_scheme alone
  split: v.optional(only(false)),
});

const addedToken = v.object({
  id: wholeNumber(0, maxPieces),
  content: v.pipe(v.string(), v.minLength(1), v.maxLength(1024)),
  special: v.optional(v.boolean(), false),
  single_word: v.optional(only(false)),
  lstrip: v.optional(v.boolean()),
  rstrip: v.optional(v.boolean()),
  normalized: v.optional(v.boolean()),
});

// Decoding is done here, not by the library (detokenize.ts); the file must ask for just that.
const decoder = v.object({
  type: only('Sequence'),
  decoders: v.strictTuple([
    v.object({ type: only('Replace'), pattern: v.strictObject({ String: space }), content: only(' ') }),
    v.object({ type: only('ByteFallback') }),
    v.object({ type: only('Fuse') }),
    v.object({ type: only('Strip'), content: only(' '), start: only(1), stop: only(0) }),
  ]),
});

const tokenizerSchema = v.object({
  added_tokens: v.optional(v.pipe(v.array(addedToken), v.maxLength(10_000)), []),
  normalizer: v.nullish(normalizer),
  pre_tokenizer: v.nullish(preTokenizer),
  decoder,
  model: v.object({
    type: v.optional(only('BPE'), 'BPE'),
    byte_fallback: only(true),
    fuse_unk: v.optional(v.boolean()),
    ignore_merges: v.optional(v.boolean()),
    unk_token: v.string(),
    dropout: v.nullish(only(0)),
    continuing_subword_prefix: v.nullish(only('')),
    continuing_subword_suffix: v.nullish(only('')),
    end_of_word_suffix: v.nullish(only('')),
    vocab: v.custom<Record<string, unknown>>(isPlainObject, 'an object'),
    merges: v.array(v.unknown()),
  }),
});

const tokenContent = v.union([v.string(), v.object({ content: v.string() })]);
const configSchema = v.object({
  bos_token: v.nullish(tokenContent, '<s>'),
  eos_token: v.nullish(tokenContent, '</s>'),
  add_bos_token: v.nullish(only(true)),
  add_eos_token: v.nullish(only(false)),
  clean_up_tokenization_spaces: v.nullish(only(false)),
});

/** Reads and checks both files; tokenizer_config.json may be absent. Throws FileError. */
export async function readTokenizerFiles(files: ModelFiles): Promise<TokenizerFiles> {
  const who = `${files.where}/tokenizer.json`;
  if (!(await files.has('tokenizer.json')) && (await files.has('tokenizer.model'))) {
    throw new FileError(`${who}: expected a file, got only tokenizer.model, which is not read`);
  }
  const json = await readJson(files, 'tokenizer.json', sizeCaps.tokenizer);
  const raw = checkSchema(who, tokenizerSchema, json);
  checkMerges(who, raw.model.merges);
  if (!Object.hasOwn(raw.model.vocab, raw.model.unk_token)) {
    throw new FileError(`${who} model.unk_token: expected a piece, got ${quoted(raw.model.unk_token)}`);
  }
  const pieces = denseVocabulary(who, raw.model.vocab, raw.added_tokens);

  const configName = 'tokenizer_config.json';
  const configWho = `${files.where}/${configName}`;
  const config = (await files.has(configName)) ? await readJson(files, configName, sizeCaps.config) : {};
  const { bos_token, eos_token } = checkSchema(configWho, configSchema, config);
  return {
    json: {
      ...raw,
      normalizer: raw.normalizer ?? null,
      pre_tokenizer: raw.pre_tokenizer ?? null,
      post_processor: null,
    },
    pieces,
    addedTokens: raw.added_tokens,
    bosToken: typeof bos_token === 'string' ? bos_token : bos_token.content,
    eosToken: typeof eos_token === 'string' ? eos_token : eos_token.content,
  };
}

function isPlainObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function denseVocabulary(
  who: string,
  vocab: Record<string, unknown>,
  addedTokens: readonly AddedToken[],
): readonly string[] {
  const byId = new Map<number, string>();
  const add = (piece: string, id: unknown): void => {
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= maxPieces) {
      throw new FileError(`${who} id of ${quoted(piece)}: expected an integer below ${maxPieces}, got ${id}`);
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

function checkMerges(who: string, merges: readonly unknown[]): void {
  if (merges.length > maxPieces) {
    throw new FileError(`${who} model.merges: expected at most ${maxPieces}, got ${merges.length}`);
  }
  const asPairs = Array.isArray(merges[0]);
  merges.forEach((merge, i) => {
    const parts = asPairs ? merge : typeof merge === 'string' ? merge.split(' ') : null;
    const valid =
      Array.isArray(parts) && parts.length === 2 && parts.every((part) => typeof part === 'string');
    if (!valid) throw new FileError(`${who} model.merges.${i}: expected two pieces, got ${quoted(merge)}`);
  });
}
