// The matrix product on tensor cores, for packed f16 weights. SPEC T-28.
//
//     y[m, n] = Σₖ f16(x[m, k]) · w[n, k] + bias[n]        summed in f32
//
// A workgroup of 4 subgroups of 32 lanes owns 64 × 64 elements of y, a subgroup 32 × 32 as 2 × 2 matrices of 16 × 16. It
// walks K in steps of 32 through workgroup memory, where x is rounded to f16; behind the end of K stand zeros. Rows and
// columns beyond the edge are clamped, and not stored.
//
// The language feature is experimental. CI checks the types of this text only; it has never run on hardware. So it
// stays off unless it is asked for and its test has passed on the adapter at hand (subgroup-matrix-test.ts).

import { flatGroup, type Kernel, wgsl } from '../kernel.ts';

export const subgroupMatrixKernel: Kernel = {
  name: 'subgroupMatrix',
  code: wgsl`
    diagnostic(off, chromium.subgroup_matrix_uniformity);
    enable f16;
    enable subgroups;
    enable chromium_experimental_subgroup_matrix;

    // The N columns stand from firstColumn on in rows of width elements.
    struct Params {
      batchCount: u32, M: u32, N: u32, K: u32, sharing: u32, bRows: u32, hasBias: u32, firstColumn: u32, width: u32,
    }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<vec4f>;      // [M, K / 4]
    @group(0) @binding(2) var<storage, read> b: array<vec4h>;      // [N, K / 4]
    @group(0) @binding(3) var<storage, read> bias: array<f32>;     // [width], or anything if hasBias is 0
    @group(0) @binding(4) var<storage, read_write> c: array<f32>;  // [M, width]

    alias Left = subgroup_matrix_left<f16, 16, 16>;
    alias Right = subgroup_matrix_right<f16, 16, 16>;
    alias Sum = subgroup_matrix_result<f32, 16, 16>;

    var<workgroup> aTile: array<f16, 2048>;  // 64 rows of 32
    var<workgroup> bTile: array<f16, 2048>;  // 64 columns of c, as rows of 32
    var<workgroup> cTile: array<f32, 4096>;  // 64 rows of 64

    ${flatGroup}

    @compute @workgroup_size(128)
    fn main(
      @builtin(workgroup_id) id: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(local_invocation_index) lane: u32,
      @builtin(subgroup_id) subgroup: u32,
    ) {
      let quads = params.K / 4u;
      let tilesAcross = (params.N + 63u) / 64u;
      let tile = flatGroup(id, groups);
      if (tile >= tilesAcross * ((params.M + 63u) / 64u)) { return; }
      let row = tile / tilesAcross * 64u;
      let column = tile % tilesAcross * 64u;
      let down = subgroup / 2u * 32u;
      let across = subgroup % 2u * 32u;

      var sum: array<array<Sum, 2>, 2>;
      for (var k = 0u; k < quads; k += 8u) {
        for (var e = lane; e < 512u; e += 128u) {
          let line = e / 8u;
          let quad = k + e % 8u;
          let place = min(quad, quads - 1u);
          let aQuad = vec4h(a[min(row + line, params.M - 1u) * quads + place]);
          let bQuad = b[min(column + line, params.N - 1u) * quads + place];
          for (var i = 0u; i < 4u; i++) {
            aTile[e * 4u + i] = select(0.0h, aQuad[i], quad < quads);
            bTile[e * 4u + i] = select(0.0h, bQuad[i], quad < quads);
          }
        }
        workgroupBarrier();
        for (var step = 0u; step < 32u; step += 16u) {
          for (var i = 0u; i < 2u; i++) {
            let left = subgroupMatrixLoad<Left, row_major>(&aTile, (down + 16u * i) * 32u + step, 32u);
            for (var j = 0u; j < 2u; j++) {
              let right = subgroupMatrixLoad<Right, col_major>(&bTile, (across + 16u * j) * 32u + step, 32u);
              sum[i][j] = subgroupMatrixMultiplyAccumulate(left, right, sum[i][j]);
            }
          }
        }
        workgroupBarrier();
      }

      for (var i = 0u; i < 2u; i++) {
        for (var j = 0u; j < 2u; j++) {
          subgroupMatrixStore<row_major>(&cTile, (down + 16u * i) * 64u + across + 16u * j, sum[i][j], 64u);
        }
      }
      workgroupBarrier();
      for (var e = lane; e < 4096u; e += 128u) {
        let m = row + e / 64u;
        let n = column + e % 64u;
        if (m < params.M && n < params.N) {
          let place = params.firstColumn + n;
          var shift = 0.0;
          if (params.hasBias == 1u) { shift = bias[place]; }
          c[m * params.width + place] = cTile[e] + shift;
        }
      }
    }
  `,
};
