// Whether an index and its shards belong together. SPEC M-2.11.
//
//     { metadata?: { total_size? }, weight_map: { tensor: shard } }

import { isJsonObject, jsonFacts } from './json-rules.ts';
import { judgeSafetensors, type TensorPlace } from './safetensors-rules.ts';

/** The rule that is broken, or null. `shards` are the other files of the folder. */
export function brokenIndexRule(
  index: Uint8Array,
  shards: Readonly<Record<string, Uint8Array>>,
): string | null {
  const facts = jsonFacts(index);
  if (facts === null) return 'JSON';
  if (new Set(facts.keys).size !== facts.keys.length) return 'every key once';
  if (!facts.wellFormed) return 'no lone surrogates';
  if (facts.depth > 16) return 'at most 16 levels';
  if (facts.numbers.some((number) => number.length > 64)) return 'numbers of at most 64 characters';
  const { value } = facts;
  const weightMap = isJsonObject(value) ? value.weight_map : undefined;
  if (!isJsonObject(weightMap)) return 'a weight_map';

  const names = new Set(Object.values(weightMap));
  const tensors = new Map<string, TensorPlace>();
  for (const name of names) {
    if (typeof name !== 'string' || name.length > 255) return 'names of shards';
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors$/.test(name)) return 'plain names of shards';
    const shard = Object.hasOwn(shards, name) ? shards[name] : undefined;
    if (shard === undefined) return 'shards that are there';
    const verdict = judgeSafetensors(shard);
    if (verdict.broken !== null || verdict.stricter !== null) return 'shards that are safetensors files';
    for (const [tensor, place] of verdict.tensors) {
      if (!Object.hasOwn(weightMap, tensor) || weightMap[tensor] !== name)
        return 'tensors where the index says';
      tensors.set(tensor, place);
    }
  }
  if (Object.keys(weightMap).some((tensor) => !tensors.has(tensor))) return 'every tensor of the index';
  const metadata = isJsonObject(value) ? value.metadata : undefined;
  if (!isJsonObject(metadata) || !Object.hasOwn(metadata, 'total_size')) return null;
  const size = [...tensors.values()].reduce((sum, { begin, end }) => sum + end - begin, 0);
  return metadata.total_size === size ? null : 'the total size';
}
