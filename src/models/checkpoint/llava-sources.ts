// Everything that a LLaVA is loaded from, found, opened and checked, before anything is put on a device. SPEC M-2.25 to
// M-2.29, M-2.33, M-3.16.

import { FileError } from '../../tensor/errors.ts';
import { CLIP_336, type PreprocessorConfig } from '../preprocess/clip-pixels.ts';
import type { PromptTemplate } from '../tokenizer/prompt.ts';
import { type ImageMode, isAuthorsConfig, readAuthorsConfig, readTowerConfig } from './authors-config.ts';
import { type LlavaConfig, readClipConfig, readLlavaConfig } from './config.ts';
import { findLayout, type LlavaLayout, towerPrefix } from './layout.ts';
import { type ModelFiles, readJson, sizeCaps } from './model-files.ts';
import { readPreprocessorConfig } from './preprocessor-config.ts';
import { type Checkpoint, openCheckpoint } from './shard-index.ts';

/** Finds the folder of a vision tower by its name in config.json. It is asked only where the model needs one. */
export type VisionTowerFinder = (name: string) => Promise<ModelFiles>;

export interface LlavaSources {
  readonly config: LlavaConfig;
  readonly preprocessor: PreprocessorConfig;
  readonly imageMode: ImageMode;
  readonly template: PromptTemplate;
  readonly checkpoint: Checkpoint;
  readonly tower: Checkpoint; // holds `${layout.vision}.*`; often the same
  readonly layout: LlavaLayout;
  /** Closes the files of both. */
  close(): Promise<void>;
}

/** The tower of LLaVA-1.5, whose configuration is known by its name. */
const knownTower = 'openai/clip-vit-large-patch14-336';

/** Opens a LLaVA-1.5 in the layout of llava-hf or of its authors; the caller closes it. Throws FileError. */
export async function openLlavaSources(
  files: ModelFiles,
  findTower?: VisionTowerFinder,
): Promise<LlavaSources> {
  const json = await readJson(files, 'config.json', sizeCaps.config);
  return isAuthorsConfig(json) ? openAuthors(files, json, findTower) : openHuggingFace(files);
}

async function openHuggingFace(files: ModelFiles): Promise<LlavaSources> {
  const config = await readLlavaConfig(files);
  const preprocessor = await readPreprocessorConfig(files, config.vision.imageSize);
  const checkpoint = await openCheckpoint(files);
  return closingOnError([checkpoint], (close) => ({
    config,
    preprocessor,
    imageMode: 'crop',
    template: 'hf',
    checkpoint,
    tower: checkpoint,
    layout: findLayout(checkpoint, config.text.tieWordEmbeddings),
    close,
  }));
}

/** LLaVA-1.5 takes its tower as it is from elsewhere; where it was trained further, the checkpoint holds its weights. */
async function openAuthors(
  files: ModelFiles,
  json: unknown,
  findTower: VisionTowerFinder | undefined,
): Promise<LlavaSources> {
  const authors = await readAuthorsConfig(files, json);
  const opened: Checkpoint[] = [];
  const open = async (from: ModelFiles): Promise<Checkpoint> => {
    const checkpoint = await openCheckpoint(from);
    opened.push(checkpoint);
    return checkpoint;
  };
  return closingOnError(opened, async (close) => {
    const checkpoint = await open(files);
    const layout = findLayout(checkpoint, authors.text.tieWordEmbeddings, true);
    const hasTower = [...checkpoint.names].some((name) => name.startsWith(`${layout.vision}.`));
    const isKnown = hasTower && authors.visionTower === knownTower;
    const towerFiles = await findTower?.(authors.visionTower).catch((error: unknown) => {
      if (!isKnown || !(error instanceof FileError)) throw error;
    });
    if (towerFiles === undefined && !isKnown) {
      const expected = `the files of the vision tower ${authors.visionTower}`;
      throw new FileError(`${files.where}/config.json mm_vision_tower: expected ${expected}, got none`);
    }
    const vision = towerFiles === undefined ? readClipConfig(knownTower) : await readTowerConfig(towerFiles);
    return {
      config: authors.with(vision),
      preprocessor:
        towerFiles === undefined ? CLIP_336 : await readPreprocessorConfig(towerFiles, vision.imageSize),
      imageMode: authors.imageMode,
      template: 'vicuna_v1',
      checkpoint,
      tower: hasTower || towerFiles === undefined ? checkpoint : await open(towerFiles),
      layout: hasTower ? layout : { ...layout, vision: towerPrefix },
      close,
    };
  });
}

async function closingOnError(
  opened: readonly Checkpoint[],
  make: (close: () => Promise<void>) => LlavaSources | Promise<LlavaSources>,
): Promise<LlavaSources> {
  const close = async (): Promise<void> => {
    for (const checkpoint of opened) await checkpoint.close();
  };
  try {
    return await make(close);
  } catch (error) {
    await close();
    throw error;
  }
}
