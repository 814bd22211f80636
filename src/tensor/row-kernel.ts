// Kernels that add up or compare what several lanes found: one text, and two ways to bring the lanes together. SPEC T-22.
//
// Everywhere a workgroup of 64 lanes combines in a tree over workgroup memory. On a software adapter a barrier costs more
// than the arithmetic between two of them, so there a subgroup of 8 lanes is the whole workgroup, and needs none. Either
// way the order of a sum never varies.

import type { Gpu } from './gpu.ts';
import { type Kernel, wgsl } from './kernel.ts';

/** A kernel in both forms. Its text uses `lanes`, the size of a workgroup, and the functions below. */
export interface RowKernel {
  readonly byTree: Kernel;
  readonly bySubgroup: Kernel;
}

/** WGSL: groupSum and groupMax give every lane the sum or maximum of `value` over the 64 lanes of a workgroup. */
export const treeReduce: string = wgsl`
    const lanes = 64u;
    var<workgroup> partial: array<f32, 64>;

    fn groupSum(lane: u32, value: f32) -> f32 {
      workgroupBarrier();
      partial[lane] = value;
      for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) { partial[lane] += partial[lane + half]; }
      }
      workgroupBarrier();
      return partial[0];
    }

    fn groupMax(lane: u32, value: f32) -> f32 {
      workgroupBarrier();
      partial[lane] = value;
      for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) { partial[lane] = max(partial[lane], partial[lane + half]); }
      }
      workgroupBarrier();
      return partial[0];
    }

    var<workgroup> partsOf8: array<array<f32, 8>, 64>;

    // Lane i < 8 gets the sum of values[i] over all lanes.
    fn groupSumsOf8(lane: u32, values: array<f32, 8>) -> f32 {
      partsOf8[lane] = values;
      workgroupBarrier();
      var sum = 0.0;
      for (var part = 0u; part < 8u; part++) { sum += partsOf8[lane / 8u * 8u + part][lane % 8u]; }
      workgroupBarrier();
      partial[lane] = sum;
      workgroupBarrier();
      sum = 0.0;
      for (var part = 0u; part < 8u; part++) { sum += partial[part * 8u + lane % 8u]; }
      return sum;
    }
`;

/** WGSL: the same for a workgroup that is one subgroup of 8 lanes. */
export const subgroupReduce: string = wgsl`
    enable subgroups;

    const lanes = 8u;

    fn groupSum(lane: u32, value: f32) -> f32 { return subgroupAdd(value); }
    fn groupMax(lane: u32, value: f32) -> f32 { return subgroupMax(value); }

    // Lane i gets the sum of values[i] over all lanes.
    fn groupSumsOf8(lane: u32, values: array<f32, 8>) -> f32 {
      var sum = 0.0;
      for (var i = 0u; i < 8u; i++) {
        let all = subgroupAdd(values[i]);
        if (lane == i) { sum = all; }
      }
      return sum;
    }
`;

/** Both forms of a kernel whose `body` is the text without the functions above. */
export function rowKernel(name: string, body: string): RowKernel {
  return {
    byTree: { name, code: treeReduce + body },
    bySubgroup: { name: `${name}BySubgroup`, code: subgroupReduce + body },
  };
}

/** The form that is the faster one on this device. */
export function formOf({ byTree, bySubgroup }: RowKernel, gpu: Gpu): Kernel {
  return lanesShare(gpu) ? bySubgroup : byTree;
}

/** Whether the lanes of a subgroup are the cheap way to share a value here. SPEC T-22.1. */
export function lanesShare({ adapter, subgroupSize }: Gpu): boolean {
  return adapter.software && subgroupSize === 8;
}
