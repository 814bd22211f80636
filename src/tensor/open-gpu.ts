// Opening a device, and asking it what is not to be believed. SPEC T-1, T-28.2.

import { type Gpu, type GpuOptions, openDevice } from './gpu.ts';
import { bySubgroupMatrix, productIsRight } from './ops/subgroup-matrix-test.ts';

/**
 * Opens the adapter that suits heavy work best, as openDevice does, and tests the tensor-core product where
 * `subgroupMatrix` asks for it and the adapter has it: `gpu.subgroupMatrix` tells. Throws GpuError if there is no device.
 */
export async function openGpu(options: GpuOptions = {}): Promise<Gpu> {
  const gpu = await openDevice(options);
  if (gpu.subgroupMatrix !== 'untested') return gpu;
  gpu.subgroupMatrix = (await productIsRight(gpu, bySubgroupMatrix)) ? 'passed' : 'failed';
  return gpu;
}
