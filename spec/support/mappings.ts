// Counts how often buffers are mapped for reading: each time is a round trip to the device. SPEC T-3.5.

import type { Gpu } from '../../src/tensor/index.ts';
import { bufferUsage } from '../../src/tensor/webgpu-flags.ts';

/** The number of mapAsync calls on buffers of any device until `block` is over. */
export async function countMappings(gpu: Gpu, block: () => unknown): Promise<number> {
  const probe = gpu.device.createBuffer({ label: 'probe', size: 4, usage: bufferUsage.mapRead });
  const prototype = Object.getPrototypeOf(probe) as GPUBuffer;
  probe.destroy();
  const mapAsync = prototype.mapAsync;
  let count = 0;
  prototype.mapAsync = function (this: GPUBuffer, ...bounds) {
    count++;
    return mapAsync.apply(this, bounds);
  };
  try {
    await block();
  } finally {
    prototype.mapAsync = mapAsync;
  }
  return count;
}
