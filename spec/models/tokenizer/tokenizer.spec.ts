import { readFileSync } from 'node:fs';
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { modelDirectory } from '../../../src/models/checkpoint/model-directory.ts';
import { loadTokenizer, streamText, type Tokenizer } from '../../../src/models/tokenizer/tokenizer.ts';
import { FileError } from '../../../src/tensor/errors.ts';
import { memoryFiles } from '../checkpoint/memory-files.ts';

const folder = 'golden/tiny-llava';
const golden = JSON.parse(readFileSync('golden/tokenizer/cases.json', 'utf8'));
const tokenizerJson = JSON.parse(readFileSync(`${folder}/tokenizer.json`, 'utf8'));
const tokenizerConfig = JSON.parse(readFileSync(`${folder}/tokenizer_config.json`, 'utf8'));
const anyText = fc.string({ unit: 'grapheme', maxLength: 40 });

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await loadTokenizer(modelDirectory(folder));
});

describe('encoding', () => {
  it('M-3.4 text gives the ids that the Python tokenizers give', () => {
    expect(golden.encode.length).toBeGreaterThanOrEqual(60);
    for (const { text, ids } of golden.encode)
      expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids);
  });

  it('M-3.5 plain text gives the ids of SentencePiece alone, and never a special token', () => {
    for (const { text, plainIds } of golden.encode) {
      expect(tokenizer.encodePlain(text), JSON.stringify(text)).toEqual(plainIds);
    }
    const specialIds = new Set([0, 1, 2, 512, 513]);
    const mark = fc.constantFrom('</s>', '<s>', '<image>', '<pad>', '<unk>', ' ', 'red');
    const text = fc.array(fc.oneof(mark, anyText), { maxLength: 8 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, (value) => tokenizer.encodePlain(value).every((id) => !specialIds.has(id))),
      { numRuns: 300 },
    );
  });

  it('M-3.6 decoding undoes plain encoding of any well-formed text', () => {
    // "▁" itself is a space to this tokenizer.
    const text = fc.string({ unit: 'binary', maxLength: 40 }).filter((value) => !value.includes('▁'));
    fc.assert(
      fc.property(text, (value) => {
        expect(tokenizer.decode(tokenizer.encodePlain(value))).toBe(value);
      }),
      { numRuns: 300 },
    );
  });

  it('M-3.1 knows its special tokens and the size of its vocabulary', () => {
    expect([tokenizer.bosTokenId, tokenizer.eosTokenId, tokenizer.vocabSize]).toEqual([1, 2, 514]);
  });
});

describe('decoding', () => {
  const library = new LibraryTokenizer(tokenizerJson, {});
  const anyIds = fc.array(fc.oneof(fc.integer({ min: 0, max: 513 }), fc.integer({ min: 3, max: 258 })), {
    maxLength: 24,
  });

  it('M-3.6 M-3.7 ids give the text that SentencePiece gives, broken bytes included', () => {
    for (const { ids, text } of golden.decode) expect(tokenizer.decode(ids), `${ids}`).toBe(text);
  });

  it('M-3.6 agrees with the library where all bytes are whole', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const ids = tokenizer.encode(text);
        // The library drops U+FEFF at the start of a run of bytes, and cannot decode nothing.
        fc.pre(ids.length > 0 && !text.includes('\ufeff'));
        const options = { skip_special_tokens: true, clean_up_tokenization_spaces: false };
        expect(tokenizer.decode(ids)).toBe(library.decode(ids, options));
      }),
      { numRuns: 300 },
    );
  });

  it('M-3.8 what a stream returns, joined, is the decoding of all ids', () => {
    const stream = streamText(tokenizer);
    fc.assert(
      fc.property(anyIds, (ids) => {
        const parts = ids.map((id) => stream.push(id));
        expect(parts.join('') + stream.flush()).toBe(tokenizer.decode(ids));
      }),
      { numRuns: 500 },
    );
  });

  it('M-3.8 a stream never returns half a character, and holds back no more than one', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const stream = streamText(tokenizer);
        let shown = '';
        for (const id of tokenizer.encodePlain(text)) {
          const part = stream.push(id);
          expect(part.includes('\ufffd') && !text.includes('\ufffd')).toBe(false);
          shown += part;
        }
        expect(shown).toBe(text.replaceAll('▁', ' '));
        expect(stream.flush()).toBe('');
      }),
      { numRuns: 300 },
    );
  });

  it('M-3.8 bytes that can no longer become a character come out at once', () => {
    const byte = (value: number): number => 3 + value;
    const stream = streamText(tokenizer);
    expect([0xe2, 0x41].map((value) => stream.push(byte(value)))).toEqual(['', '\ufffdA']);
    expect([0xff, 0xf0, 0x9f, 0xc3].map((value) => stream.push(byte(value)))).toEqual([
      '\ufffd',
      '',
      '',
      '\ufffd\ufffd',
    ]);
    expect(stream.flush()).toBe('\ufffd');
  });

  it('M-3.7 ids beyond the vocabulary are nothing, negative or fractional ones are refused', () => {
    expect(tokenizer.decode([279, 514, 99_999])).toBe('a');
    expect(() => tokenizer.decode([-1])).toThrow(RangeError);
    expect(() => tokenizer.decode([1.5])).toThrow(RangeError);
  });
});

describe('files', () => {
  const load = (json: unknown, config: unknown = tokenizerConfig): Promise<Tokenizer> =>
    loadTokenizer(memoryFiles({ 'tokenizer.json': json, 'tokenizer_config.json': config }));

  it('M-3.1 a normalizer, a Metaspace pre-tokenizer and pairs of merges give the same ids', async () => {
    const { merges } = tokenizerJson.model;
    const pairs = merges.map((merge: string | string[]) =>
      typeof merge === 'string' ? merge.split(' ') : merge,
    );
    const other = await load({
      ...tokenizerJson,
      normalizer: null,
      pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: false },
      model: { ...tokenizerJson.model, merges: pairs },
    });
    for (const text of ['What color is it?', 'a  b', 'né 😀']) {
      expect(other.encode(text)).toEqual(tokenizer.encode(text));
    }
  });

  const broken: readonly (readonly [string, (json: typeof tokenizerJson) => void])[] = [
    [
      'a Split with a regular expression',
      (json) => {
        json.pre_tokenizer = { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated' };
      },
    ],
    [
      'a Replace with a regular expression',
      (json) => {
        json.normalizer.normalizers[1].pattern = { Regex: '(a+)+$' };
      },
    ],
    [
      'a regular expression beside a string',
      (json) => {
        json.normalizer.normalizers[1].pattern = { String: ' ', Regex: '(a+)+$' };
      },
    ],
    [
      'a decoder with a regular expression',
      (json) => {
        json.decoder.decoders[0].pattern = { Regex: '(a+)+$' };
      },
    ],
    [
      'another decoder',
      (json) => {
        json.decoder = { type: 'ByteLevel' };
      },
    ],
    [
      'a decoder without its last step',
      (json) => {
        json.decoder.decoders.pop();
      },
    ],
    [
      'a pre-tokenizer that is not Metaspace',
      (json) => {
        json.pre_tokenizer = { type: 'ByteLevel' };
      },
    ],
    [
      'a model that is not BPE',
      (json) => {
        json.model.type = 'Unigram';
      },
    ],
    [
      'no byte fallback',
      (json) => {
        json.model.byte_fallback = false;
      },
    ],
    [
      'a hole in the ids',
      (json) => {
        json.model.vocab.hole = 900;
      },
    ],
    [
      'two pieces with one id',
      (json) => {
        json.model.vocab.twin = 100;
      },
    ],
    [
      'an id that is not an integer',
      (json) => {
        json.model.vocab.half = 0.5;
      },
    ],
    [
      'an unknown token without an id',
      (json) => {
        json.model.unk_token = '<nothing>';
      },
    ],
    [
      'a merge of three',
      (json) => {
        json.model.merges[3] = 'a b c';
      },
    ],
    [
      'a merge of a part that is no piece',
      (json) => {
        json.model.merges[3] = '▁ 你好';
      },
    ],
    [
      'a merge into what is no piece',
      (json) => {
        json.model.merges[3] = '</s> </s>';
      },
    ],
    [
      'an id that is a list',
      (json) => {
        json.model.vocab['▁'] = [];
      },
    ],
    [
      'a list as the model',
      (json) => {
        json.model = Object.assign([], json.model);
      },
    ],
    [
      'no merges',
      (json) => {
        delete json.model.merges;
      },
    ],
    [
      'added tokens that are not a list',
      (json) => {
        json.added_tokens = {};
      },
    ],
  ];
  it.each(broken)('M-3.2 %s is refused', async (_, damage) => {
    const json = structuredClone(tokenizerJson);
    await expect(load(json)).resolves.toBeDefined();
    damage(json);
    await expect(load(json)).rejects.toThrow(FileError);
    await expect(load(json)).rejects.toThrow(/tokenizer\.json.*expected/s);
  });

  it('M-3.3 a tokenizer_config.json that asks for other behaviour is refused', async () => {
    await expect(load(tokenizerJson, {})).resolves.toBeDefined();
    await expect(load(tokenizerJson, { bos_token: { content: '<s>' } })).resolves.toBeDefined();
    for (const config of [
      { bos_token: '<begin>' },
      { eos_token: 7 },
      { add_bos_token: false },
      { add_eos_token: true },
      { clean_up_tokenization_spaces: true },
      [],
      { added_tokens_decoder: [] },
    ]) {
      await expect(load(tokenizerJson, config)).rejects.toThrow(/tokenizer_config\.json.*expected/s);
    }
  });

  it('M-3.1 a missing tokenizer.json is refused, and tokenizer.model is named', async () => {
    await expect(loadTokenizer(memoryFiles({}))).rejects.toThrow(/tokenizer\.json/);
    await expect(loadTokenizer(memoryFiles({ 'tokenizer.model': 'x' }))).rejects.toThrow(/tokenizer\.model/);
  });
});
