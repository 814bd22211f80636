import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { modelDirectory } from '../../../src/models/checkpoint/model-directory.ts';
import { readText } from '../../../src/models/checkpoint/model-files.ts';
import { FileError } from '../../../src/tensor/errors.ts';

const root = mkdtempSync(join(tmpdir(), 'visionzip-spec-'));
const folder = join(root, 'model');
mkdirSync(join(folder, 'inner'), { recursive: true });
mkdirSync(join(root, 'blobs'));
writeFileSync(join(root, 'blobs', 'abc'), 'linked');
writeFileSync(join(folder, 'config.json'), 'hello');
symlinkSync('../blobs/abc', join(folder, 'link.json'));
symlinkSync('nowhere', join(folder, 'broken.json'));
afterAll(() => rmSync(root, { recursive: true }));

it('M-2.1 exactly the bytes asked for are read', async () => {
  const file = await modelDirectory(folder).open('config.json');
  expect(file.size).toBe(5);
  expect(Buffer.from(await file.read(1, 3)).toString()).toBe('ell');
  expect(await file.read(5, 0)).toHaveLength(0);
  await expect(file.read(3, 3)).rejects.toThrow(/config\.json: expected 3 bytes at 3, got the end after 2/);
  await file.close();
});

it('M-2.2 a linked file is read', async () => {
  expect(await readText(modelDirectory(folder), 'link.json', 100)).toBe('linked');
});

it('M-2.2 has() says whether there is a file of that name', async () => {
  const files = modelDirectory(folder);
  expect(await files.has('config.json')).toBe(true);
  expect(await files.has('link.json')).toBe(true);
  expect(await files.has('other.json')).toBe(false);
  expect(await files.has('broken.json')).toBe(false);
  expect(await files.has('inner')).toBe(false);
});

it('M-2.2 a missing folder, a missing file and a folder in its place are refused by name', async () => {
  const files = modelDirectory(folder);
  await expect(files.open('other.json')).rejects.toThrow(/other\.json: expected a file, got nothing/);
  await expect(files.open('broken.json')).rejects.toThrow(FileError);
  await expect(files.open('inner')).rejects.toThrow(/inner: expected a regular file/);
  const missing = modelDirectory(join(root, 'missing'));
  await expect(missing.open('config.json')).rejects.toThrow(/missing: expected a model folder/);
  await expect(missing.has('config.json')).rejects.toThrow(FileError);
  const notFolder = modelDirectory(join(folder, 'config.json'));
  await expect(notFolder.open('config.json')).rejects.toThrow(/expected a model folder, got a file/);
});

it.skipIf(process.platform === 'win32')('M-2.2 a pipe is refused, not waited for', async () => {
  execFileSync('mkfifo', [join(folder, 'pipe.json')]);
  await expect(modelDirectory(folder).open('pipe.json')).rejects.toThrow(/regular file/);
});

it.each(['../config.json', 'inner/../config.json', '/etc/hosts', '.hidden', '..', '', 'a\0b', 'a\\b', 'C:x'])(
  'M-2.2 the name %j is refused',
  async (name) => {
    await expect(modelDirectory(folder).open(name)).rejects.toThrow(/expected a plain file name/);
    await expect(modelDirectory(folder).has(name)).rejects.toThrow(FileError);
  },
);
