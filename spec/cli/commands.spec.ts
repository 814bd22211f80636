// The commands as a user runs them, each in a process of its own, from dist/, which set-up builds before the tests.

import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSafetensorsHeader } from '../../src/models/checkpoint/safetensors.ts';
import { decodeImage, modelDirectory } from '../../src/models/index.ts';
import { caseQuestion } from '../support/embedded-cases.ts';
import { testGpu } from '../support/gpu.ts';

const cli = 'dist/cli.js';
const model = 'golden/tiny-llava';
const picture = join(model, 'scene-0.png');
const { question, answers: expected } = caseQuestion('scene-0.png', 'ncolor');

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'visionzip-spec-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return { child, ended };
}

const run = (...args: string[]): Promise<Ended> => start(args).ended;

describe('ask', () => {
  it('VZ-4.4 --json prints one object with the answers of the authors, --trace writes the named intermediates', async () => {
    const trace = join(folder, 'trace.safetensors');
    const args = ['ask', picture, question, '--budget', '64,576', '--json', '--trace', trace];
    const { code, stdout } = await run(...args);
    expect(code).toBe(0);
    const { answers, adapter } = JSON.parse(stdout);
    expect(Object.keys(adapter)).toEqual(['vendor', 'device', 'description', 'software']);
    expect(
      answers.map(({ text, visualTokens, dominant, contextual }: Record<string, unknown>) => [
        text,
        visualTokens,
        dominant,
        contextual,
      ]),
    ).toEqual([
      [expected['64']?.text, 64, 54, 10],
      [expected['576']?.text, 576, null, null],
    ]);
    expect(answers[0].keptTokenIndices).toEqual(expected['64']?.kept);
    expect(answers[1].keptTokenIndices).toBeNull();
    expect(answers.map(({ tokenIds }: { tokenIds: number[] }) => tokenIds)).toEqual([
      expected['64']?.tokenIds,
      expected['576']?.tokenIds,
    ]);
    const stages = ['preprocess', 'encode', 'zip', 'project', 'prefill', 'decode', 'total'];
    for (const { timingsMs } of answers) expect(Object.keys(timingsMs)).toEqual(stages);

    const shapes = await shapesOf(folder, 'trace.safetensors');
    const { prompt, ...fixed } = { prompt: shapes.inputEmbeds?.[1], ...shapes };
    expect(prompt).toBeGreaterThan(64);
    expect(fixed).toEqual({
      pixelValues: [1, 3, 336, 336],
      hiddenStates: [1, 577, 128],
      clsAttention: [1, 4, 577],
      keys: [1, 4, 577, 32],
      keptTokenIndices: [1, 54],
      targetTokenIndices: [1, 10],
      tokens: [1, 64, 128],
      projectedTokens: [1, 64, 128],
      inputEmbeds: [1, prompt, 128],
      logits: [1, 514],
    });
  });

  it('VZ-4.4 one question at one budget prints the answer and nothing else on stdout', async () => {
    const { code, stdout } = await run('ask', picture, question, '--image-mode', 'crop');
    expect([code, stdout]).toEqual([0, `${expected['64']?.text}\n`]);
  });

  it('M-3.12 --raw-prompt takes the text as the whole prompt', async () => {
    const prompt = `USER: <image>\n${question} ASSISTANT:`;
    const { code, stdout } = await run(
      'ask',
      picture,
      prompt,
      '--raw-prompt',
      '--dominant',
      '54',
      '--contextual',
      '10',
    );
    expect([code, stdout]).toEqual([0, `${expected['64']?.text}\n`]);
  });

  it('T-1.1 Ctrl-C ends the process by the signal and leaves no half-written file', async () => {
    const { child, ended } = start([
      'ask',
      picture,
      'Describe the image.',
      '--trace',
      join(folder, 'x.safetensors'),
    ]);
    child.stderr?.once('data', () => setTimeout(() => child.kill('SIGINT'), 300));
    const { signal } = await ended;
    expect(signal).toBe('SIGINT');
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('T-1.1 a reader that closes our output early is no error', async () => {
    const { child, ended } = start(['ask', picture, 'Describe the image.', '--budget', '576,192,128,64']);
    child.stdout?.once('data', () => child.stdout?.destroy());
    const { code, signal, stderr } = await ended;
    expect([code, signal]).toEqual([0, null]);
    expect(stderr).not.toMatch(/EPIPE|visionzip:/);
  });
});

describe('zip', () => {
  it('VZ-5.1 writes tokens and an overlay and prints a table', async () => {
    const out = join(folder, 'deep', 'out');
    const { code, stdout } = await run('zip', picture, '--out', out);
    expect(code).toBe(0);
    expect(stdout).toContain('64 (54 dominant, 10 contextual)');
    expect(await shapesOf(out, 'tokens.safetensors')).toMatchObject({
      tokens: [1, 64, 128],
      keptTokenIndices: [1, 54],
      targetTokenIndices: [1, 10],
    });
    const { image } = await decodeImage(readFileSync(join(out, 'overlay.png')), 'overlay.png');
    expect([image.width, image.height]).toEqual([672, 672]);
  });

  it('VZ-3.7 --contextual 0 prunes without merging', async () => {
    const { code, stdout } = await run(
      'zip',
      picture,
      '--contextual',
      '0',
      '--json',
      '--out',
      join(folder, 'pruned'),
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ tokensIn: 577, tokensOut: 54, contextual: 0, merged: 0 });
  });
});

describe('doctor', () => {
  it('T-19.8 --json prints one object, with the adapter that these tests run on and no problem', async () => {
    const { code, stdout } = await run('doctor', '--json');
    expect(code).toBe(0);
    const { adapter } = await testGpu();
    expect(JSON.parse(stdout)).toMatchObject({
      problem: null,
      adapter: { description: adapter.description },
    });
  });
});

describe('help', () => {
  it.each([
    ['--help'],
    ['help', 'zip'],
    ['ask', '--help'],
    ['zip', '-h'],
    ['doctor', '--help'],
    ['demo', '--help'],
    [],
  ])('T-1.1 %s %s explains itself', async (...args: string[]) => {
    const { code, stdout } = await run(...args);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^visionzip/);
  });

  it('T-1.1 a full disk behind standard output is one line and exit code 2', async () => {
    if (process.platform !== 'linux') return;
    const full = openSync('/dev/full', 'w');
    const child = spawn(process.execPath, [cli, '--version'], { stdio: ['ignore', full, 'pipe'] });
    closeSync(full);
    let stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(code).toBe(2);
    expect(stderr).toMatch(/^visionzip: standard output: expected to write, got ENOSPC[^\n]+\n$/);
  });

  it('T-1.1 --version prints the version of the package', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect((await run('--version')).stdout).toBe(`${version}\n`);
  });
});

describe('bad input: one line on stderr, nothing on stdout, exit code 2', () => {
  const cases: readonly (readonly [string, () => string[], RegExp])[] = [
    ['no command of that name', () => ['frobnicate'], /command: expected ask, (\w+, )+doctor or --help/],
    ['an unknown option', () => ['ask', picture, question, '--bogus'], /--bogus/],
    ['no picture', () => ['ask'], /ask: expected a picture/],
    ['no question', () => ['ask', picture], /ask: expected at least one question, got none/],
    ['a question without text', () => ['ask', picture, ' '], /question: expected text/],
    ['a missing picture', () => ['ask', 'nowhere.png', question], /nowhere\.png: expected a picture/],
    ['a folder as picture', () => ['zip', model], /expected a picture, got something that is not a file/],
    ['a text file as picture', () => ['zip', 'package.json'], /package\.json: expected a JPEG or PNG/],
    [
      'a truncated picture',
      () => ['zip', truncated('scene-3.jpg', 50_000)],
      /scene-3\.jpg: expected a JPEG up to its end/,
    ],
    ['a picture of zero size', () => ['zip', pngHeader(0, 30)], /sides of at least 1 pixel, got 0 x 30/],
    [
      'a picture of 30,000 x 30,000',
      () => ['zip', pngHeader(30_000, 30_000)],
      /at most 50 megapixels, got 30000 x 30000/,
    ],
    ['an unknown dtype', () => ['zip', picture, '--dtype', 'bf16'], /--dtype: expected f32 or f16/],
    [
      'an amount of memory that is none',
      () => ['zip', picture, '--max-memory', '3 loaves'],
      /--max-memory: expected an amount/,
    ],
    [
      'an unknown budget',
      () => ['ask', picture, question, '--budget', '65'],
      /--budget: expected some of 64, 128, 192, 576/,
    ],
    [
      'half a budget',
      () => ['ask', picture, question, '--dominant', '54'],
      /expected --dominant and --contextual together/,
    ],
    [
      'two kinds of budget',
      () => ['ask', picture, question, '--no-zip', '--budget', '64'],
      /expected one of --budget/,
    ],
    [
      'a huge number',
      () => ['ask', picture, question, '--max-new-tokens', '1e99'],
      /--max-new-tokens: expected a whole number/,
    ],
    [
      'an unknown image mode',
      () => ['zip', picture, '--image-mode', 'stretch'],
      /--image-mode: expected pad or crop/,
    ],
    [
      'a model folder that is not there',
      () => ['zip', picture, '--model', 'nowhere'],
      /nowhere: expected a model folder/,
    ],
    [
      'a truncated model',
      () => ['zip', picture, '--model', damagedModel()],
      /model\.safetensors: expected 4634280 bytes/,
    ],
    [
      'an output folder that is a file',
      () => ['zip', picture, '--out', 'package.json'],
      /--out package\.json: expected a folder/,
    ],
    [
      'a trace into nowhere',
      () => ['ask', picture, question, '--trace', 'nowhere/x'],
      /--trace nowhere\/x: expected a folder/,
    ],
  ];
  it.each(cases)('T-1.1 %s', async (_, args, message) => {
    const { code, stdout, stderr } = await run(...args());
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^visionzip: .*\n$/);
  });

  it('T-1.1 too many tokens for the model are refused before anything is computed', async () => {
    const { code, stderr } = await run('zip', picture, '--dominant', '600', '--out', join(folder, 'none'));
    expect(code).toBe(2);
    expect(stderr).toContain('at most 577 together, got 600 and 10');
    expect(existsSync(join(folder, 'none', 'overlay.png'))).toBe(false);
  });

  it('M-2.31 weights that --max-memory does not hold are refused, with the number', async () => {
    const args = ['zip', picture, '--max-memory', '2MiB', '--dtype', 'f32', '--out', folder];
    const { code, stderr } = await run(...args);
    expect(code).toBe(2);
    expect(stderr).toMatch(/the weights: expected to need at most 2\.0 MiB, got 8\.\d MiB/);
  });

  it('T-1.1 --verbose adds the stack', async () => {
    expect((await run('zip', 'nowhere.png', '--verbose')).stderr).toMatch(/\n {4}at /);
  });
});

async function shapesOf(where: string, name: string): Promise<Record<string, readonly number[]>> {
  const file = await modelDirectory(where).open(name);
  const { entries } = await readSafetensorsHeader(file);
  await file.close();
  return Object.fromEntries([...entries].map(([tensor, { shape }]) => [tensor, shape]));
}

function truncated(name: string, bytes: number): string {
  const path = join(folder, name);
  writeFileSync(path, readFileSync(join(model, name)).subarray(0, bytes));
  return path;
}

/** A PNG of nothing but its header: what it says is refused before anything else is looked at. */
function pngHeader(width: number, height: number): string {
  const bytes = readFileSync(picture).subarray(0, 33);
  const header = Buffer.from(bytes);
  header.writeUInt32BE(width, 16);
  header.writeUInt32BE(height, 20);
  header.writeUInt32BE(crc32(header.subarray(12, 29)), 29);
  const path = join(folder, `${width}.png`);
  writeFileSync(path, header);
  return path;
}

function damagedModel(): string {
  const path = join(folder, 'damaged');
  mkdirSync(path, { recursive: true });
  for (const name of readdirSync(model)) {
    const bytes = readFileSync(join(model, name));
    writeFileSync(join(path, name), name === 'model.safetensors' ? bytes.subarray(0, 1_000_000) : bytes);
  }
  return path;
}
