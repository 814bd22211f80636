// `visionzip chat` through a pipe, as a script uses it. SPEC M-8.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Turn } from '../../src/models/index.ts';
import { goldenChat } from '../support/embedded-cases.ts';
import { runCommand, startCommand } from './run-command.ts';

const model = 'golden/tiny-llava';
const picture = join(model, 'scene-0.png');
const { questions, answers } = goldenChat('scene-0-chat-hf-54+10');
const [first, second] = questions as [string, string];

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'visionzip-spec-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const chat = (lines: readonly string[], ...args: string[]) =>
  runCommand(['chat', picture, ...args], lines.map((line) => `${line}\n`).join(''));

function saved(name: string): { turns: Turn[] } & Record<string, unknown> {
  return JSON.parse(readFileSync(join(folder, name), 'utf8'));
}

describe('chat', () => {
  it('M-8.5 answers a line with a line, and prints no prompt where nobody types', async () => {
    const path = join(folder, 'two words.json');
    const { code, stdout } = await chat([first, '', second, `/save ${path}`]);
    expect([code, stdout]).toEqual([0, `${answers[0]}\n${answers[1]}\n${path}: 2 turns\n`]);
    expect(saved('two words.json')).toMatchObject({
      image: picture,
      visualTokens: 64,
      dominant: 54,
      contextual: 10,
      sampling: null,
      maxNewTokens: 64,
      turns: [
        { question: first, answer: answers[0], ended: 'eos' },
        { question: second, answer: answers[1], ended: 'eos' },
      ],
    });
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('M-8.8 /budget zips anew and keeps the conversation, /kept shows the patches, /quit ends', async () => {
    const path = join(folder, 'other.json');
    const { code, stdout } = await chat([
      first,
      '/budget',
      '/kept',
      '/budget 7 + 3',
      '/kept',
      '/budget 576',
      '/kept',
      'Describe the image.',
      `/save ${path}`,
      '/help',
      '/quit',
      'never asked',
    ]);
    expect(code).toBe(0);
    const lines = stdout.split('\n');
    expect(lines.slice(0, 2)).toEqual([answers[0], '64 = 54 + 10']);
    const grid = (from: number): string => lines.slice(from, from + 24).join(' ');
    const count = (cells: string, mark: string): number =>
      cells.split(' ').filter((cell) => cell === mark).length;
    expect(['#', '+', '.'].map((mark) => count(grid(2), mark))).toEqual([53, 10, 513]);
    expect(lines[27]).toBe('10 = 7 + 3, with the conversation so far');
    expect(['#', '+', '.'].map((mark) => count(grid(28), mark))).toEqual([6, 3, 567]);
    expect(lines[53]).toBe('all patches, with the conversation so far');
    expect(count(grid(54), '#')).toBe(576);
    expect(saved('other.json')).toMatchObject({
      visualTokens: 576,
      dominant: null,
      turns: [{ answer: answers[0] }, { question: 'Describe the image.' }],
    });
    expect(stdout).toContain('/save FILE');
    expect(stdout).not.toContain('never asked');
  });

  it('M-8.9 a line that fails ends by itself: the others are answered, and the exit code tells', async () => {
    writeFileSync(join(folder, 'file'), '');
    const failing = [
      ['/nonsense', /chat: expected \/budget, \/kept, \/save, \/help or \/quit, got \/nonsense/],
      ['/kept all', /\/kept: expected nothing behind it, got "all"/],
      ['/budget 65', /--budget: expected some of 64/],
      ['/budget 64,128', /\/budget: expected one budget, got 2/],
      ['/budget 570+10', /at most 577 together/],
      ['/save', /\/save: expected the name of a file/],
      [`/save ${join(folder, 'file', 'x')}`, /\/save .*: expected a folder/],
      [`/save ${folder}`, /\/save .*: expected the name of a file/],
      [
        'Is there a ring?',
        /conversation: expected at most 2048 positions, picture, turns and next answer together, got 2\d+/,
      ],
    ] as const;
    const lines = [...failing.map(([line]) => line), '/budget 64', first];
    const { code, stdout, stderr } = await chat(lines, '--no-zip', '--max-new-tokens', '1500');
    expect([code, stdout]).toEqual([2, `64 = 54 + 10, with the conversation so far\n${answers[0]}\n`]);
    const messages = stderr.split('\n').filter((line) => line.startsWith('visionzip: '));
    expect(messages).toHaveLength(failing.length);
    for (const [i, [, message]] of failing.entries()) expect(messages[i]).toMatch(message);
  });

  it('M-8.7 Ctrl-C stops an answer and keeps the session', async () => {
    const path = join(folder, 'stopped.json');
    const args = ['--temperature', '50', '--top-p', '0.99', '--seed', '3', '--max-new-tokens', '900'];
    const { child, ended } = startCommand(['chat', picture, ...args]);
    child.stdin.write('Describe the image.\n');
    child.stdout.once('data', () => {
      child.kill('SIGINT');
      child.stdin.end(`/save ${path}\n/budget\n`);
    });
    const { code, signal, stdout } = await ended;
    expect([code, signal]).toEqual([0, null]);
    expect(stdout).toMatch(/\n64 = 54 \+ 10\n$/);
    const { sampling, turns } = saved('stopped.json');
    expect(sampling).toEqual({ temperature: 50, topP: 0.99, seed: 3 });
    expect(turns.map((turn) => turn.ended)).toEqual(['stopped']);
  });

  it('M-8.7 a Ctrl-C where no answer is being given ends the process by the signal', async () => {
    const { child, ended } = startCommand(['chat', picture]);
    child.stdin.write(`${first}\n`);
    child.stdout.on('data', (text: string) => {
      if (text.endsWith('\n')) setTimeout(() => child.kill('SIGINT'), 100);
    });
    const { code, signal, stdout, stderr } = await ended;
    expect([code, signal, stdout]).toEqual([null, 'SIGINT', `${answers[0]}\n`]);
    expect(stderr).not.toContain('visionzip:');
  });

  const cases: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['no picture', [], /chat: expected one picture, got 0/],
    ['two pictures', [picture, picture], /chat: expected one picture, got 2/],
    ['two budgets', [picture, '--budget', '64,128'], /--budget: expected one budget, got 2/],
    [
      'a temperature that is none',
      [picture, '--temperature', 'hot'],
      /--temperature: expected a decimal number/,
    ],
    [
      'a share above 1',
      [picture, '--temperature', '1', '--top-p', '1.1'],
      /--top-p: expected more than 0, at most 1/,
    ],
    ['a seed without a temperature', [picture, '--seed', '3'], /expected a --temperature above 0/],
    ['no new tokens', [picture, '--max-new-tokens', '0'], /--max-new-tokens: expected a whole number/],
  ];
  it.each(cases)('M-8.9 %s: one line, exit code 2', async (_, args, message) => {
    const { code, stdout, stderr } = await runCommand(['chat', ...args]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(message);
    expect(stderr.split('\n')).toHaveLength(2);
  });
});
