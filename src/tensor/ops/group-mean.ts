// The mean of the rows of each group. SPEC T-15.
//
//     y[b, g, c] = Σ x[b, s, c] / count      over the s with group[b, s] = g; 0 for a group without members
//
// One invocation owns one channel of one group and walks all rows, front to back.

import { flatIndex, type Kernel, runKernel, u32, wgsl } from '../kernel.ts';
import { dims, empty, type IndexTensor, type Tensor } from '../tensor.ts';

const groupMeanKernel: Kernel = {
  name: 'groupMean',
  code: wgsl`
    struct Params { B: u32, S: u32, C: u32, groupCount: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<f32>;        // [B, S, C]
    @group(0) @binding(2) var<storage, read> group: array<u32>;    // [B, S]
    @group(0) @binding(3) var<storage, read_write> y: array<f32>;  // [B, groupCount, C]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.B * params.groupCount * params.C) { return; }
      let c = i % params.C;
      let g = i / params.C % params.groupCount;
      let first = i / params.C / params.groupCount * params.S;

      var sum = 0.0;
      var count = 0u;
      for (var s = first; s < first + params.S; s++) {
        if (group[s] == g) {
          sum += x[s * params.C + c];
          count += 1u;
        }
      }
      y[i] = sum / f32(max(count, 1u));
    }
  `,
};

/** The mean row of each group: x [B, S, C], group [B, S] with values below groupCount → [B, groupCount, C]. */
export function groupMean(x: Tensor, group: IndexTensor, groupCount: number): Tensor {
  const { B, S, C } = dims(x, 'x [B, S, C]');
  dims(group, 'group [B, S]', { B, S });
  return runKernel(x.gpu, groupMeanKernel, {
    params: [u32(B), u32(S), u32(C), u32(groupCount)],
    inputs: [x, group],
    output: empty(x.gpu, [B, groupCount, C], 'groupMean'), // [B, groupCount, C]
    groups: Math.ceil((B * groupCount * C) / 64),
  });
}
