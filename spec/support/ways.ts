// In which way the goldens are computed: scripts/golden-ensemble.mjs goes through all. A page has no environment and takes the usual one.

import type { LoadOptions } from '../../src/models/index.ts';
import type { GpuOptions } from '../../src/tensor/index.ts';

const { SPEC_KERNELS = 'fastest', SPEC_WEIGHTS = 'stored' } =
  globalThis.process === undefined ? {} : process.env;

/** SPEC_KERNELS=portable: kernels that run on every adapter. */
export const kernels: GpuOptions = SPEC_KERNELS === 'portable' ? { subgroups: false } : {};

/** SPEC_WEIGHTS=f32 or f16: how matrices are held, instead of as they are stored. */
export const weights: NonNullable<LoadOptions['weights']> =
  SPEC_WEIGHTS === 'f32' || SPEC_WEIGHTS === 'f16' ? SPEC_WEIGHTS : 'stored';
