// tokenizer.model as the vocabulary that tokenizer.json would give. SPEC M-3.13.

import { type ModelFiles, readBytes, sizeCaps } from '../checkpoint/model-files.ts';
import { readSentencePiece } from './sentencepiece.ts';
import { addedTokensOf, contentOf, type TokenizerConfig } from './tokenizer-config.ts';
import { denseVocabulary, type Vocabulary } from './vocabulary.ts';

/** Reads tokenizer.model, with the added tokens of tokenizer_config.json, else of added_tokens.json. Throws FileError. */
export async function modelVocabulary(files: ModelFiles, config: TokenizerConfig): Promise<Vocabulary> {
  const who = `${files.where}/tokenizer.model`;
  const bytes = await readBytes(files, 'tokenizer.model', sizeCaps.tokenizer);
  const { pieces, merges, unknownPiece, specialIds } = readSentencePiece(who, bytes);
  const special = specialIds.map((id) => ({ id, content: pieces[id] as string, special: true }));
  const known = new Set(specialIds);
  const added = await addedTokensOf(files, config);
  const addedFile = config.added_tokens_decoder == null ? 'added_tokens.json' : 'tokenizer_config.json';
  // Looked for in the text as it is written, as the original does it.
  const addedTokens = [...special, ...added.filter(({ id }) => !known.has(id))].map((token) => ({
    ...token,
    normalized: false,
  }));
  const vocab = Object.fromEntries(pieces.map((piece, id) => [piece, id]));
  const everywhere = config.legacy ? [{ type: 'Prepend', prepend: '▁' }] : [];
  const spaces = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const padIds = addedTokens
    .filter(({ content }) => config.pad_token != null && content === contentOf(config.pad_token))
    .map(({ id }) => id);
  return {
    json: {
      added_tokens: addedTokens,
      normalizer: { type: 'Sequence', normalizers: [...everywhere, spaces] },
      pre_tokenizer: null,
      post_processor: null,
      decoder: null,
      model: { type: 'BPE', byte_fallback: true, fuse_unk: true, unk_token: unknownPiece, vocab, merges },
    },
    // The pieces are dense by themselves; what does not fit stands where the added tokens do.
    pieces: denseVocabulary(`${files.where}/${addedFile}`, vocab, added),
    addedTokens,
    prefix: config.legacy
      ? null
      : { pieceId: vocab['▁'] ?? -1, droppedBefore: new Set([...specialIds, ...padIds]) },
  };
}
