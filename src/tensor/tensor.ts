// Tensors: immutable arrays on the GPU, row-major and contiguous. SPEC T-2.
//
// Two types, not one with a flag: Tensor holds f32 values, IndexTensor u32 indices, so that values cannot be passed
// as indices. Reading is the only thing here that waits.

import { GpuError, ShapeError } from './errors.ts';
import { type Gpu, settled } from './gpu.ts';
import { copyOut, submit, upload } from './kernel.ts';
import { allocate, collectOwners, disown, own, type Storage } from './memory.ts';
import { bufferUsage, mapForReading } from './webgpu-flags.ts';

/** An array on a device. */
export interface TensorOf<D extends 'f32' | 'u32' | 'f16'> {
  readonly gpu: Gpu;
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly storage: Storage;
}

export type Tensor = TensorOf<'f32'>;
export type IndexTensor = TensorOf<'u32'>;
export type AnyTensor = Tensor | IndexTensor;

/** Weights [rows, columns] as f16, packed two to a u32; columns are a multiple of 4. Only products and lookups read it. */
export type HalfMatrix = TensorOf<'f16'>;

/** A matrix of weights. It may be larger than what an adapter binds at once: kernels read it in blocks of rows. */
export type Matrix = Tensor | HalfMatrix;

type AxisName<P extends string> = P extends `${string} [${infer List}]` ? Split<List> : never;
type Split<L extends string> = L extends `${infer Name}, ${infer Rest}` ? Name | Split<Rest> : L;

/**
 * Reads the axes of `x` by name: dims(keys, 'keys [B, N, D]', { B }) returns B, N and D. SPEC T-2.4.
 * Throws ShapeError if the rank differs, if an axis is not the length already `known`, or if two axes of one name
 * differ.
 */
export function dims<P extends string>(
  x: { readonly shape: readonly number[] },
  pattern: P,
  known: { readonly [axis: string]: number } = {},
): Record<AxisName<P>, number> {
  const { label, names } = parsedPattern(pattern);
  const lengths: { [axis: string]: number } = { ...known };
  let fits = names.length === x.shape.length;
  for (let axis = 0; axis < names.length; axis++) {
    const name = names[axis] as string;
    const length = x.shape[axis] ?? -1;
    lengths[name] ??= length;
    if (lengths[name] !== length) fits = false;
  }
  if (fits) return lengths as Record<AxisName<P>, number>;
  const expected = names.map((name) => (name in known ? `${name}=${known[name]}` : name));
  throw new ShapeError(`expected ${label} [${expected.join(', ')}], got [${x.shape.join(', ')}]`);
}

// Every operation of every step asks; a pattern is read once.
const parsedPatterns = new Map<string, { label: string; names: readonly string[] }>();

function parsedPattern(pattern: string): { label: string; names: readonly string[] } {
  let parsed = parsedPatterns.get(pattern);
  if (parsed === undefined) {
    const [label, list] = pattern.slice(0, -1).split(' [') as [string, string];
    parsed = { label, names: list.split(', ') };
    parsedPatterns.set(pattern, parsed);
  }
  return parsed;
}

/** The number of elements of a shape; 1 for a shape without axes. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((count, length) => count * length, 1);
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((length, axis) => length === b[axis]);
}

export function checkShape(who: string, shape: readonly number[]): void {
  if (!shape.every((length) => Number.isSafeInteger(length) && length >= 0)) {
    throw new ShapeError(`${who}: expected whole, non-negative axes, got [${shape.join(', ')}]`);
  }
}

export function wrap<D extends 'f32' | 'u32' | 'f16'>(
  gpu: Gpu,
  dtype: D,
  shape: readonly number[],
  storage: Storage,
): TensorOf<D> {
  const tensor = { gpu, dtype, shape: Object.freeze([...shape]), storage };
  own(gpu.memory, tensor);
  return tensor;
}

function fromArray<D extends 'f32' | 'u32'>(
  gpu: Gpu,
  dtype: D,
  data: Float32Array | Uint32Array,
  shape: readonly number[],
): TensorOf<D> {
  const who = dtype === 'f32' ? 'tensor' : 'indexTensor';
  checkShape(who, shape);
  if (elementCount(shape) !== data.length) {
    throw new ShapeError(
      `${who}: expected ${elementCount(shape)} elements for [${shape.join(', ')}], got ${data.length}`,
    );
  }
  return wrap(gpu, dtype, shape, upload(gpu, data, who));
}

/** Uploads f32 values, row-major. Throws ShapeError if their number is not that of `shape`. SPEC T-2.1. */
export function tensor(gpu: Gpu, data: Float32Array, shape: readonly number[]): Tensor {
  if (!(data instanceof Float32Array)) throw new TypeError('tensor: expected a Float32Array');
  return fromArray(gpu, 'f32', data, shape);
}

/** Uploads u32 indices, row-major. Throws ShapeError if their number is not that of `shape`. SPEC T-2.1. */
export function indexTensor(gpu: Gpu, data: Uint32Array, shape: readonly number[]): IndexTensor {
  if (!(data instanceof Uint32Array)) throw new TypeError('indexTensor: expected a Uint32Array');
  return fromArray(gpu, 'u32', data, shape);
}

/** A tensor whose values a kernel is about to write, all of them. */
export function empty(gpu: Gpu, shape: readonly number[], who: string): Tensor {
  return wrap(gpu, 'f32', shape, allocate(gpu.memory, 4 * elementCount(shape), who));
}

/** An index tensor whose values a kernel is about to write, all of them. */
export function emptyIndices(gpu: Gpu, shape: readonly number[], who: string): IndexTensor {
  return wrap(gpu, 'u32', shape, allocate(gpu.memory, 4 * elementCount(shape), who));
}

/** The same values in the same order under another shape. Shares memory, copies nothing. SPEC T-2.3. */
export function reshape<T extends AnyTensor>(x: T, shape: readonly number[]): T {
  checkShape('reshape', shape);
  if (elementCount(shape) !== elementCount(x.shape)) {
    throw new ShapeError(`reshape: expected ${elementCount(x.shape)} elements, got [${shape.join(', ')}]`);
  }
  if (!x.gpu.memory.live.has(x)) throw new GpuError('reshape: expected a live tensor, got a disposed one');
  return wrap(x.gpu, x.dtype, shape, x.storage) as T;
}

/**
 * Gives memory back: of tensors, and of all tensors in records and arrays of any depth. Inside tidy() that happens by
 * itself. A second call does nothing. SPEC T-4.2.
 */
export function dispose(...values: readonly object[]): void {
  const found = new Set<unknown>();
  for (const value of values) collectOwners(value, found);
  for (const x of found) if (isTensor(x)) disown(x.gpu.memory, x);
}

function isTensor(x: unknown): x is AnyTensor {
  return typeof x === 'object' && x !== null && 'storage' in x && 'shape' in x;
}

type ArrayOf<T extends AnyTensor> = T extends Tensor ? Float32Array : Uint32Array;

/** Waits for the values of `x`. Throws GpuError if anything went wrong on the device since the last read. SPEC T-3.4. */
export async function read<T extends AnyTensor>(x: T): Promise<ArrayOf<T>> {
  const [values] = await readAll(x.gpu, [x]);
  return values as ArrayOf<T>;
}

/** Waits for the values of several tensors with a single mapping. */
export async function readAll<const T extends readonly AnyTensor[]>(
  gpu: Gpu,
  tensors: T,
): Promise<{ -readonly [I in keyof T]: ArrayOf<T[I]> }> {
  const offsets: number[] = [];
  let bytes = 0;
  for (const x of tensors) {
    if (!gpu.memory.live.has(x)) throw new GpuError('read: expected a live tensor, got a disposed one');
    offsets.push(bytes);
    bytes += 4 * elementCount(x.shape);
  }
  const data = bytes > 0 ? await readBytes(gpu, tensors, offsets, bytes) : new ArrayBuffer(0);
  await gpu.check();
  const arrays = tensors.map((x, i) => {
    const Values = x.dtype === 'f32' ? Float32Array : Uint32Array;
    return new Values(data, offsets[i], elementCount(x.shape));
  });
  return arrays as { -readonly [I in keyof T]: ArrayOf<T[I]> };
}

async function readBytes(
  gpu: Gpu,
  tensors: readonly AnyTensor[],
  offsets: readonly number[],
  bytes: number,
): Promise<ArrayBuffer> {
  const usage = bufferUsage.mapRead | bufferUsage.copyTarget;
  const staging = gpu.device.createBuffer({ label: 'read', size: bytes, usage });
  tensors.forEach((x, i) => {
    copyOut(gpu, x.storage, staging, offsets[i] as number, 4 * elementCount(x.shape));
  });
  submit(gpu);
  gpu.mapping.add(staging);
  try {
    await settled(gpu, staging.mapAsync(mapForReading));
    // The mapped memory does not outlive unmap().
    return staging.getMappedRange().slice(0);
  } catch (cause) {
    await gpu.check();
    throw new GpuError(`read: expected ${bytes} bytes from the device, got ${String(cause)}`, { cause });
  } finally {
    gpu.mapping.delete(staging);
    staging.destroy();
  }
}
