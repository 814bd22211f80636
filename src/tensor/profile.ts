// How much time each kernel takes on the device. SPEC T-23.

import { GpuError } from './errors.ts';
import { type Gpu, settled } from './gpu.ts';
import { DISPATCHES_PER_SUBMIT, submit } from './kernel.ts';
import { createTimestamps, type Timestamps } from './timestamps.ts';
import { mapForReading } from './webgpu-flags.ts';

export interface KernelTime {
  readonly kernel: string;
  readonly dispatches: number;
  readonly milliseconds: number;
}

/** Begins to take the time of every dispatch. Throws GpuError if the adapter has no timestamp queries. */
export function startProfile(gpu: Gpu): void {
  if (!gpu.features.has('timestamp-query')) {
    throw new GpuError('startProfile: expected an adapter with timestamp-query, got one without');
  }
  submit(gpu);
  gpu.commands.timestamps ??= createTimestamps(gpu.device, DISPATCHES_PER_SUBMIT);
}

/** Waits for the work dispatched so far; returns the time of each kernel since startProfile, the largest first. */
export async function stopProfile(gpu: Gpu): Promise<KernelTime[]> {
  submit(gpu);
  const { timestamps } = gpu.commands;
  gpu.commands.timestamps = null;
  if (timestamps === null) return [];
  try {
    return await sumUp(gpu, timestamps);
  } finally {
    timestamps.querySet.destroy();
    for (const buffer of [timestamps.resolved, ...timestamps.batches.map(({ stamps }) => stamps)])
      buffer.destroy();
  }
}

async function sumUp(gpu: Gpu, { batches }: Timestamps): Promise<KernelTime[]> {
  await Promise.all(batches.map(({ stamps }) => settled(gpu, stamps.mapAsync(mapForReading))));
  const times = new Map<string, { dispatches: number; nanoseconds: number }>();
  for (const { names, stamps } of batches) {
    const values = new BigUint64Array(stamps.getMappedRange());
    names.forEach((name, i) => {
      const time = times.get(name) ?? { dispatches: 0, nanoseconds: 0 };
      time.dispatches++;
      time.nanoseconds += Number((values[2 * i + 1] ?? 0n) - (values[2 * i] ?? 0n));
      times.set(name, time);
    });
  }
  await gpu.check();
  return [...times]
    .map(([kernel, { dispatches, nanoseconds }]) => ({ kernel, dispatches, milliseconds: nanoseconds / 1e6 }))
    .sort((a, b) => b.milliseconds - a.milliseconds);
}
