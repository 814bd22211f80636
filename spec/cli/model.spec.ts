// The commands on a checkpoint in the authors' layout, and what is refused before there is a device.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { embeddedModel, openModel } from '../../src/cli/model.ts';
import { FileError } from '../../src/tensor/index.ts';
import { authorsFiles, smallLlava, towerFiles } from '../support/checkpoint-forms.ts';
import { runCommand } from './run-command.ts';

const picture = 'golden/preprocess/landscape-62x45.png';
const host = smallLlava('cli');
let root: string;
let model: string;
let elsewhere: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'visionzip-model-'));
  model = writeFolder(join(root, 'models', 'llava'), authorsFiles(host));
  elsewhere = writeFolder(join(root, 'tower'), towerFiles(host));
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

function writeFolder(folder: string, files: Readonly<Record<string, unknown>>): string {
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    const isPlain = typeof content === 'string' || content instanceof Uint8Array;
    writeFileSync(join(folder, name), isPlain ? content : JSON.stringify(content));
  }
  return folder;
}

const ask = async (...args: string[]): Promise<readonly number[]> => {
  const common = [
    '--model',
    model,
    '--dominant',
    '5',
    '--contextual',
    '3',
    '--max-new-tokens',
    '1',
    '--json',
  ];
  const { code, stdout, stderr } = await runCommand(['ask', picture, '?', ...common, ...args]);
  expect([code, stderr.includes('visionzip:')], stderr).toEqual([0, false]);
  return JSON.parse(stdout).answers[0].keptTokenIndices;
};

it('M-2.33 ask takes the mode of the checkpoint, unless told otherwise', async () => {
  const tower = ['--vision-tower', elsewhere, '--template', 'plain']; // the others are longer than this model
  const [byDefault, padded, cropped] = [
    await ask(...tower),
    await ask(...tower, '--image-mode', 'pad'),
    await ask(...tower, '--image-mode', 'crop'),
  ];
  expect(byDefault).toEqual(padded);
  expect(byDefault).not.toEqual(cropped);
});

it('M-3.16 ask takes the template of the checkpoint, unless told otherwise', async () => {
  const args = [
    'ask',
    picture,
    '?',
    '--model',
    model,
    '--vision-tower',
    elsewhere,
    '--dominant',
    '5',
    '--contextual',
    '3',
  ];
  // The system sentence alone is more than the 48 positions of this model.
  const { code, stderr } = await runCommand(args);
  expect(code).toBe(2);
  expect(stderr).toMatch(/expected at most 48 positions/);
  const both = await runCommand([...args, '--template', 'hf', '--raw-prompt']);
  expect([both.code, both.stderr]).toEqual([
    2,
    'visionzip: ask: expected --template or --raw-prompt, got both\n',
  ]);
});

it('M-2.27 without --vision-tower the tower is looked for, and its absence is told before there is a device', async () => {
  const before = process.env.HF_HUB_CACHE;
  process.env.HF_HUB_CACHE = root; // and not this machine's
  try {
    await expect(openModel(model)).rejects.toThrow(
      /mm_vision_tower: expected the folder of .*--vision-tower/,
    );
  } finally {
    if (before === undefined) delete process.env.HF_HUB_CACHE;
    else process.env.HF_HUB_CACHE = before;
  }
  await expect(openModel(model, { visionTower: join(root, 'nothing') })).rejects.toThrow(FileError);
});

it('M-2.27 a tower for a model that has its own is refused', async () => {
  await expect(openModel(embeddedModel(), { visionTower: elsewhere })).rejects.toThrow(
    /--vision-tower: expected with/,
  );
});
