// A JSON file under tampering. SPEC T-1.3.

import { isJsonObject, jsonFacts } from '../../oracle/json-rules.ts';
import type { Target } from './judge.ts';
import { mutateJson, treeOf } from './mutate-json.ts';

/** What must be an object, as Python would have it, wherever it stands. */
const records = /^(.*_config|rope_.*|image_processor|added_tokens_decoder|model|vocab|normalizer|decoder)$/;

/** JSON, an object, and no list where an object belongs. */
export function brokenRecord(bytes: Uint8Array): string | undefined {
  const facts = jsonFacts(bytes);
  if (facts === null) return 'JSON';
  if (!isJsonObject(facts.value)) return 'an object';
  const inner = Object.values(facts.value).filter(isJsonObject);
  const isList = ([key, value]: [string, unknown]): boolean => records.test(key) && Array.isArray(value);
  return [facts.value, ...inner].some((one) => Object.entries(one).some(isList)) ? 'objects' : undefined;
}

/** A JSON file of a folder whose other files stay as they are. */
export function jsonTarget(
  file: string,
  values: readonly unknown[],
  read: (bytes: Uint8Array) => Promise<void>,
  broken: Target<Uint8Array>['broken'] = brokenRecord,
): Target<Uint8Array> {
  const trees = values.map(treeOf);
  const name = file.replaceAll('.', '\\.').replace(/ .*/, '');
  return {
    name: file,
    file: new RegExp(name),
    mutate: (draw) => mutateJson(draw, draw.pick(trees)),
    read,
    broken,
  };
}
