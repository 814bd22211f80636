// Where a vision tower is looked for, in folders made for it.

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { findVisionTower } from '../../../src/models/checkpoint/find-vision-tower.ts';
import { FileError } from '../../../src/tensor/errors.ts';

const name = 'openai/clip-vit-large-patch14-336';
const variables = ['HF_HUB_CACHE', 'HF_HOME', 'XDG_CACHE_HOME', 'HOME', 'USERPROFILE'] as const;
const before = Object.fromEntries(variables.map((variable) => [variable, process.env[variable]]));

let root: string;
let model: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'visionzip-tower-'));
  model = join(root, 'models', 'llava-v1.5-7b');
  mkdirSync(model, { recursive: true });
  setVariables({ HOME: join(root, 'home'), USERPROFILE: join(root, 'home') });
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
  setVariables(before);
});

function setVariables(values: Readonly<Record<string, string | undefined>>): void {
  for (const variable of variables) {
    const value = values[variable];
    if (value === undefined) delete process.env[variable];
    else process.env[variable] = value;
  }
}

function put(folder: string, file = 'config.json', text = '{}'): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, file), text);
  return folder;
}

/** A snapshot as the Hugging Face cache holds one: links to blobs. */
function putInCache(hub: string, commit = 'ce19dc912ca5cd21c8a653c79e251e808ccabcd1'): string {
  const repository = join(hub, 'models--openai--clip-vit-large-patch14-336');
  put(join(repository, 'refs'), 'main', `${commit}\n`);
  put(join(repository, 'blobs'), 'abc');
  const snapshot = join(repository, 'snapshots', commit);
  mkdirSync(snapshot, { recursive: true });
  symlinkSync(join('..', '..', 'blobs', 'abc'), join(snapshot, 'config.json'));
  return snapshot;
}

const find = async (tower = name): Promise<string> => (await findVisionTower(model, tower)).where;

it('M-2.27 the order is: a path from the model, beside the model, the cache', async () => {
  const cached = putInCache(join(root, 'home', '.cache', 'huggingface', 'hub'));
  expect(await find()).toBe(cached);
  const beside = put(join(dirname(model), 'clip-vit-large-patch14-336'));
  expect(await find()).toBe(beside);
  const inside = put(join(model, name));
  expect(await find()).toBe(inside);
});

it('M-2.27 a relative path may lead into the folder of the model or the one it lies in, and no further', async () => {
  const inside = put(join(model, 'tower'));
  expect(await find('./tower')).toBe(inside);
  expect(await find('tower')).toBe(inside);
  const beside = put(join(dirname(model), 'towers', 'clip'));
  expect(await find('../towers/clip')).toBe(beside);

  const outside = put(join(root, 'outside'));
  for (const path of [
    '../../outside',
    '../x/../../outside',
    outside,
    inside,
    beside,
    '..',
    '.',
    '../..',
    '',
  ]) {
    await expect(find(path), path).rejects.toThrow(FileError);
  }
});

it('M-2.27 the cache is where HF_HUB_CACHE, HF_HOME or XDG_CACHE_HOME say', async () => {
  const places = {
    HF_HUB_CACHE: putInCache(join(root, 'a')),
    HF_HOME: putInCache(join(root, 'b', 'hub')),
    XDG_CACHE_HOME: putInCache(join(root, 'c', 'huggingface', 'hub')),
  };
  const values = { HF_HUB_CACHE: join(root, 'a'), HF_HOME: join(root, 'b'), XDG_CACHE_HOME: join(root, 'c') };
  setVariables(values);
  expect(await find()).toBe(places.HF_HUB_CACHE);
  setVariables({ ...values, HF_HUB_CACHE: undefined });
  expect(await find()).toBe(places.HF_HOME);
  setVariables({ XDG_CACHE_HOME: values.XDG_CACHE_HOME });
  expect(await find()).toBe(places.XDG_CACHE_HOME);
});

it('M-2.27 a snapshot name that leaves the cache is refused', async () => {
  const hub = join(root, 'home', '.cache', 'huggingface', 'hub');
  putInCache(hub);
  put(join(root, 'home', '.cache', 'outside'));
  const main = join(hub, 'models--openai--clip-vit-large-patch14-336', 'refs');
  for (const text of ['../../../../outside', '', 'a/b', '..']) {
    put(main, 'main', text);
    await expect(find(), text).rejects.toThrow(/refs\/main: expected the name of a snapshot/);
  }
});

it('M-2.27 where there is none, the message says where it was looked for, and what helps', async () => {
  const error = await find().catch((reason: Error) => reason.message);
  expect(error).toContain('mm_vision_tower: expected the folder of "openai/clip-vit-large-patch14-336" in');
  for (const place of [
    join(model, name),
    join(dirname(model), 'clip-vit-large-patch14-336'),
    join(root, 'home', '.cache', 'huggingface', 'hub', 'models--openai--clip-vit-large-patch14-336'),
    '--vision-tower',
  ]) {
    expect(error).toContain(place);
  }
});

it('M-2.27 a user whom the system does not know, and who has no home, is told the same', async () => {
  const unknownUser = vi.spyOn(process.getBuiltinModule('node:os'), 'homedir').mockImplementation(() => {
    throw new Error('A system error occurred: uv_os_homedir returned ENOENT (no such file or directory)');
  });
  await expect(find()).rejects.toThrow(/mm_vision_tower: expected the folder of .+ in .+--vision-tower/);
  unknownUser.mockRestore();
});
