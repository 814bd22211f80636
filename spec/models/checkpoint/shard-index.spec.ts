import { describe, expect, it } from 'vitest';
import { findLayout } from '../../../src/models/checkpoint/layout.ts';
import { modelDirectory } from '../../../src/models/checkpoint/model-directory.ts';
import { openCheckpoint } from '../../../src/models/checkpoint/shard-index.ts';
import { writeSafetensors } from '../../../src/models/checkpoint/write-safetensors.ts';
import { FileError } from '../../../src/tensor/errors.ts';
import { memoryFiles } from './memory-files.ts';

const indexName = 'model.safetensors.index.json';

function shard(values: { readonly [name: string]: readonly number[] }): Uint8Array {
  return writeSafetensors(
    Object.entries(values).map(([name, list]) => {
      return { name, dtype: 'F32', shape: [list.length], data: Float32Array.from(list) };
    }),
  );
}

const shards = {
  '1.safetensors': shard({ a: [1, 2], b: [3] }),
  '2.safetensors': shard({ c: [4, 5, 6] }),
};
const weightMap = { a: '1.safetensors', b: '1.safetensors', c: '2.safetensors' };
const sharded = { ...shards, [indexName]: { metadata: { total_size: 24 }, weight_map: weightMap } };

describe('opening', () => {
  it('M-2.10 one file gives its tensors', async () => {
    const files = memoryFiles({ 'model.safetensors': shards['1.safetensors'] });
    const checkpoint = await openCheckpoint(files);
    expect([...checkpoint.names].sort()).toEqual(['a', 'b']);
    expect(checkpoint.shape('a')).toEqual([2]);
    expect([...(await checkpoint.floats('a', [2]))]).toEqual([1, 2]);
    await checkpoint.close();
    expect(files.openCount()).toBe(0);
  });

  it('M-2.10 shards give the tensors of all', async () => {
    const files = memoryFiles(sharded);
    const checkpoint = await openCheckpoint(files);
    expect([...checkpoint.names].sort()).toEqual(['a', 'b', 'c']);
    expect([...(await checkpoint.floats('c', [3]))]).toEqual([4, 5, 6]);
    expect(files.openCount()).toBe(2);
    await checkpoint.close();
    expect(files.openCount()).toBe(0);
  });

  it('M-2.10 total_size may be absent, or written as a decimal fraction', async () => {
    for (const metadata of ['{}', '{"total_size":24.0}', '{"total_size":24,"total_parameters":6}']) {
      const index = `{"metadata":${metadata},"weight_map":${JSON.stringify(weightMap)}}`;
      const checkpoint = await openCheckpoint(memoryFiles({ ...shards, [indexName]: index }));
      await checkpoint.close();
    }
    const checkpoint = await openCheckpoint(
      memoryFiles({ ...shards, [indexName]: { weight_map: weightMap } }),
    );
    await checkpoint.close();
  });

  it('M-2.13 a tensor that is missing or has another shape is refused with both shapes', async () => {
    const checkpoint = await openCheckpoint(memoryFiles(sharded));
    await expect(checkpoint.floats('a', [2])).resolves.toHaveLength(2);
    await expect(checkpoint.floats('a', [1, 2])).rejects.toThrow(
      'memory/1.safetensors tensor a: expected [1, 2], got [2]',
    );
    await expect(checkpoint.floats('a', [2, 1])).rejects.toThrow(FileError);
    await expect(checkpoint.floats('a', [3])).rejects.toThrow(FileError);
    await expect(checkpoint.floats('d', [3])).rejects.toThrow(/expected tensor d \[3\], got no tensor/);
    expect(() => checkpoint.shape('d')).toThrow(FileError);
    await checkpoint.close();
  });

  it('M-2.12 M-2.32 a folder with pickle files alone is told the command that converts them', async () => {
    for (const name of ['pytorch_model.bin', 'pytorch_model.bin.index.json']) {
      const files = memoryFiles({ [name]: 'x' });
      const command = 'python scripts/convert-checkpoint/convert.py';
      await expect(openCheckpoint(files)).rejects.toThrow(`got ${name}; only safetensors is read`);
      await expect(openCheckpoint(files)).rejects.toThrow(`${command} memory`);
      const spaced = openCheckpoint({ ...files, where: "it's here" });
      await expect(spaced).rejects.toThrow(`${command} 'it'\\''s here'`);
    }
    await expect(openCheckpoint(memoryFiles({}))).rejects.toThrow(/expected model\.safetensors.*got neither/);
  });
});

describe('an index', () => {
  const index = (weights: unknown, metadata: unknown = {}): unknown => ({ metadata, weight_map: weights });
  const refused: readonly (readonly [string, { readonly [name: string]: unknown }])[] = [
    ['that is not JSON', { [indexName]: '{' }],
    ['without weight_map', { [indexName]: { metadata: {} } }],
    ['whose weight_map is a list', { [indexName]: index([]) }],
    [
      'that names a tensor twice',
      { [indexName]: '{"weight_map":{"a":"1.safetensors","a":"1.safetensors"}}' },
    ],
    ['that is nested too deeply', { [indexName]: `{"weight_map":{},"x":${'['.repeat(100_000)}` }],
    ['that lists a shard that is missing', { [indexName]: index({ ...weightMap, d: '3.safetensors' }) }],
    ['that lists a tensor that is in no shard', { [indexName]: index({ ...weightMap, d: '2.safetensors' }) }],
    ['that lists a tensor in another shard', { [indexName]: index({ ...weightMap, b: '2.safetensors' }) }],
    ['that leaves out a tensor', { [indexName]: index({ a: '1.safetensors', c: '2.safetensors' }) }],
    ['with a tensor in two shards', { '2.safetensors': shard({ a: [1, 2], c: [4, 5, 6] }) }],
    ['with another total_size', { [indexName]: index(weightMap, { total_size: 25 }) }],
    ['with a total_size of text', { [indexName]: index(weightMap, { total_size: '24' }) }],
    ['with a broken shard', { '2.safetensors': shards['2.safetensors'].slice(0, -1) }],
  ];
  it.each(refused)('M-2.11 %s is refused, and every file closed', async (_, change) => {
    const control = memoryFiles(sharded);
    await (await openCheckpoint(control)).close();
    const files = memoryFiles({ ...sharded, ...change });
    await expect(openCheckpoint(files)).rejects.toThrow(FileError);
    expect(files.openCount()).toBe(0);
  });

  const names = [
    '../1.safetensors',
    '/etc/1.safetensors',
    'a/1.safetensors',
    'a\\1.safetensors',
    'C:1.safetensors',
    '.1.safetensors',
    '1.safetensors\0',
    '1.safetensors\n',
    '..',
    '',
    '1.bin',
    `${'x'.repeat(255)}.safetensors`,
    7,
    null,
  ];
  it.each(names)('M-2.11 the shard name %j is refused', async (name) => {
    const contents = { ...sharded, [String(name)]: shards['2.safetensors'] };
    const files = memoryFiles({ ...contents, [indexName]: index({ ...weightMap, c: name }) });
    await expect(openCheckpoint(files)).rejects.toThrow(/weight_map: expected/);
  });
});

describe('layout', () => {
  const named = (...names: string[]): { where: string; names: ReadonlySet<string> } => {
    return { where: 'm', names: new Set(names) };
  };
  const older = 'language_model.model.embed_tokens.weight';
  const newer = 'model.language_model.embed_tokens.weight';

  it('M-2.22 the names tell which layout a checkpoint has', async () => {
    expect(findLayout(named(older, 'language_model.lm_head.weight'), false)).toEqual({
      language: 'language_model.model',
      languageHead: 'language_model.lm_head',
      vision: 'vision_tower.vision_model',
      projector: ['multi_modal_projector.linear_1', 'multi_modal_projector.linear_2'],
    });
    expect(findLayout(named(newer, 'lm_head.weight'), false)).toEqual({
      language: 'model.language_model',
      languageHead: 'lm_head',
      vision: 'model.vision_tower.vision_model',
      projector: ['model.multi_modal_projector.linear_1', 'model.multi_modal_projector.linear_2'],
    });
  });

  it('M-2.22 the embedded model has the older layout, and every part of it', async () => {
    const checkpoint = await openCheckpoint(modelDirectory('golden/tiny-llava'));
    const { language, languageHead, vision, projector } = findLayout(checkpoint, false);
    for (const name of [
      `${language}.layers.0.self_attn.q_proj.weight`,
      `${languageHead}.weight`,
      `${vision}.embeddings.class_embedding`,
      `${projector[0]}.weight`,
    ]) {
      expect(checkpoint.names.has(name), name).toBe(true);
    }
    const head = await checkpoint.floats(`${languageHead}.weight`, [514, 128]);
    expect(head.every(Number.isFinite)).toBe(true);
    await checkpoint.close();
  });

  it('M-2.23 a tied head that is not stored is the embedding', () => {
    expect(findLayout(named(older), true).languageHead).toBe('language_model.model.embed_tokens');
    expect(findLayout(named(newer), true).languageHead).toBe('model.language_model.embed_tokens');
    expect(findLayout(named(newer, 'lm_head.weight'), true).languageHead).toBe('lm_head');
    expect(() => findLayout(named(older), false)).toThrow(/language_model\.lm_head\.weight/);
  });

  it("M-2.25 the authors' names go with the authors' config.json and with no other", () => {
    const authors = named('model.embed_tokens.weight', 'lm_head.weight');
    expect(findLayout(authors, false, true)).toEqual({
      language: 'model',
      languageHead: 'lm_head',
      vision: 'model.vision_tower.vision_tower.vision_model',
      projector: ['model.mm_projector.0', 'model.mm_projector.2'],
    });
    expect(() => findLayout(authors, false)).toThrow(/llava-hf, got model\.embed_tokens\.weight/);
    for (const name of [older, newer]) {
      expect(() => findLayout(named(name, 'lm_head.weight'), false, true)).toThrow(
        /the authors' config\.json/,
      );
    }
    expect(() => findLayout(named('model.embed_tokens.weight', newer), false, true)).toThrow(FileError);
    expect(() => findLayout(named('model.embed_tokens.weight'), false, true)).toThrow(/lm_head\.weight/);
  });

  it('M-2.22 names that fit no layout or both are refused', () => {
    expect(() => findLayout(named('x'), false)).toThrow(FileError);
    const both = named(older, newer, 'language_model.lm_head.weight', 'lm_head.weight');
    expect(() => findLayout(both, false)).toThrow(/got language_model\..* and model\.language_model\./);
  });
});
