// Checks tokenizer.json or tokenizer.model, and tokenizer_config.json, before the library sees them. SPEC M-3.1 to M-3.3.
//
// Only the Llama kind is taken: BPE with byte fallback, "▁" for a space. None of its parts needs a
// regular expression, and a file's own expressions are never run (they can take exponential time).
// What is not on the list here is refused by name.

import * as v from 'valibot';
import { FileError } from '../../tensor/errors.ts';
import { type ModelFiles, quoted, readJson, sizeCaps } from '../checkpoint/model-files.ts';
import { anyObject, checkSchema, object, only } from '../checkpoint/schema.ts';
import { addedTokenSchema, contentOf, readTokenizerConfig } from './tokenizer-config.ts';
import { modelVocabulary } from './tokenizer-model.ts';
import { denseVocabulary, maxPieces, type Vocabulary } from './vocabulary.ts';

export interface TokenizerFiles extends Vocabulary {
  readonly bosToken: string;
  readonly eosToken: string;
}

const space = only('▁');

const prepend = object({ type: only('Prepend'), prepend: space });
const replaceSpace = object({
  type: only('Replace'),
  pattern: v.strictObject({ String: only(' ') }),
  content: space,
});
const normalizer = object({
  type: only('Sequence'),
  normalizers: v.strictTuple([prepend, replaceSpace]),
});

const preTokenizer = object({
  type: only('Metaspace'),
  replacement: v.optional(space),
  str_rep: v.optional(space),
  prepend_scheme: v.optional(v.picklist(['first', 'always', 'never'])),
  add_prefix_space: v.optional(only(true)), // the library looks at prepend_scheme alone
  split: v.optional(only(false)),
});

// Decoding is done here, not by the library (detokenize.ts); the file must ask for just that.
const decoder = object({
  type: only('Sequence'),
  decoders: v.strictTuple([
    object({ type: only('Replace'), pattern: v.strictObject({ String: space }), content: only(' ') }),
    object({ type: only('ByteFallback') }),
    object({ type: only('Fuse') }),
    object({ type: only('Strip'), content: only(' '), start: only(1), stop: only(0) }),
  ]),
});

const tokenizerSchema = object({
  added_tokens: v.optional(v.pipe(v.array(addedTokenSchema), v.maxLength(10_000)), []),
  normalizer: v.nullish(normalizer),
  pre_tokenizer: v.nullish(preTokenizer),
  decoder,
  model: object({
    type: v.optional(only('BPE'), 'BPE'),
    byte_fallback: only(true),
    fuse_unk: v.optional(v.boolean()),
    ignore_merges: v.optional(v.boolean()),
    unk_token: v.string(),
    dropout: v.nullish(only(0)),
    continuing_subword_prefix: v.nullish(only('')),
    continuing_subword_suffix: v.nullish(only('')),
    end_of_word_suffix: v.nullish(only('')),
    vocab: anyObject,
    merges: v.array(v.unknown()),
  }),
});

/** Reads and checks both files; tokenizer_config.json may be absent. Throws FileError. */
export async function readTokenizerFiles(files: ModelFiles): Promise<TokenizerFiles> {
  const config = await readTokenizerConfig(files);
  const ofModel = !(await files.has('tokenizer.json')) && (await files.has('tokenizer.model'));
  return {
    ...(ofModel ? await modelVocabulary(files, config) : await jsonVocabulary(files)),
    bosToken: contentOf(config.bos_token),
    eosToken: contentOf(config.eos_token),
  };
}

async function jsonVocabulary(files: ModelFiles): Promise<Vocabulary> {
  const who = `${files.where}/tokenizer.json`;
  const json = await readJson(files, 'tokenizer.json', sizeCaps.tokenizer);
  const raw = checkSchema(who, tokenizerSchema, json);
  checkMerges(who, raw.model.merges, raw.model.vocab);
  if (!Object.hasOwn(raw.model.vocab, raw.model.unk_token)) {
    throw new FileError(`${who} model.unk_token: expected a piece, got ${quoted(raw.model.unk_token)}`);
  }
  return {
    json: {
      ...raw,
      normalizer: raw.normalizer ?? null,
      pre_tokenizer: raw.pre_tokenizer ?? null,
      post_processor: null,
    },
    pieces: denseVocabulary(who, raw.model.vocab, raw.added_tokens),
    addedTokens: raw.added_tokens,
    prefix: null,
  };
}

/** Both parts of a merge, and what they give, must be pieces, as the Rust tokenizer has it. */
function checkMerges(who: string, merges: readonly unknown[], vocab: Record<string, unknown>): void {
  if (merges.length > maxPieces) {
    throw new FileError(`${who} model.merges: expected at most ${maxPieces}, got ${merges.length}`);
  }
  const asPairs = Array.isArray(merges[0]);
  merges.forEach((merge, i) => {
    const parts = asPairs ? merge : typeof merge === 'string' ? merge.split(' ') : null;
    const valid =
      Array.isArray(parts) && parts.length === 2 && parts.every((part) => typeof part === 'string');
    if (!valid) throw new FileError(`${who} model.merges.${i}: expected two pieces, got ${quoted(merge)}`);
    const unknown = [...parts, parts.join('')].find((part) => !Object.hasOwn(vocab, part));
    if (unknown !== undefined) {
      throw new FileError(`${who} model.merges.${i}: expected pieces of vocab, got ${quoted(unknown)}`);
    }
  });
}
