// A checkpoint: one safetensors file, or shards with an index. SPEC M-2.10 to M-2.13.
//
//     model.safetensors
//     model.safetensors.index.json   { metadata: { total_size }, weight_map: { tensor: shard file } }
//
// All headers are read when the checkpoint is opened, so that whatever is wrong with the files is
// said before anything is put on the GPU. Values are read one tensor at a time.

import { FileError } from '../../tensor/errors.ts';
import type { WeightChunks } from '../../tensor/index.ts';
import { checkFileName, type ModelFile, type ModelFiles, quoted, readText, sizeCaps } from './model-files.ts';
import { readSafetensorsHeader, type TensorEntry } from './safetensors.ts';
import { parseStrictJson, type StrictJson } from './strict-json.ts';
import { floatChunks, halfChunks, readFloats } from './tensor-floats.ts';

/** Named tensors. Close it when the last one has been read. */
export interface Checkpoint {
  readonly where: string;
  readonly names: ReadonlySet<string>;
  /** Throws FileError if there is no such tensor. */
  shape(name: string): readonly number[];
  /** The values, f32, row-major. Throws FileError if the tensor is missing or has another shape. */
  floats(name: string, expectedShape: readonly number[]): Promise<Float32Array>;
  /** How the values are stored. Throws FileError if there is no such tensor. */
  dtype(name: string): TensorEntry['dtype'];
  /** The values piece by piece, as f32 or as the bits of f16. Throws as floats, and FileError for what f16 cannot hold. */
  chunks(name: string, expectedShape: readonly number[], dtype: 'f32' | 'f16'): WeightChunks;
  /** Closes the files. */
  close(): Promise<void>;
}

interface Place {
  readonly file: ModelFile;
  readonly entry: TensorEntry;
}

const singleName = 'model.safetensors';
const indexName = 'model.safetensors.index.json';
const pickleNames = ['pytorch_model.bin', 'pytorch_model.bin.index.json', 'pytorch_model-00001-of-00002.bin'];
const maxShards = 10_000;

/** Opens the checkpoint of a model folder and checks every header. Throws FileError. */
export async function openCheckpoint(files: ModelFiles): Promise<Checkpoint> {
  const shards: ModelFile[] = [];
  const close = async (): Promise<void> => {
    for (const shard of shards.splice(0)) await shard.close();
  };
  try {
    if (await files.has(singleName)) {
      return checkpoint(files, await placesOf(files, singleName, shards), close);
    }
    if (await files.has(indexName)) return checkpoint(files, await placesByIndex(files, shards), close);
    throw new FileError(
      `${files.where}: expected ${singleName} or ${indexName}, got ${await present(files)}`,
    );
  } catch (error) {
    await close();
    throw error;
  }
}

async function present(files: ModelFiles): Promise<string> {
  for (const name of pickleNames) {
    if (!(await files.has(name))) continue;
    const command = `python scripts/convert-checkpoint/convert.py ${shellWord(files.where)}`;
    return `${name}; only safetensors is read, pickle files can run code; convert with: ${command}`;
  }
  return 'neither';
}

/** A word of a command line, quoted where it must be. */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function checkpoint(
  files: ModelFiles,
  places: ReadonlyMap<string, Place>,
  close: () => Promise<void>,
): Checkpoint {
  const find = (name: string, expected: string): Place => {
    const place = places.get(name);
    if (place !== undefined) return place;
    throw new FileError(`${files.where}: expected tensor ${name}${expected}, got no tensor of that name`);
  };
  const findShaped = (name: string, expectedShape: readonly number[]): Place => {
    const place = find(name, ` [${expectedShape.join(', ')}]`);
    const { shape } = place.entry;
    if (shape.length !== expectedShape.length || shape.some((n, axis) => n !== expectedShape[axis])) {
      const who = `${files.where}/${place.file.name} tensor ${name}`;
      throw new FileError(`${who}: expected [${expectedShape.join(', ')}], got [${shape.join(', ')}]`);
    }
    return place;
  };
  return {
    where: files.where,
    names: new Set(places.keys()),
    shape: (name) => find(name, '').entry.shape,
    async floats(name, expectedShape) {
      const { file, entry } = findShaped(name, expectedShape);
      return readFloats(file, entry);
    },
    dtype: (name) => find(name, '').entry.dtype,
    chunks(name, expectedShape, dtype) {
      const { file, entry } = findShaped(name, expectedShape);
      return dtype === 'f32' ? floatChunks(file, entry) : halfChunks(file, entry);
    },
    close,
  };
}

async function placesOf(
  files: ModelFiles,
  name: string,
  shards: ModelFile[],
): Promise<ReadonlyMap<string, Place>> {
  const file = await files.open(name);
  shards.push(file);
  const { entries } = await readSafetensorsHeader(file);
  return new Map([...entries].map(([tensor, entry]) => [tensor, { file, entry }]));
}

async function placesByIndex(files: ModelFiles, shards: ModelFile[]): Promise<ReadonlyMap<string, Place>> {
  const who = `${files.where}/${indexName}`;
  const { weightMap, totalSize } = await readIndex(files, who);
  const shardNames = [...new Set(weightMap.values())].sort();
  if (shardNames.length > maxShards) {
    throw new FileError(`${who}: expected at most ${maxShards} shards, got ${shardNames.length}`);
  }

  const places = new Map<string, Place>();
  let byteCount = 0;
  for (const shardName of shardNames) {
    for (const [tensor, place] of await placesOf(files, shardName, shards)) {
      const listed = weightMap.get(tensor);
      if (listed !== shardName) {
        const got = `${quoted(tensor)} in ${shardName}`;
        throw new FileError(`${who}: expected every tensor where weight_map says (${listed}), got ${got}`);
      }
      places.set(tensor, place);
      byteCount += place.entry.end - place.entry.begin;
    }
  }
  for (const [tensor, shardName] of weightMap) {
    if (!places.has(tensor)) {
      throw new FileError(`${who}: expected ${quoted(tensor)} in ${shardName}, got no tensor of that name`);
    }
  }
  if (totalSize !== undefined && totalSize !== byteCount) {
    throw new FileError(`${who} metadata.total_size: expected ${byteCount}, got ${quoted(totalSize)}`);
  }
  return places;
}

async function readIndex(
  files: ModelFiles,
  who: string,
): Promise<{ weightMap: ReadonlyMap<string, string>; totalSize: StrictJson | undefined }> {
  const text = await readText(files, indexName, sizeCaps.index);
  const json = parseStrictJson(who, text, { maxDepth: 16, unsignedIntegersOnly: false });
  const weightMap = json instanceof Map ? json.get('weight_map') : undefined;
  if (!(weightMap instanceof Map)) {
    throw new FileError(`${who} weight_map: expected file names by tensor, got ${quoted(weightMap)}`);
  }
  for (const shardName of new Set((weightMap as ReadonlyMap<string, StrictJson>).values())) {
    if (typeof shardName !== 'string' || !shardName.endsWith('.safetensors')) {
      throw new FileError(`${who} weight_map: expected names *.safetensors, got ${quoted(shardName)}`);
    }
    checkFileName(`${who} weight_map`, shardName);
  }
  const metadata = (json as ReadonlyMap<string, StrictJson>).get('metadata');
  return {
    weightMap: weightMap as ReadonlyMap<string, string>,
    totalSize:
      metadata instanceof Map ? (metadata as ReadonlyMap<string, StrictJson>).get('total_size') : undefined,
  };
}
