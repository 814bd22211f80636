// The same random weights as a checkpoint of each form.

import { expect, it } from 'vitest';
import {
  encodeImage,
  encodeQuestion,
  type Llava,
  loadLlava,
  type ModelFiles,
  patchTokens,
  prefill,
  project,
  splice,
} from '../../../src/models/index.ts';
import { dispose, FileError, read, tidy } from '../../../src/tensor/index.ts';
import {
  authorsConfig,
  authorsFiles,
  filesOf,
  huggingFaceConfig,
  huggingFaceFiles,
  shardedFiles,
  smallLlava,
  towerFiles,
  visionKeys,
} from '../../support/checkpoint-forms.ts';
import { expectBits } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import { visionConfig } from '../../support/tiny-llava.ts';
import { tinyPixels } from '../../support/tiny-models.ts';

const gpu = await testGpu();
const host = smallLlava('forms');
const pixels = tinyPixels('forms', 1, visionConfig);
const S = visionConfig.imageSize;

const tower = filesOf(towerFiles(host));
const visionTower = async (): Promise<ModelFiles> => tower;

async function firstLogits(llava: Llava): Promise<Float32Array> {
  const logits = tidy(gpu, () => {
    const tokens = patchTokens(encodeImage(llava, { data: pixels.values, shape: [1, 3, S, S] }));
    const prompt = encodeQuestion(llava.tokenizer, 'What is it?');
    return prefill(llava, splice(llava, prompt, project(llava, tokens)), { maxNewTokens: 1 }).step.logits;
  });
  const values = await read(logits);
  dispose(logits);
  return values;
}

async function loadedOnce<T>(
  files: ModelFiles,
  use: (llava: Llava) => T,
  options: Parameters<typeof loadLlava>[2] = { visionTower },
): Promise<Awaited<T>> {
  const llava = await loadLlava(gpu, files, options);
  try {
    return await use(llava);
  } finally {
    dispose(llava);
  }
}

it('M-2.29 the same weights give the same logits, to the bit, in every form', async () => {
  const forms = {
    'llava-hf, newer names': huggingFaceFiles(host, 'newer'),
    'llava-hf, in shards': shardedFiles(host),
    "the authors', the tower elsewhere": authorsFiles(host),
    "the authors', the tower inside": authorsFiles(host, true),
  };
  const expected = await loadedOnce(filesOf(huggingFaceFiles(host, 'older')), firstLogits);
  expect(new Set(expected).size).toBeGreaterThan(500);
  for (const [name, contents] of Object.entries(forms)) {
    const files = filesOf(contents);
    const values = await loadedOnce(files, firstLogits);
    expectBits(name, { values, shape: [1, 514] }, [1, 514], expected);
    expect(files.openCount() + tower.openCount(), name).toBe(0);
  }
});

it('M-2.29 the weights of the tower are those of the folder it lies in', async () => {
  const other = filesOf(towerFiles(smallLlava('another')));
  const files = filesOf(authorsFiles(host));
  const expected = await loadedOnce(files, firstLogits);
  const got = await loadedOnce(files, firstLogits, { visionTower: async () => other });
  expect(got).not.toEqual(expected);
});

it('M-2.28 a tower inside the checkpoint goes before that of the folder, which then tells its configuration alone', async () => {
  const { 'model.safetensors': _, ...withoutWeights } = towerFiles(host);
  const files = filesOf(authorsFiles(host, true));
  const expected = await loadedOnce(files, firstLogits);
  const got = await loadedOnce(files, firstLogits, { visionTower: async () => filesOf(withoutWeights) });
  expect(got).toEqual(expected);
  const outside = loadLlava(gpu, filesOf(authorsFiles(host)), {
    visionTower: async () => filesOf(withoutWeights),
  });
  await expect(outside).rejects.toThrow(/expected model\.safetensors/);
});

it('M-2.28 the configuration of a tower is that of a whole CLIP or of its vision half', async () => {
  const half = filesOf(towerFiles(host), { 'config.json': visionKeys });
  const expected = await loadedOnce(filesOf(authorsFiles(host)), ({ config }) => config.vision);
  const files = filesOf(authorsFiles(host));
  expect(await loadedOnce(files, ({ config }) => config.vision, { visionTower: async () => half })).toEqual(
    expected,
  );
  for (const config of [
    { model_type: 'clip' },
    { model_type: 'siglip_vision_model' },
    visionKeys.hidden_size,
    {},
  ]) {
    const broken = filesOf(towerFiles(host), { 'config.json': config });
    await expect(loadLlava(gpu, files, { visionTower: async () => broken })).rejects.toThrow(FileError);
  }
});

it('M-2.28 without the folder, only a tower inside the checkpoint that goes by its usual name is taken', async () => {
  const files = filesOf(authorsFiles(host));
  await expect(loadLlava(gpu, files)).rejects.toThrow(
    /mm_vision_tower: expected the files of the vision tower openai/,
  );
  // Inside, it is taken for ViT-L/14 at 336 pixels; this one is smaller.
  const inside = filesOf(authorsFiles(host, true));
  await expect(loadLlava(gpu, inside)).rejects.toThrow(/mm_hidden_size: expected 1024, .* got 12/);
  const failing = (error: Error) => ({ visionTower: () => Promise.reject(error) });
  await expect(loadLlava(gpu, inside, failing(new FileError('nowhere')))).rejects.toThrow(/expected 1024/);
  await expect(loadLlava(gpu, inside, failing(new TypeError('a bug')))).rejects.toThrow(/a bug/);
  await expect(loadLlava(gpu, files, failing(new FileError('nowhere')))).rejects.toThrow(/nowhere/);
  const renamed = { 'config.json': { ...authorsConfig, mm_vision_tower: 'openai/other' } };
  const other = filesOf(authorsFiles(host, true), renamed);
  await expect(loadLlava(gpu, other)).rejects.toThrow(/mm_vision_tower: expected the files/);
  expect(files.openCount() + inside.openCount() + other.openCount()).toBe(0);
});

it('M-2.25 a config.json of one layout with the tensor names of the other is refused', async () => {
  const mixed = [
    filesOf(huggingFaceFiles(host, 'older'), { 'config.json': authorsConfig }),
    filesOf(huggingFaceFiles(host, 'newer'), { 'config.json': authorsConfig }),
    filesOf(authorsFiles(host), {
      'config.json': huggingFaceConfig,
      'preprocessor_config.json': { size: 12, crop_size: 12 },
    }),
  ];
  for (const files of mixed) {
    await expect(loadLlava(gpu, files, { visionTower })).rejects.toThrow(
      /expected tensor .*embed_tokens\.weight.*, got /,
    );
    expect(files.openCount()).toBe(0);
  }
});

it('M-2.33 how pictures become squares, and M-3.16 how questions are asked, comes from the checkpoint', async () => {
  const ways = ({ imageMode, template }: Llava): readonly unknown[] => [imageMode, template];
  expect(await loadedOnce(filesOf(huggingFaceFiles(host, 'older')), ways)).toEqual(['crop', 'hf']);
  const withRatio = (ratio: unknown): ModelFiles =>
    filesOf(authorsFiles(host), { 'config.json': { ...authorsConfig, image_aspect_ratio: ratio } });
  expect(await loadedOnce(withRatio('pad'), ways)).toEqual(['pad', 'vicuna_v1']);
  for (const ratio of ['square', null, undefined]) {
    expect(await loadedOnce(withRatio(ratio), ways)).toEqual(['crop', 'vicuna_v1']);
  }
  await expect(loadLlava(gpu, withRatio('anyres'), { visionTower })).rejects.toThrow(
    /image_aspect_ratio.*anyres/,
  );
});
