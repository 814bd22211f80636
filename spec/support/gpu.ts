// The one device of the test process. A suite that passes without running is worse than one that fails, so a missing
// adapter is an error.

import { type Gpu, openGpu } from '../../src/tensor/index.ts';

let opened: Promise<Gpu> | undefined;

/** Opens the device at the first call. */
export function testGpu(): Promise<Gpu> {
  opened ??= openGpu();
  return opened;
}

/** The device, if a test has asked for it. */
export function openedGpu(): Promise<Gpu> | undefined {
  return opened;
}
