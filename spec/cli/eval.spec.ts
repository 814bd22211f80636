// `visionzip eval` as a user runs it.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Ended, runCommand, startCommand } from './run-command.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'visionzip-eval-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const evaluation = (...args: string[]): Promise<Ended> => runCommand(['eval', '--out', folder, ...args]);

describe('eval', () => {
  it('E-1.11 --json prints one object with every method, and a chart is written', async () => {
    const { code, stdout } = await evaluation('--questions', '8', '--budget', '64', '--seed', '8', '--json');
    expect(code).toBe(0);
    const { rows, partial, questions, seed, chart, adapter } = JSON.parse(stdout);
    expect([partial, questions, seed]).toEqual([false, 8, 8]);
    expect(Object.keys(adapter)).toEqual(['vendor', 'device', 'description', 'software']);
    expect(
      rows.map(({ method, visualTokens }: Record<string, unknown>) => `${method} ${visualTokens}`),
    ).toEqual([
      'vanilla 576',
      ...['visionzip', 'visionzip-paper', 'cls-top-k', 'random', 'uniform'].map((name) => `${name} 64`),
    ]);
    expect(rows[0].ofVanilla).toEqual({ ratio: 1, low: 1, high: 1 });
    for (const { byType, all, ofVanilla } of rows) {
      expect(ofVanilla?.ratio ?? 0).toBe(all.correct / rows[0].all.correct);
      expect(Object.keys(byType)).toEqual([
        'color',
        'shape',
        'count',
        'where',
        'what',
        'yesno',
        'ncolor',
        'caption',
      ]);
      expect(all.total).toBe(8);
      expect(all.accuracy).toBe(all.correct / 8);
      expect(all.low).toBeLessThanOrEqual(all.accuracy);
      expect(all.high).toBeGreaterThanOrEqual(all.accuracy);
    }
    expect(rows[0].all.correct).toBeGreaterThan(4); // one object, all patches: nearly everything is right
    expect(readFileSync(chart, 'utf8')).toMatch(/^<svg [\s\S]*<\/svg>\n$/);
  });

  it('E-1.11 without --json it prints a table with intervals', async () => {
    const { code, stdout } = await evaluation('--questions', '1', '--budget', '576');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^tokens {2}method +color +shape/m);
    expect(stdout).toMatch(/^ {3}576 {2}vanilla/m);
    expect(stdout).toMatch(/1\.0 +100 %$|\.00 +- *$/m);
    expect(stdout).not.toContain('PARTIAL');
  });

  it('E-1.11 Ctrl-C prints what was counted until then, marked as partial', async () => {
    const { child, ended } = startCommand(['eval', '--out', folder, '--json', '--budget', '64']);
    setTimeout(() => child.kill('SIGINT'), 1500);
    const { code, signal, stdout, stderr } = await ended;
    expect([code, signal]).toEqual([130, null]);
    expect(stderr).toContain('visionzip: Ctrl-C: ending behind the stage at hand; once more ends at once\n');
    const { partial, questions, rows } = JSON.parse(stdout);
    expect([partial, questions]).toEqual([true, 560]);
    for (const { all } of rows) expect(all.total).toBeLessThan(560);
  });

  it('E-1.11 --help explains it', async () => {
    const { code, stdout } = await runCommand(['eval', '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^visionzip eval/);
  });

  it.each([
    ['a budget that there is not', ['--budget', '65'], /--budget: expected some of/],
    ['no questions', ['--questions', '0'], /--questions: expected a whole number from 1/],
    ['a seed that is none', ['--seed', 'x'], /--seed: expected a whole number/],
    ['a picture', ['picture.png'], /picture\.png/],
    ['a folder that is a file', ['--out', 'package.json'], /--out package\.json: expected a folder/],
  ] as const)('E-1.11 %s is refused', async (_, args, message) => {
    const { code, stdout, stderr } = await evaluation(...args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(message);
  });
});
