// Compares the tokenizer with the Rust library on random strings: `npm run build`, then
//
//     node scripts/tokenizer-compare.mjs [--count 20000] [--seed 1] [--model golden/tiny-llava] [--rust DIR] [--python PYTHON]
//
// The Rust library is npm's `tokenizers`: 65 MB of binaries, and no dependency of this package. It is installed into a temporary
// folder, or taken from DIR. Each string is encoded from tokenizer.json and, where there is one, from tokenizer.model alone, special
// tokens honoured, without BOS. With a Python that has `sentencepiece`, the ids of plain text are also compared with SentencePiece
// on tokenizer.model. SPEC M-3.4, M-3.5, M-3.13. Ends with 1 if any differ.

import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { loadTokenizer, modelDirectory } from '../dist/models.js';
import { optionsOf, refuse } from './options.mjs';

const RUST = 'tokenizers@0.23.2';
const SENTENCEPIECE = `
import json, sys, sentencepiece
model = sentencepiece.SentencePieceProcessor(model_file=sys.argv[1])
json.dump([model.encode(text) for text in json.load(sys.stdin)], sys.stdout)`;

const words =
  'the a red blue circle What USER: ASSISTANT: HELLO naïve straße русский עברית عربي ไทย 한국어'.split(' ');
const special = ['<s>', '</s>', '<unk>', '<pad>', '<image>', '<0x0A>', '<0xE2>', '<|im_start|>', '[INST]'];
const nearlySpecial = ['<', '</', '<s', '/s>', '< s>', '<IMAGE>', '<image', '<0x', '▁', '▁▁'];
const blanks = [
  ' ',
  '  ',
  '     ',
  '\n',
  '\n\n',
  '\t',
  '\r\n',
  '\u00a0',
  '\u3000',
  '\u2003',
  '\u2028',
  '\u200b',
  '\ufeff',
  '\0',
];
const emoji = ['😀', '👨‍👩‍👧', '🇩🇪', '❤️', '👍🏽', '1️⃣'];
// First and last code point: ASCII, Latin, combining marks, Cyrillic to Thai, kana, CJK, Hangul, private use, emoji, the rest.
const ranges = [
  [0x20, 0x7e],
  [0xa0, 0x24f],
  [0x300, 0x36f],
  [0x400, 0xe7f],
  [0x3040, 0x30ff],
  [0x4e00, 0x9fff],
  [0xac00, 0xd7a3],
  [0xe000, 0xf8ff],
  [0x1f300, 0x1faff],
  [0, 0xd7ff],
  [0xe000, 0x10ffff],
];

const { values: options } = optionsOf('tokenizer-compare', {
  options: {
    count: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
    model: { type: 'string', default: 'golden/tiny-llava' },
    rust: { type: 'string' },
    python: { type: 'string' },
  },
});
const temporary = mkdtempSync(join(tmpdir(), 'tokenizer-compare-'));
try {
  process.exitCode = (await main()) === 0 ? 0 : 1;
} finally {
  rmSync(temporary, { recursive: true });
}

async function main() {
  const [count, seed] = [Number(options.count), Number(options.seed)];
  if (!Number.isInteger(count) || count < 1 || !Number.isInteger(seed))
    refuse('tokenizer-compare', 'expected --count and --seed to be whole numbers, count 1 or more.');
  const next = generator(seed);
  const texts = Array.from({ length: count }, () => randomText(next));

  const rust = await rustIds(texts);
  const fromJson = await loadTokenizer(modelDirectory(options.model));
  let differing = report(`${options.model}/tokenizer.json`, RUST, texts, fromJson.encode, rust);
  const modelFile = join(options.model, 'tokenizer.model');
  if (!existsSync(modelFile)) return differing;

  const fromModel = await loadTokenizer(modelDirectory(withoutJson()));
  differing += report(modelFile, RUST, texts, fromModel.encode, rust);
  if (options.python === undefined) return differing;
  const input = JSON.stringify(texts);
  const answer = execFileSync(options.python, ['-c', SENTENCEPIECE, modelFile], {
    input,
    maxBuffer: 1 << 30,
  });
  const sentencePiece = JSON.parse(answer.toString());
  differing += report(`${modelFile}, plain`, 'SentencePiece', texts, fromModel.encodePlain, sentencePiece);
  return (
    differing + report('tokenizer.json, plain', 'SentencePiece', texts, fromJson.encodePlain, sentencePiece)
  );
}

async function rustIds(texts) {
  const folder = resolve(options.rust ?? temporary);
  if (options.rust === undefined) {
    const install = [
      'install',
      '--prefix',
      folder,
      '--no-save',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      RUST,
    ];
    execFileSync('npm', install, { stdio: ['ignore', 'ignore', 'inherit'] });
  }
  const { Tokenizer } = createRequire(join(folder, 'here.js'))('tokenizers');
  const tokenizer = Tokenizer.fromFile(join(options.model, 'tokenizer.json'));
  const ids = [];
  for (const text of texts)
    ids.push((await tokenizer.encode(text, null, { addSpecialTokens: false })).getIds());
  return ids;
}

/** The model's tokenizer files, but for tokenizer.json. */
function withoutJson() {
  const folder = mkdtempSync(join(temporary, 'model-'));
  for (const name of readdirSync(options.model)) {
    if (/token/.test(name) && name !== 'tokenizer.json')
      copyFileSync(join(options.model, name), join(folder, name));
  }
  copyFileSync(join(options.model, 'config.json'), join(folder, 'config.json'));
  return folder;
}

function report(ours, theirs, texts, encode, expected) {
  const differing = texts.filter((text, i) => encode(text).join() !== expected[i].join());
  console.log(`${ours} and ${theirs}: ${differing.length} of ${texts.length} strings differ`);
  for (const text of differing.slice(0, 5)) console.log(`  ${JSON.stringify(text)}`);
  return differing.length;
}

function randomText(next) {
  const pick = (list) => list[next(list.length)];
  const part = () => {
    const kind = next(10);
    if (kind < 3) return pick(words);
    if (kind === 3) return pick(special);
    if (kind === 4) return pick(nearlySpecial);
    if (kind < 7) return pick(blanks);
    if (kind === 7) return pick(emoji);
    if (kind === 8) return String(next(1_000_000));
    const [first, last] = pick(ranges);
    return Array.from({ length: 1 + next(4) }, () =>
      String.fromCodePoint(first + next(last - first + 1)),
    ).join('');
  };
  return Array.from({ length: next(24) }, part).join('');
}

/** mulberry32: next(n) is an integer from 0 to n - 1. */
function generator(seed) {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound);
  };
}
