// When each dispatch began and ended, by timestamp queries. SPEC T-23.
//
// While they are taken, every dispatch is a pass of its own, so that the two stamps enclose nothing else.

import { bufferUsage } from './webgpu-flags.ts';

/** The stamps of one batch, on their way to the host. */
interface StampedBatch {
  readonly names: readonly string[]; // kernels, in order of dispatch
  readonly stamps: GPUBuffer; //        two u64 for each, in nanoseconds
}

export interface Timestamps {
  readonly device: GPUDevice;
  readonly querySet: GPUQuerySet;
  readonly resolved: GPUBuffer;
  readonly batches: StampedBatch[];
  names: string[]; // of the batch that is being encoded
}

const STAMP_BYTES = 8;

export function createTimestamps(device: GPUDevice, dispatchesPerBatch: number): Timestamps {
  const count = 2 * dispatchesPerBatch;
  return {
    device,
    querySet: device.createQuerySet({ type: 'timestamp', count }),
    resolved: device.createBuffer({
      label: 'timestamps',
      size: count * STAMP_BYTES,
      usage: bufferUsage.queryResolve | bufferUsage.copySource,
    }),
    batches: [],
    names: [],
  };
}

/** What the pass of the next dispatch has to write. */
export function stampNext(timestamps: Timestamps, name: string): GPUComputePassTimestampWrites {
  const first = 2 * timestamps.names.length;
  timestamps.names.push(name);
  return {
    querySet: timestamps.querySet,
    beginningOfPassWriteIndex: first,
    endOfPassWriteIndex: first + 1,
  };
}

/** Appends to a batch what brings its stamps to the host. */
export function collectStamps(timestamps: Timestamps, encoder: GPUCommandEncoder): void {
  const { device, querySet, resolved, names, batches } = timestamps;
  if (names.length === 0) return;
  const size = 2 * names.length * STAMP_BYTES;
  const usage = bufferUsage.mapRead | bufferUsage.copyTarget;
  const stamps = device.createBuffer({ label: 'timestamps', size, usage });
  encoder.resolveQuerySet(querySet, 0, 2 * names.length, resolved, 0);
  encoder.copyBufferToBuffer(resolved, 0, stamps, 0, size);
  batches.push({ names, stamps });
  timestamps.names = [];
}
