// Which of the two llava-hf naming layouts a checkpoint has. SPEC M-2.22, M-2.23.
//
//               until transformers 4.51             since 4.52
//     language  language_model.model.*              model.language_model.*
//     head      language_model.lm_head              lm_head
//     vision    vision_tower.vision_model.*         model.vision_tower.vision_model.*
//     projector multi_modal_projector.linear_1      model.multi_modal_projector.linear_1

import { FileError } from '../../tensor/errors.ts';

/** What stands before each part's own names, without the dot: `${language}.layers.0.…`. */
export interface LlavaLayout {
  readonly language: string;
  readonly languageHead: string; // `${languageHead}.weight` is [vocabSize, hiddenSize], tied or not
  readonly vision: string;
  readonly projector: string;
}

const older: LlavaLayout = {
  language: 'language_model.model',
  languageHead: 'language_model.lm_head',
  vision: 'vision_tower.vision_model',
  projector: 'multi_modal_projector',
};

const newer: LlavaLayout = {
  language: 'model.language_model',
  languageHead: 'lm_head',
  vision: 'model.vision_tower.vision_model',
  projector: 'model.multi_modal_projector',
};

/**
 * The layout of a checkpoint's tensor names. Where no head is stored and the embeddings are tied, the
 * head is the embedding. Throws FileError if the names fit neither layout or both, or lack a head.
 */
export function findLayout(
  checkpoint: { readonly where: string; readonly names: ReadonlySet<string> },
  tieWordEmbeddings: boolean,
): LlavaLayout {
  const { where, names } = checkpoint;
  const fitting = [older, newer].filter(({ language }) => names.has(`${language}.embed_tokens.weight`));
  const [layout] = fitting;
  if (layout === undefined || fitting.length > 1) {
    const expected = [older, newer].map(({ language }) => `${language}.embed_tokens.weight`).join(' or ');
    const authors = names.has('model.mm_projector.0.weight') ? ": the authors' layout, not llava-hf's" : '';
    throw new FileError(`${where}: expected tensor ${expected}, got ${fitting.length} of them${authors}`);
  }
  if (names.has(`${layout.languageHead}.weight`)) return layout;
  if (tieWordEmbeddings) return { ...layout, languageHead: `${layout.language}.embed_tokens` };
  const expected = `tensor ${layout.languageHead}.weight, or tie_word_embeddings`;
  throw new FileError(`${where}: expected ${expected}, got neither`);
}
