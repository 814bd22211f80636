// Tiles of matrix products for every adapter. SPEC T-7, T-20.3.
//
//     c[m, n] = Σₖ a[m, k] · b[n, k] + bias[n]        b in f32 or packed f16
//     c[m, n] = Σₖ a[m, k] · b[k, n]
//
// A workgroup owns 64 × 64 elements of c and walks K in steps of 16: its 64 invocations bring that much of 64 rows of a
// and 64 columns of b into workgroup memory, then each adds to the 8 × 8 elements that it keeps in registers. Rows and
// columns beyond the edge are clamped, not stored; behind the end of K stand zeros. Two f16 weights come from one u32 by
// unpack2x16float, which is core WGSL and exact: no adapter needs shader-f16, and the sums are those of f32 to the bit.

import { flatGroup, type Kernel, wgsl } from '../kernel.ts';

export const transposedTileKernel: Kernel = {
  name: 'transposedTile',
  code: wgsl`
    // Of each matrix of b the first N of bRows rows count. The N columns stand from firstColumn on in rows of width elements.
    struct Params {
      batchCount: u32, M: u32, N: u32, K: u32, sharing: u32, bRows: u32, hasBias: u32, firstColumn: u32, width: u32,
    }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<vec4f>;      // [batchCount, M, K / 4]
    @group(0) @binding(2) var<storage, read> b: array<vec4f>;      // [batchCount / sharing, bRows, K / 4]
    @group(0) @binding(3) var<storage, read> bias: array<f32>;     // [width], or anything if hasBias is 0
    @group(0) @binding(4) var<storage, read_write> c: array<f32>;  // [batchCount, M, width]

    // 64 rows of 4 quads each; a fifth one, unused, keeps neighbours off the same memory bank.
    var<workgroup> aTile: array<array<vec4f, 5>, 64>;
    var<workgroup> bTile: array<array<vec4f, 5>, 64>;

    ${flatGroup}

    // An invocation owns rows row + lane.y + 8 i and columns column + lane.x + 8 j.
    @compute @workgroup_size(8, 8)
    fn main(
      @builtin(workgroup_id) id: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(local_invocation_id) lane: vec3u,
      @builtin(local_invocation_index) index: u32,
    ) {
      let quads = params.K / 4u;
      let tilesAcross = (params.N + 63u) / 64u;
      let tilesDown = (params.M + 63u) / 64u;
      let tile = flatGroup(id, groups);
      let batch = tile / (tilesAcross * tilesDown);
      if (batch >= params.batchCount) { return; }
      let row = tile / tilesAcross % tilesDown * 64u;
      let column = tile % tilesAcross * 64u;
      let aFirst = batch * params.M;
      let bFirst = batch / params.sharing * params.bRows;

      var sum: array<array<f32, 8>, 8>;
      for (var first = 0u; first < quads; first += 4u) {
        for (var i = index; i < 256u; i += 64u) {
          let k = first + i % 4u;
          if (k < quads) {
            aTile[i / 4u][i % 4u] = a[(aFirst + min(row + i / 4u, params.M - 1u)) * quads + k];
            bTile[i / 4u][i % 4u] = b[(bFirst + min(column + i / 4u, params.N - 1u)) * quads + k];
          } else {
            aTile[i / 4u][i % 4u] = vec4f();
            bTile[i / 4u][i % 4u] = vec4f();
          }
        }
        workgroupBarrier();
        for (var k = 0u; k < 4u; k++) {
          var bQuad: array<vec4f, 8>;
          for (var j = 0u; j < 8u; j++) { bQuad[j] = bTile[lane.x + 8u * j][k]; }
          for (var i = 0u; i < 8u; i++) {
            let aQuad = aTile[lane.y + 8u * i][k];
            for (var j = 0u; j < 8u; j++) { sum[i][j] += dot(aQuad, bQuad[j]); }
          }
        }
        workgroupBarrier();
      }

      for (var j = 0u; j < 8u; j++) {
        let n = column + lane.x + 8u * j;
        if (n < params.N) {
          let place = params.firstColumn + n;
          var shift = 0.0;
          if (params.hasBias == 1u) { shift = bias[place]; }
          for (var i = 0u; i < 8u; i++) {
            let m = row + lane.y + 8u * i;
            if (m < params.M) { c[(aFirst + m) * params.width + place] = sum[i][j] + shift; }
          }
        }
      }
    }
  `,
};

export const halfTileKernel: Kernel = {
  name: 'halfTile',
  code: wgsl`
    // Of each matrix of b the first N of bRows rows count. The N columns stand from firstColumn on in rows of width elements.
    struct Params {
      batchCount: u32, M: u32, N: u32, K: u32, sharing: u32, bRows: u32, hasBias: u32, firstColumn: u32, width: u32,
    }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<vec4f>;      // [batchCount, M, K / 4]
    @group(0) @binding(2) var<storage, read> b: array<vec2u>;      // [batchCount / sharing, bRows, K / 4]
    @group(0) @binding(3) var<storage, read> bias: array<f32>;     // [width], or anything if hasBias is 0
    @group(0) @binding(4) var<storage, read_write> c: array<f32>;  // [batchCount, M, width]

    // 64 rows of 4 quads each; a fifth one, unused, keeps neighbours off the same memory bank.
    var<workgroup> aTile: array<array<vec4f, 5>, 64>;
    var<workgroup> bTile: array<array<vec2u, 5>, 64>;

    ${flatGroup}

    // An invocation owns rows row + lane.y + 8 i and columns column + lane.x + 8 j.
    @compute @workgroup_size(8, 8)
    fn main(
      @builtin(workgroup_id) id: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(local_invocation_id) lane: vec3u,
      @builtin(local_invocation_index) index: u32,
    ) {
      let quads = params.K / 4u;
      let tilesAcross = (params.N + 63u) / 64u;
      let tilesDown = (params.M + 63u) / 64u;
      let tile = flatGroup(id, groups);
      let batch = tile / (tilesAcross * tilesDown);
      if (batch >= params.batchCount) { return; }
      let row = tile / tilesAcross % tilesDown * 64u;
      let column = tile % tilesAcross * 64u;
      let aFirst = batch * params.M;
      let bFirst = batch / params.sharing * params.bRows;

      var sum: array<array<f32, 8>, 8>;
      for (var first = 0u; first < quads; first += 4u) {
        for (var i = index; i < 256u; i += 64u) {
          let k = first + i % 4u;
          if (k < quads) {
            aTile[i / 4u][i % 4u] = a[(aFirst + min(row + i / 4u, params.M - 1u)) * quads + k];
            bTile[i / 4u][i % 4u] = b[(bFirst + min(column + i / 4u, params.N - 1u)) * quads + k];
          } else {
            aTile[i / 4u][i % 4u] = vec4f();
            bTile[i / 4u][i % 4u] = vec2u();
          }
        }
        workgroupBarrier();
        for (var k = 0u; k < 4u; k++) {
          var bQuad: array<vec4f, 8>;
          for (var j = 0u; j < 8u; j++) {
            let packed = bTile[lane.x + 8u * j][k];
            bQuad[j] = vec4f(unpack2x16float(packed.x), unpack2x16float(packed.y));
          }
          for (var i = 0u; i < 8u; i++) {
            let aQuad = aTile[lane.y + 8u * i][k];
            for (var j = 0u; j < 8u; j++) { sum[i][j] += dot(aQuad, bQuad[j]); }
          }
        }
        workgroupBarrier();
      }

      for (var j = 0u; j < 8u; j++) {
        let n = column + lane.x + 8u * j;
        if (n < params.N) {
          let place = params.firstColumn + n;
          var shift = 0.0;
          if (params.hasBias == 1u) { shift = bias[place]; }
          for (var i = 0u; i < 8u; i++) {
            let m = row + lane.y + 8u * i;
            if (m < params.M) { c[(aFirst + m) * params.width + place] = sum[i][j] + shift; }
          }
        }
      }
    }
  `,
};

export const matmulTileKernel: Kernel = {
  name: 'matmulTile',
  code: wgsl`
    // Of each matrix of b the first K of bRows rows count.
    struct Params { batchCount: u32, M: u32, N: u32, K: u32, sharing: u32, bRows: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<f32>;          // [batchCount, M, K]
    @group(0) @binding(2) var<storage, read> b: array<vec4f>;        // [batchCount / sharing, bRows, N / 4]
    @group(0) @binding(3) var<storage, read_write> c: array<vec4f>;  // [batchCount, M, N / 4]

    // A seventeenth column, unused, keeps neighbours off the same memory bank.
    var<workgroup> aTile: array<array<f32, 17>, 64>;
    var<workgroup> bTile: array<array<vec4f, 16>, 16>;

    ${flatGroup}

    // An invocation owns rows row + lane.y + 8 i and the quads of columns quad + lane.x and quad + lane.x + 8.
    @compute @workgroup_size(8, 8)
    fn main(
      @builtin(workgroup_id) id: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(local_invocation_id) lane: vec3u,
      @builtin(local_invocation_index) index: u32,
    ) {
      let quads = params.N / 4u;
      let tilesAcross = (quads + 15u) / 16u;
      let tilesDown = (params.M + 63u) / 64u;
      let tile = flatGroup(id, groups);
      let batch = tile / (tilesAcross * tilesDown);
      if (batch >= params.batchCount) { return; }
      let row = tile / tilesAcross % tilesDown * 64u;
      let quad = tile % tilesAcross * 16u;
      let aFirst = batch * params.M;
      let bFirst = batch / params.sharing * params.bRows;

      var sum: array<array<vec4f, 2>, 8>;
      for (var first = 0u; first < params.K; first += 16u) {
        for (var i = index; i < 1024u; i += 64u) {
          let k = first + i % 16u;
          if (k < params.K) {
            aTile[i / 16u][i % 16u] = a[(aFirst + min(row + i / 16u, params.M - 1u)) * params.K + k];
          } else {
            aTile[i / 16u][i % 16u] = 0.0;
          }
        }
        for (var i = index; i < 256u; i += 64u) {
          let k = first + i / 16u;
          if (k < params.K) {
            bTile[i / 16u][i % 16u] = b[(bFirst + k) * quads + min(quad + i % 16u, quads - 1u)];
          } else {
            bTile[i / 16u][i % 16u] = vec4f();
          }
        }
        workgroupBarrier();
        for (var k = 0u; k < 16u; k++) {
          let bLeft = bTile[k][lane.x];
          let bRight = bTile[k][lane.x + 8u];
          for (var i = 0u; i < 8u; i++) {
            let value = aTile[lane.y + 8u * i][k];
            sum[i][0] += value * bLeft;
            sum[i][1] += value * bRight;
          }
        }
        workgroupBarrier();
      }

      let left = quad + lane.x;
      for (var i = 0u; i < 8u; i++) {
        let m = row + lane.y + 8u * i;
        if (m < params.M) {
          let first = (aFirst + m) * quads;
          if (left < quads) { c[first + left] = sum[i][0]; }
          if (left + 8u < quads) { c[first + left + 8u] = sum[i][1]; }
        }
      }
    }
  `,
};
