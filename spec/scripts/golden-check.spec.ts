// The two commands that look at goldens as files, on copies of a small group, each damaged in one way. SPEC G-1.

import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Manifest } from '../support/golden.ts';

const folders: string[] = [];

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

/** A folder with a copy of golden/llama in it. */
async function copy(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'visionzip-golden-'));
  folders.push(folder);
  await cp('golden/llama', join(folder, 'llama'), { recursive: true });
  return folder;
}

interface Ended {
  readonly status: number | null;
  readonly output: string;
}

function run(script: string, ...args: readonly string[]): Ended {
  const { status, stdout, stderr } = spawnSync(process.execPath, [resolve('scripts', script), ...args], {
    encoding: 'utf8',
  });
  return { status, output: stdout + stderr };
}

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

async function editManifest(
  folder: string,
  edit: (manifest: Mutable<Manifest>, first: Record<string, string>) => void,
): Promise<void> {
  const path = join(folder, 'llama', 'manifest.json');
  const manifest = JSON.parse(await readFile(path, 'utf8')) as Manifest;
  edit(manifest, manifest.cases[0]?.expected as Record<string, string>);
  await writeFile(path, JSON.stringify(manifest));
}

async function editBytes(
  folder: string,
  edit: (bytes: Buffer, begin: (key: string) => number) => Buffer,
): Promise<void> {
  const path = join(folder, 'llama', 'llama.safetensors');
  const bytes = await readFile(path);
  const data = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, data)) as Record<
    string,
    { data_offsets: [number, number] }
  >;
  const begin = (key: string): number => data + (header[key]?.data_offsets[0] as number);
  await writeFile(path, edit(bytes, begin));
}

const LOGITS = 'llama-grouped/logits';

describe('G-1 golden-check', () => {
  it('G-1.2 the committed goldens hash to what their manifests say', () => {
    const { status, output } = run('golden-check.mjs');
    expect(output).toMatch(/^golden-check: \d{4,} tensors in \d+ groups are as they were written\.\n$/);
    expect(status).toBe(0);
  });

  it('G-1.2 one flipped bit of one tensor is refused, and the tensor named', async () => {
    const folder = await copy();
    expect(run('golden-check.mjs', folder).status).toBe(0);
    await editBytes(folder, (bytes, begin) => {
      bytes[begin(LOGITS)] = (bytes[begin(LOGITS)] as number) ^ 1;
      return bytes;
    });
    const { status, output } = run('golden-check.mjs', folder);
    expect(output).toMatch(new RegExp(`^golden-check: llama ${LOGITS}: expected SHA-256 .+, got .+\n$`));
    expect(status).toBe(1);
  });

  it('G-1.1 a tensor that no case names, and a case that names none, are refused', async () => {
    const unknown = await copy();
    await editManifest(unknown, (_, expected) => delete expected.logits);
    expect(run('golden-check.mjs', unknown)).toMatchObject({
      status: 1,
      output: expect.stringContaining('llama-multi-head/logits: expected a case that names it, got none'),
    });
    const missing = await copy();
    await editManifest(missing, (_, expected) => {
      expected['logits@x'] = expected.logits as string;
    });
    expect(run('golden-check.mjs', missing)).toMatchObject({
      status: 1,
      output: expect.stringContaining('llama-multi-head/logits@x: expected a tensor, got none'),
    });
  });

  it('G-1.1 a stage without a rule, a wrong count of cases, another format and a stranger in the folder are refused', async () => {
    const edits: readonly ((manifest: Mutable<Manifest>) => void)[] = [
      (manifest) => {
        manifest.stages = {};
      },
      (manifest) => {
        manifest.caseCount = manifest.caseCount + 1;
      },
      (manifest) => {
        manifest.format = 'golden-v2';
      },
    ];
    for (const edit of edits) {
      const folder = await copy();
      await editManifest(folder, edit);
      expect(run('golden-check.mjs', folder)).toMatchObject({
        status: 1,
        output: expect.stringMatching(/expected .+, got/),
      });
    }
    const folder = await copy();
    await writeFile(join(folder, 'llama', 'more.txt'), '');
    expect(run('golden-check.mjs', folder)).toMatchObject({
      status: 1,
      output: expect.stringContaining('expected manifest.json and llama.safetensors, got more.txt'),
    });
    await editBytes(folder, (bytes) => Buffer.concat([bytes, Buffer.alloc(4)]));
    expect(run('golden-check.mjs', folder).status).toBe(1);
  });
});

describe('G-1 golden-compare', () => {
  /** golden-compare against a copy whose first logit is moved by some steps of f32. */
  async function moved(steps: number, golden = exactCopy()): Promise<Ended> {
    const other = await copy();
    await editBytes(other, (bytes, begin) => {
      const at = begin(LOGITS);
      bytes.writeUInt32LE(bytes.readUInt32LE(at) + steps, at);
      return bytes;
    });
    return run('golden-compare.mjs', other, await golden);
  }

  /** A group of which nothing was computed in float32. */
  async function exactCopy(): Promise<string> {
    const golden = await copy();
    await editManifest(golden, (manifest) => delete manifest.float32Inside);
    return golden;
  }

  it('G-1.8 an export that differs by a step of f32 is the same, by more it is not', async () => {
    expect(await moved(0)).toMatchObject({
      status: 0,
      output: expect.stringContaining('75 tensors equal to the bit'),
    });
    expect(await moved(1)).toMatchObject({
      status: 0,
      output: expect.stringContaining('1 as close as another processor may come'),
    });
    const { status, output } = await moved(3);
    expect(status).toBe(1);
    expect(output).toContain(`llama ${LOGITS}: expected the same values, got others`);
  });

  it('G-1.8 where the original computes in float32, an export may differ by what that does', async () => {
    expect((await moved(3, copy())).status).toBe(0);
    expect((await moved(3000, copy())).status).toBe(1);
  });

  it('G-1.8 another integer, another margin and a tensor too few are not the same', async () => {
    const golden = await exactCopy();
    const integers = await copy();
    await editBytes(integers, (bytes, begin) => {
      bytes.writeInt32LE(
        1 + bytes.readInt32LE(begin('llama-grouped/greedyIds')),
        begin('llama-grouped/greedyIds'),
      );
      return bytes;
    });
    expect(run('golden-compare.mjs', integers, golden).status).toBe(1);
    const margins = await copy();
    await editManifest(margins, ({ cases }) => {
      const gaps = cases[0]?.margins.greedy as number[][];
      (gaps[0] as number[])[0] = ((gaps[0] as number[])[0] as number) + 1e-9;
    });
    expect(run('golden-compare.mjs', margins, golden)).toMatchObject({
      status: 1,
      output: expect.stringContaining('expected the same margins'),
    });
    const fewer = await copy();
    await editManifest(fewer, (_, expected) => delete expected.logits);
    expect(run('golden-compare.mjs', fewer, golden).status).toBe(1);
    expect(run('golden-compare.mjs').status).toBe(2);
  });
});
