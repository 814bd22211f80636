// Reads a group of goldens: manifest.json and one safetensors file. SPEC G-1, golden/README.md.
//
// Pages of a browser read them, too: files come in through `ReadFile`, and hashes are the platform's.

import { readSafetensorsHeader } from '../../src/models/checkpoint/safetensors.ts';
import { grid8 } from './grid8.ts';
import type { Host } from './recipe.ts';

export type StageKind = 'real' | 'topk_set' | 'argmax' | 'index' | 'copy';

interface Tolerance {
  readonly value: number;
  readonly legitMax: number;
  readonly heldOutMax?: number;
}

export interface StageTolerance extends Tolerance {
  readonly relativeTo: 'rms' | 'element' | 'one';
  readonly mutantMin?: number;
  /** For what stores float16 between its operations. `least`: added to that of every element. */
  readonly f16?: Tolerance & { readonly least?: number };
}

export interface StageRule {
  readonly kind: StageKind;
  /** Of a real stage: |got − golden| ≤ value · the root mean square of the stage, the golden element, or 1. */
  readonly tolerance?: StageTolerance;
}

export interface FormulaTensor {
  readonly shape: readonly number[];
  readonly fill: 'grid8' | 'gains';
  readonly exp?: number;
  readonly check: readonly number[];
  readonly sha256: string;
}

export interface FormulaInput {
  readonly formula: 'grid8-v1';
  readonly stream: string;
  readonly exp: number;
  readonly shape: readonly number[];
  readonly sha256: string;
}

/** A picture beside the group, and how it becomes a square; the hash is that of its pixels. */
export interface PictureInput {
  readonly picture: string;
  readonly mode: 'pad' | 'crop';
  readonly shape: readonly number[];
  readonly sha256: string;
}

export interface GoldenCase {
  readonly id: string;
  readonly flags: readonly string[];
  readonly params: Readonly<Record<string, unknown>>;
  readonly margins: Readonly<Record<string, unknown>>;
  readonly inputs: Readonly<Record<string, string | FormulaInput | PictureInput>>; // the hash of a stored tensor, or how it is made
  readonly expected: Readonly<Record<string, string>>; //             hashes, in the order of the pipeline
}

export interface Manifest {
  readonly format: string;
  readonly group: string;
  readonly file: string;
  readonly ensemble: Readonly<
    Record<'f32' | 'f16', { readonly evaluations: readonly string[]; readonly heldOut: number }>
  >;
  readonly float32Inside?: readonly string[];
  readonly stages: Readonly<Record<string, StageRule>>;
  readonly weights: Readonly<
    Record<
      string,
      {
        readonly config: Readonly<Record<string, unknown>>;
        readonly tensors: Readonly<Record<string, FormulaTensor>>;
      }
    >
  >;
  readonly caseCount: number;
  readonly cases: readonly GoldenCase[];
}

type Stored = Host<Float32Array | Int32Array>;

export interface GoldenGroup {
  readonly manifest: Manifest;
  readonly tensors: ReadonlyMap<string, Stored>; // by `<case>/<stage>`
}

/** The bytes of a file of this repository: `readFile` in Node, a request in a page. */
export type ReadFile = (path: string) => Promise<Uint8Array<ArrayBuffer>>;

export async function readGroup(name: string, readFile: ReadFile): Promise<GoldenGroup> {
  const folder = `golden/${name}`;
  const text = new TextDecoder().decode(await readFile(`${folder}/manifest.json`));
  const manifest = JSON.parse(text) as Manifest;
  const bytes = await readFile(`${folder}/${manifest.file}`);
  const file = {
    name: manifest.file,
    size: bytes.length,
    read: async (begin: number, length: number) => bytes.subarray(begin, begin + length),
    close: async () => {},
  };
  const { entries } = await readSafetensorsHeader(file);
  const tensors = new Map<string, Stored>();
  for (const { name: key, dtype, shape, begin, end } of entries.values()) {
    const buffer = new Uint8Array(bytes.subarray(begin, end)).buffer;
    tensors.set(key, { shape, values: dtype === 'F32' ? new Float32Array(buffer) : new Int32Array(buffer) });
  }
  return { manifest, tensors };
}

/** A stored tensor of reals. */
export function real({ tensors }: GoldenGroup, caseId: string, name: string): Host<Float32Array> {
  const found = tensors.get(`${caseId}/${name}`);
  if (!(found?.values instanceof Float32Array)) throw new Error(`expected F32 ${caseId}/${name}, got none`);
  return { shape: found.shape, values: found.values };
}

/** A stored tensor of indices. */
export function indices({ tensors }: GoldenGroup, caseId: string, name: string): Host<Uint32Array> {
  const found = tensors.get(`${caseId}/${name}`);
  if (!(found?.values instanceof Int32Array)) throw new Error(`expected I32 ${caseId}/${name}, got none`);
  return { shape: found.shape, values: Uint32Array.from(found.values) };
}

/** An input of a case that is a formula. */
export function formulaInput({ inputs }: GoldenCase, name: string): Host<Float32Array> {
  const input = inputs[name];
  if (typeof input !== 'object' || !('formula' in input))
    throw new Error(`expected ${name} to be a formula, got ${input}`);
  return { shape: input.shape, values: fill(input.stream, { fill: 'grid8', ...input }) };
}

/** G-1.4. */
export function fill(
  stream: string,
  { fill: how, exp = 0, shape }: Omit<FormulaTensor, 'check'>,
): Float32Array {
  const count = shape.reduce((product, length) => product * length, 1);
  const q = grid8(stream, count);
  const unit = 2 ** (exp - 7);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const element = q[i] as number;
    values[i] = how === 'gains' ? (64 + Math.floor(element / 4)) / 64 : element * unit;
  }
  return values;
}

/** G-1.2: SHA-256 over `dtype|shape|bytes`. */
export async function tensorHash({ shape, values }: Stored): Promise<string> {
  const dtype = values instanceof Float32Array ? 'F32' : 'I32';
  const head = new TextEncoder().encode(`${dtype}|${shape}|`);
  const bytes = new Uint8Array(head.length + values.byteLength);
  bytes.set(head);
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), head.length);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The rule of a stage: layers.3.keys@54+10 is judged as layers.*.keys. */
export function ruleOf({ manifest }: GoldenGroup, stage: string): StageRule {
  const rule = manifest.stages[(stage.split('@')[0] as string).replace(/\.\d+\./, '.*.')];
  if (rule === undefined) throw new Error(`expected a rule for stage ${stage}, got none`);
  return rule;
}
