// Tiles of matrix products for software adapters whose subgroups have 8 lanes. SPEC T-22.
//
//     c[m, n] = Σₖ a[m, k] · b[n, k] + bias[n]        b in f32 or packed f16
//     c[m, n] = Σₖ a[m, k] · b[k, n]
//
// One subgroup is one workgroup and owns 16 rows of c and 16 or 32 columns. On such adapters a load costs more than the
// arithmetic on what it brings, so each lane loads rows of its own and the lanes pass them round: no workgroup memory, no
// barriers. Both weight types make the same sums in the same order, as T-20.3 asks.

import { flatGroup, type Kernel, wgsl } from '../kernel.ts';

export const subgroupTransposedKernel: Kernel = {
  name: 'subgroupTransposed',
  code: wgsl`
    enable subgroups;

    // Of each matrix of b the first N of bRows rows count. The N columns stand from firstColumn on in rows of width elements.
    struct Params {
      batchCount: u32, M: u32, N: u32, K: u32, sharing: u32, bRows: u32, hasBias: u32, firstColumn: u32, width: u32,
    }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<vec4f>;      // [batchCount, M, K / 4]
    @group(0) @binding(2) var<storage, read> b: array<vec4f>;      // [batchCount / sharing, bRows, K / 4]
    @group(0) @binding(3) var<storage, read> bias: array<f32>;     // [width], or anything if hasBias is 0
    @group(0) @binding(4) var<storage, read_write> c: array<f32>;  // [batchCount, M, width]

    ${flatGroup}

    // A lane loads rows row + lane and row + 8 + lane of a, and owns columns column and column + 8 of c.
    @compute @workgroup_size(8)
    fn main(
      @builtin(workgroup_id) id: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(subgroup_invocation_id) lane: u32,
    ) {
      let quads = params.K / 4u;
      let tilesAcross = (params.N + 15u) / 16u;
      let tilesDown = (params.M + 15u) / 16u;
      let tile = flatGroup(id, groups);
      let batch = tile / (tilesAcross * tilesDown);
      if (batch >= params.batchCount) { return; }
      let row = tile % tilesDown * 16u;
      let column = tile / tilesDown % tilesAcross * 16u + lane;

      let aFirst = batch * params.M;
      let bFirst = batch / params.sharing * params.bRows;
      let upper = (aFirst + min(row + lane, params.M - 1u)) * quads;
      let lower = (aFirst + min(row + 8u + lane, params.M - 1u)) * quads;
      let left = (bFirst + min(column, params.N - 1u)) * quads;
      let right = (bFirst + min(column + 8u, params.N - 1u)) * quads;

      var sum: array<vec2f, 16>;
      for (var k = 0u; k < quads; k++) {
        let bLeft = b[left + k];
        let bRight = b[right + k];
        let aUpper = a[upper + k];
        let aLower = a[lower + k];
        for (var i = 0u; i < 8u; i++) {
          let above = subgroupShuffle(aUpper, i);
          sum[i] += vec2f(dot(above, bLeft), dot(above, bRight));
          let below = subgroupShuffle(aLower, i);
          sum[i + 8u] += vec2f(dot(below, bLeft), dot(below, bRight));
        }
      }

      let place = params.firstColumn + column;
      var shift = vec2f();
      if (params.hasBias == 1u) {
        shift = vec2f(bias[min(place, params.width - 1u)], bias[min(place + 8u, params.width - 1u)]);
      }
      for (var i = 0u; i < 16u; i++) {
        let m = row + i;
        if (m < params.M) {
          let first = (aFirst + m) * params.width + place;
          if (column < params.N) { c[first] = sum[i].x + shift.x; }
          if (column + 8u < params.N) { c[first + 8u] = sum[i].y + shift.y; }
        }
      }
    }
  `,
};

export const subgroupHalfKernel: Kernel = {
  name: 'subgroupHalf',
  code: wgsl`
    enable subgroups;

    // Of each matrix of b the first N of bRows rows count. The N columns stand from firstColumn on in rows of width elements.
    struct Params {
      batchCount: u32, M: u32, N: u32, K: u32, sharing: u32, bRows: u32, hasBias: u32, firstColumn: u32, width: u32,
    }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<vec4f>;      // [batchCount, M, K / 4]
    @group(0) @binding(2) var<storage, read> b: array<vec2u>;      // [batchCount / sharing, bRows, K / 4]
    @group(0) @binding(3) var<storage, read> bias: array<f32>;     // [width], or anything if hasBias is 0
    @group(0) @binding(4) var<storage, read_write> c: array<f32>;  // [batchCount, M, width]

    ${flatGroup}

    // A lane loads rows row + lane and row + 8 + lane of a, and owns columns column and column + 8 of c.
    @compute @workgroup_size(8)
    fn main(
      @builtin(workgroup_id) id: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(subgroup_invocation_id) lane: u32,
    ) {
      let quads = params.K / 4u;
      let tilesAcross = (params.N + 15u) / 16u;
      let tilesDown = (params.M + 15u) / 16u;
      let tile = flatGroup(id, groups);
      let batch = tile / (tilesAcross * tilesDown);
      if (batch >= params.batchCount) { return; }
      let row = tile % tilesDown * 16u;
      let column = tile / tilesDown % tilesAcross * 16u + lane;

      let aFirst = batch * params.M;
      let bFirst = batch / params.sharing * params.bRows;
      let upper = (aFirst + min(row + lane, params.M - 1u)) * quads;
      let lower = (aFirst + min(row + 8u + lane, params.M - 1u)) * quads;
      let left = (bFirst + min(column, params.N - 1u)) * quads;
      let right = (bFirst + min(column + 8u, params.N - 1u)) * quads;

      var sum: array<vec2f, 16>;
      for (var k = 0u; k < quads; k++) {
        let packedLeft = b[left + k];
        let packedRight = b[right + k];
        let bLeft = vec4f(unpack2x16float(packedLeft.x), unpack2x16float(packedLeft.y));
        let bRight = vec4f(unpack2x16float(packedRight.x), unpack2x16float(packedRight.y));
        let aUpper = a[upper + k];
        let aLower = a[lower + k];
        for (var i = 0u; i < 8u; i++) {
          let above = subgroupShuffle(aUpper, i);
          sum[i] += vec2f(dot(above, bLeft), dot(above, bRight));
          let below = subgroupShuffle(aLower, i);
          sum[i + 8u] += vec2f(dot(below, bLeft), dot(below, bRight));
        }
      }

      let place = params.firstColumn + column;
      var shift = vec2f();
      if (params.hasBias == 1u) {
        shift = vec2f(bias[min(place, params.width - 1u)], bias[min(place + 8u, params.width - 1u)]);
      }
      for (var i = 0u; i < 16u; i++) {
        let m = row + i;
        if (m < params.M) {
          let first = (aFirst + m) * params.width + place;
          if (column < params.N) { c[first] = sum[i].x + shift.x; }
          if (column + 8u < params.N) { c[first + 8u] = sum[i].y + shift.y; }
        }
      }
    }
  `,
};

export const subgroupMatmulKernel: Kernel = {
  name: 'subgroupMatmul',
  code: wgsl`
    enable subgroups;

    // Of each matrix of b the first K of bRows rows count.
    struct Params { batchCount: u32, M: u32, N: u32, K: u32, sharing: u32, bRows: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<f32>;          // [batchCount, M, K]
    @group(0) @binding(2) var<storage, read> b: array<vec4f>;        // [batchCount / sharing, bRows, N / 4]
    @group(0) @binding(3) var<storage, read_write> c: array<vec4f>;  // [batchCount, M, N / 4]

    ${flatGroup}

    // A lane loads rows row + lane and row + 8 + lane of a, and owns one quad of columns of c.
    @compute @workgroup_size(8)
    fn main(
      @builtin(workgroup_id) id: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(subgroup_invocation_id) lane: u32,
    ) {
      let quads = params.N / 4u;
      let tilesAcross = (quads + 7u) / 8u;
      let tilesDown = (params.M + 15u) / 16u;
      let tile = flatGroup(id, groups);
      let batch = tile / (tilesAcross * tilesDown);
      if (batch >= params.batchCount) { return; }
      let row = tile % tilesDown * 16u;
      let quad = tile / tilesDown % tilesAcross * 8u + lane;

      let aFirst = batch * params.M;
      let upper = (aFirst + min(row + lane, params.M - 1u)) * params.K;
      let lower = (aFirst + min(row + 8u + lane, params.M - 1u)) * params.K;
      let bFirst = batch / params.sharing * params.bRows * quads + min(quad, quads - 1u);

      var sum: array<vec4f, 16>;
      for (var k = 0u; k < params.K; k++) {
        let bQuad = b[bFirst + k * quads];
        let aUpper = a[upper + k];
        let aLower = a[lower + k];
        for (var i = 0u; i < 8u; i++) {
          sum[i] += subgroupShuffle(aUpper, i) * bQuad;
          sum[i + 8u] += subgroupShuffle(aLower, i) * bQuad;
        }
      }

      for (var i = 0u; i < 16u; i++) {
        let m = row + i;
        if (m < params.M && quad < quads) { c[(aFirst + m) * quads + quad] = sum[i]; }
      }
    }
  `,
};
