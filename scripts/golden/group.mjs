// Reads a group of goldens: manifest.json and one safetensors file. SPEC G-1.1, G-1.2; golden/README.md.

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const FORMAT = 'golden-v1';

/** What is wrong with a file of goldens. */
export class GoldenError extends Error {}

/** The groups under `root`: the folders that hold a safetensors file of their own name. */
export function groupNames(root) {
  const folders = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const names = folders
    .map(({ name }) => name)
    .filter((name) => existsSync(join(root, name, `${name}.safetensors`)));
  return names.sort();
}

/** { name, manifest, tensors }: tensors by name, each { dtype, shape, bytes }. Throws GoldenError. */
export function readGroup(root, name) {
  const folder = join(root, name);
  const manifest = parseJson(`${name}/manifest.json`, readFileSync(join(folder, 'manifest.json'), 'utf8'));
  const where = `${name}/manifest.json`;
  if (manifest.format !== FORMAT)
    throw new GoldenError(`${where}: expected format ${FORMAT}, got ${manifest.format}`);
  if (manifest.group !== name)
    throw new GoldenError(`${where}: expected group ${name}, got ${manifest.group}`);
  const file = `${name}.safetensors`;
  if (manifest.file !== file) throw new GoldenError(`${where}: expected file ${file}, got ${manifest.file}`);
  const strangers = readdirSync(folder).filter((entry) => entry !== 'manifest.json' && entry !== file);
  if (strangers.length > 0)
    throw new GoldenError(`${name}: expected manifest.json and ${file}, got ${strangers}`);
  return { name, manifest, tensors: readTensors(`${name}/${file}`, readFileSync(join(folder, file))) };
}

function parseJson(where, text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new GoldenError(`${where}: expected JSON, got ${error.message}`);
  }
}

/** The tensors of a safetensors file, by name, each { dtype, shape, bytes }. Throws GoldenError. */
export function readTensors(where, bytes) {
  if (bytes.length < 8) throw new GoldenError(`${where}: expected at least 8 bytes, got ${bytes.length}`);
  const begin = 8 + Number(bytes.readBigUInt64LE(0));
  if (begin > bytes.length)
    throw new GoldenError(`${where}: expected a header of ${begin - 8} bytes, got fewer`);
  const header = parseJson(`${where} header`, bytes.toString('utf8', 8, begin));
  const tensors = new Map();
  let next = begin;
  const entries = Object.entries(header).filter(([name]) => name !== '__metadata__');
  for (const [name, { dtype, shape, data_offsets: offsets }] of entries.sort((a, b) => first(a) - first(b))) {
    const length = 4 * shape.reduce((product, axis) => product * axis, 1);
    if (dtype !== 'F32' && dtype !== 'I32')
      throw new GoldenError(`${where} ${name}: expected F32 or I32, got ${dtype}`);
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

function first([, { data_offsets: offsets }]) {
  return offsets[0];
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
