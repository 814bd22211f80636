import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { chosenModel } from '../../../src/models/checkpoint/chosen-model.ts';
import { modelDirectory } from '../../../src/models/checkpoint/model-directory.ts';
import { FileError } from '../../../src/tensor/errors.ts';

const folder = 'golden/tiny-llava';
const names = ['config.json', 'model.safetensors'];
const chosen = (): File[] => names.map((name) => new File([readFileSync(`${folder}/${name}`)], name));

it('M-2.36 chosen files give the bytes that the folder gives', async () => {
  for (const name of names) {
    const [file, local] = [
      await chosenModel(chosen()).open(name),
      await modelDirectory(folder).open(name),
    ] as const;
    expect(file.size).toBe(local.size);
    expect(Buffer.from(await file.read(100, 700)).equals(await local.read(100, 700))).toBe(true);
    await local.close();
  }
});

it('M-2.36 only what is asked for is read', async () => {
  const [, weights] = chosen() as [File, File];
  const parts: (readonly [number | undefined, number | undefined])[] = [];
  const slice = weights.slice.bind(weights);
  weights.slice = (from, to) => {
    parts.push([from, to]);
    return slice(from, to);
  };
  const file = await chosenModel([weights]).open('model.safetensors');
  expect(await file.read(1000, 500)).toHaveLength(500);
  expect(parts).toEqual([[1000, 1500]]);
});

it('M-2.36 two files of one name, missing ones, names with folders and reads beyond the end are refused', async () => {
  expect(() => chosenModel([...chosen(), ...chosen()])).toThrow(
    /one file of a name, got several called "config/,
  );
  const files = chosenModel(chosen());
  expect(await files.has('config.json')).toBe(true);
  expect(await files.has('other.json')).toBe(false);
  await expect(files.open('other.json')).rejects.toThrow(/other\.json: expected a file, got none/);
  await expect(files.open('../config.json')).rejects.toThrow(FileError);
  const file = await files.open('config.json');
  expect(await file.read(file.size, 0)).toHaveLength(0);
  await expect(file.read(1, file.size)).rejects.toThrow(FileError);
});

it('M-2.36 a file that can no longer be read is refused by name', async () => {
  const [config] = chosen() as [File];
  config.slice = () => {
    const gone = new Blob();
    gone.arrayBuffer = async () => Promise.reject(new DOMException('it has changed', 'NotReadableError'));
    return gone;
  };
  const file = await chosenModel([config]).open('config.json');
  await expect(file.read(0, 10)).rejects.toThrow(
    /config\.json: expected the file as it was chosen, got it has/,
  );
});
