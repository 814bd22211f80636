// Safetensors files, inputs of VisionZip, and shards with an index, under tampering. SPEC T-1.3.

import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { readSafetensorsHeader } from '../../../src/models/checkpoint/safetensors.ts';
import { openCheckpoint } from '../../../src/models/index.ts';
import { readZipTensors } from '../../../src/visionzip/index.ts';
import { memoryFile, memoryFiles } from '../../models/checkpoint/memory-files.ts';
import { judgeSafetensors, type TensorPlace } from '../../oracle/safetensors-rules.ts';
import { brokenIndexRule } from '../../oracle/shard-index-rules.ts';
import { brokenZipTensorsRule } from '../../oracle/zip-tensors-rules.ts';
import type { Folder, Target } from './judge.ts';
import { mutateJson, spelled, treeOf } from './mutate-json.ts';
import { mutateSafetensors, safetensorsParts } from './mutate-safetensors.ts';
import * as valid from './valid-files.ts';

const openSafetensors = async (bytes: Uint8Array): Promise<void> => {
  const { entries } = await readSafetensorsHeader(memoryFile('model.safetensors', bytes));
  const { tensors } = judgeSafetensors(bytes);
  const places = [...entries].map(([name, { dtype, shape, begin, end }]): [string, TensorPlace] => [
    name,
    { dtype, shape, begin, end },
  ]);
  deepStrictEqual(new Map(places), tensors);
};

const tensorsParts = safetensorsParts(valid.tensorsFile);
export const safetensors: Target<Uint8Array> = {
  name: 'model.safetensors',
  file: /^model\.safetensors/,
  mutate: (draw) => mutateSafetensors(draw, tensorsParts),
  read: openSafetensors,
  broken(bytes) {
    const { broken, stricter } = judgeSafetensors(bytes);
    return broken ?? stricter;
  },
};

const zipParts = valid.zipInputs.map(safetensorsParts);
export const zipTensors: Target<Uint8Array> = {
  name: 'tensors for zip',
  file: /^tensors\.safetensors/,
  mutate: (draw) =>
    draw.oneIn(4) ? valid.drawnZipInput(draw) : mutateSafetensors(draw, draw.pick(zipParts)),
  async read(bytes) {
    const { hiddenStates } = await readZipTensors(memoryFile('tensors.safetensors', bytes));
    ok(hiddenStates.data.every(Number.isFinite), 'finite hiddenStates');
  },
  broken: brokenZipTensorsRule,
};

const openIndex = async (files: Folder): Promise<void> => {
  const folder = memoryFiles(files);
  const checkpoint = await openCheckpoint(folder).finally(() => ok(folder.openCount() < 9, 'few open files'));
  await checkpoint.close();
  strictEqual(folder.openCount(), 0, 'no open file');
};
const indexName = 'model.safetensors.index.json';
const indexTree = treeOf(valid.shardIndex);
const shardName = '2.safetensors';
const shardParts = safetensorsParts(valid.shardFiles[shardName] as Uint8Array);
export const index: Target<Folder> = {
  name: indexName,
  file: /^(memory\/model\.safetensors\.index\.json|(memory\/)?[\w.-]+\.safetensors)/,
  mutate: (draw) =>
    draw.oneIn(8)
      ? {
          [indexName]: new TextEncoder().encode(spelled(indexTree)),
          ...valid.shardFiles,
          [shardName]: mutateSafetensors(draw, shardParts),
        }
      : { [indexName]: mutateJson(draw, indexTree), ...valid.shardFiles },
  read: openIndex,
  broken: (files) => brokenIndexRule(files[indexName] as Uint8Array, files),
};
