// GPU memory: a pool of buffers, and tidy(), which gives back what a block of work left behind. SPEC T-4.
//
// V8 does not know how large a GPU buffer is, so nothing here is left to the garbage collector: a tensor holds
// one share of a storage, and the last share returns the storage to the free list of its size class. A buffer is
// destroyed when it held weights, which nobody else could use, when memory runs short, or when the device is closed.

import { GpuError } from './errors.ts';
import type { Gpu } from './gpu.ts';
import { bufferUsage } from './webgpu-flags.ts';

/** A buffer that tensors share. Reshaping shares it, too: tensors never change. */
export interface Storage {
  readonly id: number; //       names the buffer in the keys of cached bind groups
  readonly buffer: GPUBuffer;
  readonly capacity: number; // bytes, a size class if it is pooled
  readonly isPooled: boolean;
  shares: number;
}

/** Anything that owns a share of a storage. */
export interface Owner {
  readonly storage: Storage;
}

export interface Memory {
  readonly device: GPUDevice;
  readonly budgetBytes: number | null;
  readonly free: Map<number, Storage[]>;
  readonly live: Set<Owner>;
  readonly scopes: Set<Owner>[];
  readonly beforeDestroy: () => void; // sends what is queued, which may read pooled buffers
  readonly onDestroy: (storage: Storage) => void;
  readonly onOutOfMemory: (message: string) => void;
  nextId: number;
  allocatedBytes: number; // live and pooled
  pooledBytes: number;
  peakBytes: number; //      the most that was in use at once since the last watchPeak
  buffersHeld: number; //    live and pooled
  buffersMade: number;
}

export function createMemory(
  device: GPUDevice,
  budgetBytes: number | null,
  events: Pick<Memory, 'beforeDestroy' | 'onDestroy' | 'onOutOfMemory'>,
): Memory {
  return {
    device,
    budgetBytes,
    free: new Map(),
    live: new Set(),
    scopes: [],
    ...events,
    nextId: 0,
    allocatedBytes: 0,
    pooledBytes: 0,
    peakBytes: 0,
    buffersHeld: 0,
    buffersMade: 0,
  };
}

/**
 * The size that a request of `bytes` is rounded up to: four classes in each octave, at least 256 bytes. Few sizes
 * make reuse likely although a growing key-value cache asks for a new size at every step; at most a fifth of a
 * buffer is slack.
 */
export function sizeClass(bytes: number): number {
  const octave = 2 ** Math.floor(Math.log2(Math.max(bytes, 256)));
  const step = Math.max(octave / 4, 256);
  return Math.ceil(Math.max(bytes, 256) / step) * step;
}

/** Takes a storage of at least `bytes` from the pool, or makes one. Throws GpuError if memory does not suffice. */
export function allocate(memory: Memory, bytes: number, who: string): Storage {
  const capacity = sizeClass(bytes);
  const pooled = memory.free.get(capacity)?.pop();
  if (pooled !== undefined) {
    memory.pooledBytes -= capacity;
    notePeak(memory);
    return pooled;
  }
  const { maxBufferSize, maxStorageBufferBindingSize } = memory.device.limits;
  checkRoom(memory, capacity, Math.min(maxBufferSize, maxStorageBufferBindingSize), who);
  return makeStorage(memory, capacity, true, who);
}

/**
 * Makes a storage of its own for weights, which stay: not a size class, and as large as the adapter makes buffers, since
 * weights are bound in blocks. Throws GpuError if memory does not suffice.
 */
export function allocateWeights(memory: Memory, bytes: number, who: string): Storage {
  const capacity = Math.ceil(Math.max(bytes, 256) / 256) * 256;
  checkRoom(memory, capacity, memory.device.limits.maxBufferSize, who);
  return makeStorage(memory, capacity, false, who);
}

function makeStorage(memory: Memory, capacity: number, isPooled: boolean, who: string): Storage {
  const buffer = createBuffer(memory, capacity, who);
  memory.allocatedBytes += capacity;
  memory.buffersHeld++;
  memory.buffersMade++;
  notePeak(memory);
  return { id: memory.nextId++, buffer, capacity, isPooled, shares: 0 };
}

function notePeak(memory: Memory): void {
  memory.peakBytes = Math.max(memory.peakBytes, memory.allocatedBytes - memory.pooledBytes);
}

/** Begins to watch how many bytes are in use at once. The function returned tells the most so far. */
export function watchPeak({ memory }: Gpu): () => number {
  memory.peakBytes = 0;
  notePeak(memory);
  return () => memory.peakBytes;
}

function checkRoom(memory: Memory, capacity: number, largest: number, who: string): void {
  if (capacity > largest) {
    throw new GpuError(
      `${who}: expected a buffer of at most ${mebibytes(largest)}, got ${mebibytes(capacity)}`,
    );
  }
  if (memory.budgetBytes === null) return;
  const isFull = (bytes: number): boolean =>
    memory.allocatedBytes + capacity > bytes || memory.buffersHeld >= MOST_BUFFERS;
  if (isFull(memory.budgetBytes)) trim(memory);
  if (!isFull(memory.budgetBytes)) return;
  throw new GpuError(
    `${who}: expected at most ${mebibytes(memory.budgetBytes)} in ${MOST_BUFFERS} buffers, ` +
      `got ${mebibytes(memory.allocatedBytes)} in ${memory.buffersHeld} and ${mebibytes(capacity)} more`,
  );
}

// lavapipe maps each buffer by itself and crashes when the system, as Linux does at 65,530, refuses another mapping.
const MOST_BUFFERS = 30_000;

const LARGE = 16 * 2 ** 20;

function createBuffer(memory: Memory, size: number, who: string): GPUBuffer {
  const { device } = memory;
  const usage = bufferUsage.storage | bufferUsage.copySource | bufferUsage.copyTarget;
  if (size < LARGE) return device.createBuffer({ label: who, size, usage });
  device.pushErrorScope('out-of-memory');
  const buffer = device.createBuffer({ label: who, size, usage });
  device.popErrorScope().then(
    (error) => {
      if (error !== null)
        memory.onOutOfMemory(`${who}: expected room for ${mebibytes(size)}, got ${error.message}`);
    },
    () => undefined, // the device went away; its own promise tells
  );
  return buffer;
}

/** Destroys every pooled buffer. Their memory comes back with the next submit. */
export function trim(memory: Memory): void {
  memory.beforeDestroy();
  for (const storages of memory.free.values()) for (const storage of storages) destroy(memory, storage);
  memory.free.clear();
  memory.pooledBytes = 0;
}

function destroy(memory: Memory, storage: Storage): void {
  memory.onDestroy(storage);
  storage.buffer.destroy();
  memory.allocatedBytes -= storage.capacity;
  memory.buffersHeld--;
}

/** Counts `owner` in, as one more share of its storage, in the innermost tidy block. */
export function own(memory: Memory, owner: Owner): void {
  owner.storage.shares++;
  memory.live.add(owner);
  memory.scopes.at(-1)?.add(owner);
}

/** Gives the share of `owner` back. A second call does nothing. */
export function disown(memory: Memory, owner: Owner): void {
  if (!memory.live.delete(owner)) return;
  memory.scopes.at(-1)?.delete(owner);
  const { storage } = owner;
  if (--storage.shares > 0) return;
  if (!storage.isPooled) {
    memory.beforeDestroy();
    destroy(memory, storage);
    return;
  }
  const storages = memory.free.get(storage.capacity) ?? [];
  memory.free.set(storage.capacity, storages);
  storages.splice(placeOf(storage, storages), 0, storage);
  memory.pooledBytes += storage.capacity;
}

/**
 * Free storages stand by falling id, so that the oldest is taken next whatever the order of freeing: then a step that
 * is repeated takes the same buffers again, and finds its bind groups.
 */
function placeOf({ id }: Storage, storages: readonly Storage[]): number {
  let [low, high] = [0, storages.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((storages[middle] as Storage).id > id) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Runs `block`, and frees every tensor that it made and did not return. What it returns may be a tensor or records
 * and arrays of tensors, of any depth; the surrounding tidy block, if there is one, becomes their owner.
 */
export function tidy<T>(gpu: Gpu, block: () => T): T {
  const { memory } = gpu;
  const made = new Set<Owner>();
  memory.scopes.push(made);
  const kept = new Set<unknown>();
  try {
    const result = block();
    if (result instanceof Promise)
      throw new TypeError('tidy: expected a block that ends at once, got a promise');
    collectOwners(result, kept);
    return result;
  } catch (error) {
    kept.clear();
    throw error;
  } finally {
    memory.scopes.pop();
    for (const owner of made) {
      if (kept.has(owner)) memory.scopes.at(-1)?.add(owner);
      else disown(memory, owner);
    }
  }
}

/** Finds every tensor in records and arrays of any depth. */
export function collectOwners(value: unknown, into: Set<unknown>): void {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || into.has(value)) return;
  into.add(value);
  if ('storage' in value && 'shape' in value) return;
  for (const part of Object.values(value)) collectOwners(part, into);
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** How many bytes tensors may still take; null where there is no limit. */
export function roomBytes({ memory }: Gpu): number | null {
  if (memory.budgetBytes === null) return null;
  return memory.budgetBytes - memory.allocatedBytes + memory.pooledBytes;
}

/** Throws GpuError, before anything is made, if `bytes` more will not fit. For what is known to come. */
export function checkBudget(gpu: Gpu, bytes: number, who: string): void {
  const room = roomBytes(gpu);
  if (room !== null && bytes > room)
    throw new GpuError(`${who}: expected to need at most ${mebibytes(room)}, got ${mebibytes(bytes)}`);
}
