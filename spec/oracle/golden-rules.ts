// Whether two files are a group of goldens, by the rules of golden/README.md. SPEC G-1.1, G-1.2.
//
//     manifest: format golden-v1, group, file, stages, caseCount, cases [{ id, inputs, expected }]
//     a text in inputs and in expected is the hash of the tensor `id/stage`

import { isJsonObject, jsonFacts } from './json-rules.ts';
import { judgeSafetensors } from './safetensors-rules.ts';

/** SHA-256 of a text and the bytes behind it. */
export type Hash = (text: string, bytes: Uint8Array) => string;

/** The rule that is broken, null, or undefined where only a rule beyond those of safetensors files is. */
export function brokenGoldenRule(
  group: string,
  manifest: Uint8Array,
  file: Uint8Array,
  hash: Hash,
): string | null | undefined {
  const facts = jsonFacts(manifest);
  if (facts === null || !isJsonObject(facts.value)) return 'a manifest of JSON';
  if (new Set(facts.keys).size !== facts.keys.length) return 'every key once';
  const { value } = facts;
  if (value.format !== 'golden-v1' || value.group !== group) return 'format and group';
  if (value.file !== `${group}.safetensors`) return 'the name of the file';
  if (!isJsonObject(value.stages)) return 'stages';
  if (!Array.isArray(value.cases) || value.caseCount !== value.cases.length)
    return 'as many cases as it says';

  const { broken, stricter, tensors } = judgeSafetensors(file);
  if (broken !== null) return broken;
  if ([...tensors.values()].some(({ dtype }) => !['F32', 'I32'].includes(dtype))) return 'F32 and I32';
  const ids = new Set<unknown>();
  const unnamed = new Set(tensors.keys());
  for (const one of value.cases as readonly unknown[]) {
    if (!isJsonObject(one) || typeof one.id !== 'string' || ids.has(one.id)) return 'cases with ids';
    ids.add(one.id);
    const { id, inputs, expected } = one;
    if (!isJsonObject(inputs) || !isJsonObject(expected)) return 'inputs and expected';
    for (const [stage, sha256] of [...Object.entries(inputs), ...Object.entries(expected)]) {
      if (typeof sha256 !== 'string') continue;
      const place = tensors.get(`${id}/${stage}`);
      if (place === undefined) return 'a tensor for each hash';
      const bytes = file.subarray(place.begin, place.end);
      if (hash(`${place.dtype}|${place.shape.join(',')}|`, bytes) !== sha256) return 'the hash';
      if (place.dtype === 'F32' && !areFinite(bytes)) return 'finite values';
      unnamed.delete(`${id}/${stage}`);
    }
    for (const [stage, sha256] of Object.entries(expected)) {
      if (typeof sha256 !== 'string') return 'hashes as expected';
      const [name = ''] = stage.split('@');
      if (!Object.hasOwn(value.stages, name.replace(/\.\d+\./, '.*.'))) return 'a rule for each stage';
    }
  }
  if (unnamed.size > 0) return 'a case for each tensor';
  return stricter === null ? null : undefined;
}

/** No exponent of ones only. */
function areFinite(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += 4) {
    const upper = (bytes[at + 2] as number) | ((bytes[at + 3] as number) << 8);
    if ((upper & 0x7f80) === 0x7f80) return false;
  }
  return true;
}
