// Reads a group of goldens: manifest.json and one safetensors file. SPEC G-1.1, G-1.2; golden/README.md.

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const FORMAT = 'golden-v1';

/** What is wrong with a file of goldens. */
export class GoldenError extends Error {}

/** The groups under `root`: the folders that hold a safetensors file of their own name; none where there is no `root`. */
export function groupNames(root) {
  if (!existsSync(root)) return [];
  const folders = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const names = folders
    .map(({ name }) => name)
    .filter((name) => existsSync(join(root, name, `${name}.safetensors`)));
  return names.sort();
}

/** { name, manifest, tensors }: tensors by name, each { dtype, shape, bytes }. Throws GoldenError. */
export function readGroup(root, name) {
  const folder = join(root, name);
  const file = `${name}.safetensors`;
  const strangers = readdirSync(folder).filter((entry) => entry !== 'manifest.json' && entry !== file);
  if (strangers.length > 0)
    throw new GoldenError(`${name}: expected manifest.json and ${file}, got ${strangers}`);
  return groupOf(name, readFileSync(join(folder, 'manifest.json')), readFileSync(join(folder, file)));
}

/** The same from the bytes of the two files. */
export function groupOf(name, manifestBytes, tensorBytes) {
  const where = `${name}/manifest.json`;
  const manifest = parseJson(where, manifestBytes);
  for (const [key, value] of Object.entries({
    format: FORMAT,
    group: name,
    file: `${name}.safetensors`,
  })) {
    if (manifest[key] !== value)
      throw new GoldenError(`${where}: expected ${key} ${value}, got ${shown(manifest[key])}`);
  }
  checkCases(where, manifest);
  return { name, manifest, tensors: readTensors(`${name}/${name}.safetensors`, tensorBytes) };
}

/** A text; nothing else, which may be too deep to be written. */
function shown(value) {
  return typeof value === 'string'
    ? JSON.stringify(value)
    : `a value that is ${value === null ? 'null' : typeof value}`;
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkCases(where, { stages, cases, caseCount }) {
  if (!isObject(stages)) throw new GoldenError(`${where}: expected stages by name, got other data`);
  if (!Array.isArray(cases) || cases.length !== caseCount)
    throw new GoldenError(`${where}: expected a list of caseCount cases, got other data`);
  for (const [i, one] of cases.entries()) {
    const isCase = isObject(one) && typeof one.id === 'string' && isObject(one.inputs);
    if (
      !isCase ||
      !isObject(one.expected) ||
      !Object.values(one.expected).every((hash) => typeof hash === 'string')
    )
      throw new GoldenError(
        `${where}: expected case ${i} to have an id, inputs and expected hashes, got other data`,
      );
  }
}

/** An object in UTF-8 that gives no key twice. `mayHave` judges each number as it is spelled. */
function parseJson(where, bytes, mayHave = () => true) {
  let text;
  let value;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
  } catch (error) {
    throw new GoldenError(`${where}: expected JSON, got ${error.message}`);
  }
  if (!isObject(value)) throw new GoldenError(`${where}: expected a JSON object, got other data`);
  const levels = []; // of each object around: its keys; null for an array
  const tokens = text.match(/"(?:[^"\\]|\\.)*"\s*:|"(?:[^"\\]|\\.)*"|[{}[\]]|[^\s{}[\],:"]+/g);
  for (const token of tokens) {
    if (token === '{' || token === '[') levels.push(token === '{' ? new Set() : null);
    else if (token === '}' || token === ']') levels.pop();
    else if (token.endsWith(':')) {
      const key = JSON.parse(token.slice(0, -1));
      if (levels.at(-1).has(key)) throw new GoldenError(`${where}: expected each key once, got ${key} twice`);
      levels.at(-1).add(key);
    } else if (/^[-\d]/.test(token) && !mayHave(token))
      throw new GoldenError(`${where}: expected whole numbers, got ${token}`);
  }
  return value;
}

/** The tensors of a safetensors file, by name, each { dtype, shape, bytes }. Throws GoldenError. */
export function readTensors(where, bytes) {
  if (bytes.length < 8) throw new GoldenError(`${where}: expected at least 8 bytes, got ${bytes.length}`);
  const begin = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  if (begin > bytes.length)
    throw new GoldenError(`${where}: expected a header of ${begin - 8} bytes, got fewer`);
  const isWhole = (number) => /^\d+$/.test(number) && Number.isSafeInteger(Number(number));
  const header = parseJson(`${where} header`, bytes.subarray(8, begin), isWhole);
  const tensors = new Map();
  let next = begin;
  const entries = Object.entries(header).filter(([name]) => name !== '__metadata__');
  checkEntries(where, entries, header.__metadata__);
  for (const [name, { dtype, shape, data_offsets: offsets }] of entries.sort(byPlace)) {
    const length = 4 * shape.reduce((product, axis) => product * axis, 1);
    if (begin + offsets[0] !== next || offsets[1] - offsets[0] !== length) {
      throw new GoldenError(
        `${where} ${name}: expected ${length} bytes from ${next - begin} on, got ${offsets}`,
      );
    }
    next += length;
    tensors.set(name, { dtype, shape, bytes: bytes.subarray(next - length, next) });
  }
  if (next !== bytes.length) throw new GoldenError(`${where}: expected ${next} bytes, got ${bytes.length}`);
  return tensors;
}

/** What each entry of a header is, apart from its place. */
function checkEntries(where, entries, metadata = {}) {
  const isText = (value) => typeof value === 'string' && !/\p{Surrogate}/u.test(value);
  if (!isObject(metadata) || !Object.entries(metadata).flat().every(isText))
    throw new GoldenError(`${where}: expected texts by name as __metadata__, got other data`);
  const areNumbers = (list) => Array.isArray(list) && list.every((number) => typeof number === 'number');
  for (const [name, entry] of entries) {
    const isEntry =
      isText(name) && isObject(entry) && areNumbers(entry.shape) && areNumbers(entry.data_offsets);
    if (!isEntry || entry.data_offsets.length !== 2 || Object.keys(entry).length !== 3)
      throw new GoldenError(`${where} ${name}: expected dtype, shape and two data_offsets, got other data`);
    if (entry.dtype !== 'F32' && entry.dtype !== 'I32')
      throw new GoldenError(`${where} ${name}: expected F32 or I32, got ${shown(entry.dtype)}`);
  }
}

function byPlace([, { data_offsets: a }], [, { data_offsets: b }]) {
  return a[0] - b[0] || a[1] - b[1];
}

/** SHA-256 over `dtype|shape|bytes`. */
export function tensorHash({ dtype, shape, bytes }) {
  return createHash('sha256').update(`${dtype}|${shape}|`).update(bytes).digest('hex');
}

/** The values of a tensor. */
export function valuesOf({ dtype, bytes }) {
  const copy = new Uint8Array(bytes).buffer;
  return dtype === 'F32' ? new Float32Array(copy) : new Int32Array(copy);
}

/** [tensor name, hash] of all that the cases of a manifest name. */
export function namedTensors({ cases }) {
  return cases.flatMap(({ id, inputs, expected }) =>
    [...Object.entries(inputs), ...Object.entries(expected)]
      .filter(([, hash]) => typeof hash === 'string')
      .map(([stage, hash]) => [`${id}/${stage}`, hash]),
  );
}

/** The rule under which a stage is judged: layers.3.keys@54+10 is layers.*.keys. */
export function ruleName(stage) {
  return stage.split('@')[0].replace(/\.\d+\./, '.*.');
}

/** All that is wrong with a group whose files are whole. */
export function faultsOf({ name, manifest, tensors }) {
  const faults = [];
  const { cases, stages } = manifest;
  const ids = new Set(cases.map(({ id }) => id));
  if (ids.size !== cases.length)
    faults.push(`cases: expected different case ids, got ${cases.length - ids.size} twice`);
  for (const { id, expected } of cases) {
    const unruled = Object.keys(expected).filter((stage) => !Object.hasOwn(stages, ruleName(stage)));
    faults.push(...unruled.map((stage) => `${id}: expected a rule for stage ${stage}, got none`));
  }
  const named = namedTensors(manifest);
  for (const [key, hash] of named) {
    const tensor = tensors.get(key);
    if (tensor === undefined) faults.push(`${key}: expected a tensor, got none`);
    else if (tensorHash(tensor) !== hash)
      faults.push(`${key}: expected SHA-256 ${hash}, got ${tensorHash(tensor)}`);
    else if (!valuesOf(tensor).every(Number.isFinite))
      faults.push(`${key}: expected finite values, got others`);
  }
  const keys = new Set(named.map(([key]) => key));
  for (const key of tensors.keys()) {
    if (!keys.has(key)) faults.push(`${key}: expected a case that names it, got none`);
  }
  return faults.map((fault) => `${name} ${fault}`);
}
