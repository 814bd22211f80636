// Which naming layout a checkpoint has: llava-hf's older or newer one, or the authors'. SPEC M-2.22, M-2.23, M-2.25.
//
//               until transformers 4.51          since 4.52                          the authors'
//     language  language_model.model.*           model.language_model.*              model.*
//     head      language_model.lm_head           lm_head                             lm_head
//     vision    vision_tower.vision_model.*      model.vision_tower.vision_model.*   model.vision_tower.vision_tower.vision_model.*
//     projector multi_modal_projector.linear_1   model.multi_modal_projector.linear_1   model.mm_projector.0
//
// The authors' LLaVA-1.5 has no vision tower of its own: it lies in another folder, as vision_model.*.

import { FileError } from '../../tensor/errors.ts';

/** What stands before each part's own names, without the dot: `${language}.layers.0.…`. */
export interface LlavaLayout {
  readonly language: string;
  readonly languageHead: string; // `${languageHead}.weight` is [vocabSize, hiddenSize], tied or not
  readonly vision: string;
  readonly projector: readonly [linear1: string, linear2: string];
}

const older: LlavaLayout = {
  language: 'language_model.model',
  languageHead: 'language_model.lm_head',
  vision: 'vision_tower.vision_model',
  projector: ['multi_modal_projector.linear_1', 'multi_modal_projector.linear_2'],
};

const newer: LlavaLayout = {
  language: 'model.language_model',
  languageHead: 'lm_head',
  vision: 'model.vision_tower.vision_model',
  projector: ['model.multi_modal_projector.linear_1', 'model.multi_modal_projector.linear_2'],
};

/** That of `liuhaotian/llava-v1.5-7b`. */
export const authorsLayout: LlavaLayout = {
  language: 'model',
  languageHead: 'lm_head',
  vision: 'model.vision_tower.vision_tower.vision_model',
  projector: ['model.mm_projector.0', 'model.mm_projector.2'],
};

/** The prefix of a vision tower in a folder of its own. */
export const towerPrefix = 'vision_model';

/**
 * The layout of a checkpoint's tensor names, which must be the authors' if `isAuthors`, that is if its config.json is, and
 * llava-hf's if not. Where no head is stored and the embeddings are tied, the head is the embedding. Throws FileError if
 * the names fit no layout or several, or lack a head.
 */
export function findLayout(
  checkpoint: { readonly where: string; readonly names: ReadonlySet<string> },
  tieWordEmbeddings: boolean,
  isAuthors = false,
): LlavaLayout {
  const { where, names } = checkpoint;
  const allowed = isAuthors ? [authorsLayout] : [older, newer];
  const fitting = [older, newer, authorsLayout].filter(({ language }) => names.has(embedding(language)));
  const [layout] = fitting;
  if (layout === undefined || fitting.length > 1 || !allowed.includes(layout)) {
    const expected = allowed.map(({ language }) => embedding(language)).join(' or ');
    const got = fitting.map(({ language }) => embedding(language)).join(' and ') || 'no tensor of that name';
    const kind = isAuthors ? "the authors' config.json" : 'a config.json of llava-hf';
    throw new FileError(`${where}: expected tensor ${expected} with ${kind}, got ${got}`);
  }
  if (names.has(`${layout.languageHead}.weight`)) return layout;
  if (tieWordEmbeddings) return { ...layout, languageHead: `${layout.language}.embed_tokens` };
  const expected = `tensor ${layout.languageHead}.weight, or tie_word_embeddings`;
  throw new FileError(`${where}: expected ${expected}, got neither`);
}

function embedding(language: string): string {
  return `${language}.embed_tokens.weight`;
}
