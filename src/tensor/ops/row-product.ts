// Products of few rows with the rows of b. SPEC T-7, T-20.3.
//
//     c[m, n] = Σₖ a[m, k] · b[n, k] + bias[n] + residual[m, n]        b in f32 or packed f16
//
// With few rows of a every weight is used but a few times, so what counts is to read b once and in order: a workgroup owns
// 8 columns of one row of c, its lanes divide K, neighbours reading neighbours, and add up at the end (row-kernel.ts).
// Both weight types make the same sums in the same order.

import { flatGroup, wgsl } from '../kernel.ts';
import { type RowKernel, rowKernel } from '../row-kernel.ts';

export const transposedRowKernel: RowKernel = rowKernel(
  'transposedRow',
  wgsl`
    // Of each matrix of b the first N of bRows rows count. The N columns stand from firstColumn on in rows of width elements.
    struct Params {
      batchCount: u32, M: u32, N: u32, K: u32, sharing: u32, bRows: u32, hasBias: u32, firstColumn: u32, width: u32,
      hasResidual: u32,
    }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<vec4f>;      // [batchCount, M, K / 4]
    @group(0) @binding(2) var<storage, read> b: array<vec4f>;      // [batchCount / sharing, bRows, K / 4]
    @group(0) @binding(3) var<storage, read> bias: array<f32>;     // [width], or anything if hasBias is 0
    @group(0) @binding(4) var<storage, read> residual: array<f32>; // [batchCount, M, width], or anything if hasResidual is 0
    @group(0) @binding(5) var<storage, read_write> c: array<f32>;  // [batchCount, M, width]

    ${flatGroup}

    @compute @workgroup_size(lanes)
    fn main(
      @builtin(workgroup_id) id: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(local_invocation_index) lane: u32,
    ) {
      let quads = params.K / 4u;
      let blocks = (params.N + 7u) / 8u;
      let block = flatGroup(id, groups);
      let row = block / blocks;  // batch · M + m
      if (row >= params.batchCount * params.M) { return; }
      let column = block % blocks * 8u;
      let bFirst = row / params.M / params.sharing * params.bRows * quads;

      var sum: array<f32, 8>;
      for (var k = lane; k < quads; k += lanes) {
        let x = a[row * quads + k];
        for (var i = 0u; i < 8u; i++) {
          let weights = b[bFirst + min(column + i, params.N - 1u) * quads + k];
          sum[i] += dot(x, weights);
        }
      }

      var total = groupSumsOf8(lane, sum);
      if (lane < 8u && column + lane < params.N) {
        let place = params.firstColumn + column + lane;
        if (params.hasBias == 1u) { total += bias[place]; }
        if (params.hasResidual == 1u) { total += residual[row * params.width + place]; }
        c[row * params.width + place] = total;
      }
    }
  `,
);

export const halfRowKernel: RowKernel = rowKernel(
  'halfRow',
  wgsl`
    // Of each matrix of b the first N of bRows rows count. The N columns stand from firstColumn on in rows of width elements.
    struct Params {
      batchCount: u32, M: u32, N: u32, K: u32, sharing: u32, bRows: u32, hasBias: u32, firstColumn: u32, width: u32,
      hasResidual: u32,
    }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<vec4f>;      // [batchCount, M, K / 4]
    @group(0) @binding(2) var<storage, read> b: array<vec2u>;      // [batchCount / sharing, bRows, K / 4]
    @group(0) @binding(3) var<storage, read> bias: array<f32>;     // [width], or anything if hasBias is 0
    @group(0) @binding(4) var<storage, read> residual: array<f32>; // [batchCount, M, width], or anything if hasResidual is 0
    @group(0) @binding(5) var<storage, read_write> c: array<f32>;  // [batchCount, M, width]

    ${flatGroup}

    @compute @workgroup_size(lanes)
    fn main(
      @builtin(workgroup_id) id: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(local_invocation_index) lane: u32,
    ) {
      let quads = params.K / 4u;
      let blocks = (params.N + 7u) / 8u;
      let block = flatGroup(id, groups);
      let row = block / blocks;  // batch · M + m
      if (row >= params.batchCount * params.M) { return; }
      let column = block % blocks * 8u;
      let bFirst = row / params.M / params.sharing * params.bRows * quads;

      var sum: array<f32, 8>;
      for (var k = lane; k < quads; k += lanes) {
        let x = a[row * quads + k];
        for (var i = 0u; i < 8u; i++) {
          let packed = b[bFirst + min(column + i, params.N - 1u) * quads + k];
          sum[i] += dot(x, vec4f(unpack2x16float(packed.x), unpack2x16float(packed.y)));
        }
      }

      var total = groupSumsOf8(lane, sum);
      if (lane < 8u && column + lane < params.N) {
        let place = params.firstColumn + column + lane;
        if (params.hasBias == 1u) { total += bias[place]; }
        if (params.hasResidual == 1u) { total += residual[row * params.width + place]; }
        c[row * params.width + place] = total;
      }
    }
  `,
);
