// `visionzip zip --tensors`: a trace goes round, and what does not fit is refused. SPEC VZ-6.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSafetensorsHeader } from '../../src/models/checkpoint/safetensors.ts';
import { openFile, writeSafetensors } from '../../src/models/index.ts';
import { runCommand } from './run-command.ts';

const picture = 'golden/tiny-llava/scene-0.png';
const budget = ['--dominant', '54', '--contextual', '10'];

let folder: string;
let trace: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'visionzip-spec-'));
  trace = join(folder, 'a trace.safetensors');
  await runCommand(['ask', picture, 'How many red objects are there?', '--trace', trace]);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The bytes of each tensor of a file, as hexadecimal, and its shape. */
async function contents(path: string): Promise<Record<string, { shape: readonly number[]; bytes: string }>> {
  const file = await openFile(path);
  const { entries } = await readSafetensorsHeader(file);
  const found: Record<string, { shape: readonly number[]; bytes: string }> = {};
  for (const [name, { shape, begin, end }] of entries) {
    found[name] = { shape, bytes: Buffer.from(await file.read(begin, end - begin)).toString('hex') };
  }
  await file.close();
  return found;
}

describe('VZ-6 zip --tensors', () => {
  it('VZ-6.4 a trace goes in, and the tokens of the trace come out, to the bit', async () => {
    const out = join(folder, 'out');
    const { code, stdout } = await runCommand(['zip', '--tensors', trace, ...budget, '--out', out, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      images: 1,
      tokensIn: 577,
      tokensOut: 64,
      dominant: 54,
      contextual: 10,
      merged: 513,
      files: [join(out, 'tokens.safetensors')],
    });
    const before = await contents(trace);
    const after = await contents(join(out, 'tokens.safetensors'));
    for (const name of ['tokens', 'keptTokenIndices', 'targetTokenIndices']) {
      expect(after[name], name).toEqual(before[name]);
    }
    expect(Object.fromEntries(Object.entries(after).map(([name, { shape }]) => [name, shape]))).toEqual({
      tokens: [1, 64, 128],
      keptTokenIndices: [1, 54],
      targetTokenIndices: [1, 10],
      sourceTokenIndices: [1, 513],
      assignment: [1, 513],
      counts: [1, 10],
      scores: [1, 576],
      margins: [1, 513],
      cutScores: [1, 2],
    });
  });

  it('VZ-3.6 --merge paper-average gives other tokens of the same groups, in a table', async () => {
    const out = join(folder, 'average');
    const merge = ['--merge', 'paper-average'];
    const { code, stdout } = await runCommand(['zip', '--tensors', trace, ...budget, ...merge, '--out', out]);
    expect(code).toBe(0);
    expect(stdout).toContain('64 (54 dominant, 10 contextual)');
    const before = await contents(trace);
    const after = await contents(join(out, 'tokens.safetensors'));
    expect(after.targetTokenIndices).toEqual(before.targetTokenIndices);
    expect(after.tokens?.bytes).not.toBe(before.tokens?.bytes);
  });

  const cases: readonly (readonly [string, () => string[], RegExp])[] = [
    ['no counts', () => ['--tensors', trace], /expected --tensors with --dominant and --contextual/],
    [
      'a picture besides',
      () => [picture, '--tensors', trace, ...budget],
      /zip --tensors: expected options alone, got "/,
    ],
    [
      'no such file',
      () => ['--tensors', 'nowhere.safetensors', ...budget],
      /nowhere\.safetensors: expected a file/,
    ],
    ['a file of another kind', () => ['--tensors', picture, ...budget], /scene-0\.png: expected a header/],
    [
      'an unknown merge',
      () => ['--tensors', trace, ...budget, '--merge', 'mean'],
      /--merge: expected target-plus-mean/,
    ],
    [
      'too many tokens',
      () => ['--tensors', trace, '--dominant', '570', '--contextual', '10'],
      /at most 577 together, got 570 and 10/,
    ],
    [
      'NaN in the scores',
      () => ['--tensors', withNan(), ...budget],
      /tensor clsAttention: expected finite values, got NaN at \[0, 0, 2\]/,
    ],
  ];
  it.each(cases)('VZ-6.2 %s: one line, exit code 2, nothing written', async (name, args, message) => {
    const out = join(folder, name);
    const { code, stdout, stderr } = await runCommand(['zip', ...args(), '--out', out]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^visionzip: .*\n$/);
    expect(existsSync(out)).toBe(false);
  });
});

function withNan(): string {
  const ones = (name: string, ...shape: number[]) => ({
    name,
    dtype: 'F32' as const,
    shape,
    data: new Float32Array(shape.reduce((product, length) => product * length, 1)).fill(1),
  });
  const attention = ones('clsAttention', 1, 1, 80);
  attention.data[2] = Number.NaN;
  const path = join(folder, 'nan.safetensors');
  const tensors = [ones('hiddenStates', 1, 80, 2), attention, ones('meanKeys', 1, 80, 2)];
  writeFileSync(path, writeSafetensors(tensors));
  return path;
}
