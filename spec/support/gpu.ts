// The devices of the test process: the adapter's, and the same without subgroups, whose kernels are those of most GPUs. A
// suite that passes without running is worse than one that fails, so a missing adapter is an error.

import { type Gpu, openGpu } from '../../src/tensor/index.ts';
import { kernels } from './ways.ts';

const opened: { usual?: Promise<Gpu>; portable?: Promise<Gpu> } = {};

/** Opens the device at the first call. */
export function testGpu(): Promise<Gpu> {
  opened.usual ??= openGpu(kernels);
  return opened.usual;
}

/** A device on which no kernel uses subgroups. */
export function portableGpu(): Promise<Gpu> {
  opened.portable ??= openGpu({ subgroups: false });
  return opened.portable;
}

/** Both, for what has kernels of its own on each: `describe.each(await bothGpus())('..., by %s', (_, gpu) => ...)`. */
export async function bothGpus(): Promise<readonly [string, Gpu][]> {
  return [
    ['the fastest kernels here', await testGpu()],
    ['kernels for every adapter', await portableGpu()],
  ];
}

/** The devices that tests have asked for. */
export function openedGpus(): Promise<Gpu[]> {
  return Promise.all(Object.values(opened));
}
