// `npm run fuzz` as a user runs it; what it finds in a reader that has one fault of each kind.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCorpus } from '../support/fuzz/corpus.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'visionzip-fuzz-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

function start(...args: readonly string[]): { readonly child: ChildProcess; readonly ended: Promise<Ended> } {
  const child = spawn(process.execPath, ['scripts/fuzz.mjs', '--corpus', folder, ...args], { stdio: 'pipe' });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const ended = new Promise<Ended>((done) => child.on('close', (code) => done({ code, output })));
  return { child, ended };
}

describe('fuzz: the tool', () => {
  it('fuzz: each kind of fault is found, made small and kept, and the exit code is 1', async () => {
    const { code, output } = await start('--target', 'faulty', '--runs', '100', '--seed', '20').ended;
    expect(output).toMatch(/100 runs in \d+ s, \d+ a second: \d+ read, \d+ refused/);
    expect(output).toContain('6 kinds of faults found');
    expect(code).toBe(1);
    const found = [...readCorpus(join(folder, 'faulty')).values()].map(({ target, expected, file }) => [
      target,
      expected,
      new TextDecoder().decode(file as Uint8Array),
    ]);
    expect(found.sort()).toEqual(
      [
        ['faulty.json', 'refused', '{"do":"accept"}'],
        ...['exit', 'fill memory', 'hang', 'mumble', 'throw'].map((deed) => [
          'faulty.json',
          'either',
          `{"do":"${deed}"}`,
        ]),
      ].sort(),
    );
  }, 300_000);

  it('fuzz: nothing found ends with 0, and Ctrl-C ends behind the run at hand', async () => {
    const few = await start('--target', 'golden', '--runs', '40').ended;
    expect(few).toMatchObject({ code: 0, output: expect.stringContaining('nothing found') });
    const { child, ended } = start('--target', 'golden', '--runs', '1000000000');
    child.stderr?.once('data', () => child.kill('SIGINT')); // the first line of progress
    const { code, output } = await ended;
    expect(output).toMatch(/ends behind the run at hand[\s\S]*\d+ runs in \d+ s[\s\S]*nothing found/);
    expect(code).toBe(0);
  }, 300_000);

  it('fuzz: another target, and runs that are no count, are refused', async () => {
    expect(await start('--target', 'gif').ended).toMatchObject({
      code: 2,
      output: expect.stringMatching(
        /^fuzz: expected --target to be one of safetensors, .+, cli, got gif\.\n$/,
      ),
    });
    expect((await start('--target', 'png', '--runs', '0').ended).code).toBe(2);
  }, 300_000);
});
