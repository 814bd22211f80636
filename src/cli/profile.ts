// --profile: the time that each kernel takes on the device. SPEC B-2.

import { type Gpu, type KernelTime, startProfile, stopProfile } from '../tensor/index.ts';
import { aligned } from './bench-table.ts';

/** Runs `block`, and takes the time of its kernels if `isWanted`. Throws GpuError on an adapter without timestamps. */
export async function profiled<T>(
  gpu: Gpu,
  isWanted: boolean,
  block: () => Promise<T>,
): Promise<{ readonly value: T; readonly profile: readonly KernelTime[] | undefined }> {
  if (!isWanted) return { value: await block(), profile: undefined };
  startProfile(gpu);
  try {
    const value = await block();
    return { value, profile: await stopProfile(gpu) };
  } catch (error) {
    await stopProfile(gpu).catch(() => undefined); // the first error is the one that tells
    throw error;
  }
}

/** The kernels, the one that takes most time first. */
export function profileTable(profile: readonly KernelTime[]): string {
  const total = profile.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const rows = profile.map(({ kernel, dispatches, milliseconds }) => [
    kernel,
    String(dispatches),
    milliseconds.toFixed(2),
    `${((100 * milliseconds) / total).toFixed(1)} %`,
  ]);
  return aligned([['kernel', 'dispatches', 'ms', 'share'], ...rows]);
}
