// The kernels of linear for weights that are packed f16. SPEC T-20.3.
//
//     y[m, n] = Σₖ x[m, k] · w[n, k] + bias[n]
//
// As the kernels of matmul.ts with the same parameters; two weights come from one u32 by unpack2x16float, which is core
// WGSL and exact, so no adapter needs shader-f16 and the sums are those of the same weights in f32, to the bit.

import { flatGroup, flatIndex, type Kernel, wgsl } from '../kernel.ts';

export const halfPlainKernel: Kernel = {
  name: 'halfPlain',
  code: wgsl`
    struct Params {
      batchCount: u32, M: u32, N: u32, K: u32, sharing: u32, hasBias: u32, firstColumn: u32, width: u32,
    }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<f32>;        // [M, K]
    @group(0) @binding(2) var<storage, read> b: array<u32>;        // [N, K / 2]
    @group(0) @binding(3) var<storage, read> bias: array<f32>;     // [width], or anything if hasBias is 0
    @group(0) @binding(4) var<storage, read_write> c: array<f32>;  // [M, width]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.M * params.N) { return; }
      let n = i % params.N;
      let row = i / params.N;
      let aFirst = row * params.K;
      let bFirst = n * (params.K / 2u);

      var sum = 0.0;
      for (var pair = 0u; pair < params.K / 2u; pair++) {
        let weights = unpack2x16float(b[bFirst + pair]);
        sum += a[aFirst + 2u * pair] * weights.x;
        sum += a[aFirst + 2u * pair + 1u] * weights.y;
      }
      let column = params.firstColumn + n;
      if (params.hasBias == 1u) { sum += bias[column]; }
      c[row * params.width + column] = sum;
    }
  `,
};

export const halfTiledKernel: Kernel = {
  name: 'halfTiled',
  code: wgsl`
    struct Params {
      batchCount: u32, M: u32, N: u32, K: u32, sharing: u32, hasBias: u32, firstColumn: u32, width: u32,
    }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<vec4f>;      // [M, K / 4]
    @group(0) @binding(2) var<storage, read> b: array<vec2u>;      // [N, K / 4]
    @group(0) @binding(3) var<storage, read> bias: array<f32>;     // [width], or anything if hasBias is 0
    @group(0) @binding(4) var<storage, read_write> c: array<f32>;  // [M, width]

    ${flatGroup}

    // An invocation owns rows lane.y + 8 i and columns lane.x + 8 j.
    @compute @workgroup_size(8, 8)
    fn main(
      @builtin(workgroup_id) id: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(local_invocation_id) lane: vec3u,
    ) {
      let quads = params.K / 4u;
      let tilesAcross = (params.N + 63u) / 64u;
      let tile = flatGroup(id, groups);
      let row = tile / tilesAcross * 64u + lane.y;
      let column = tile % tilesAcross * 64u + lane.x;

      var aRow: array<u32, 8>;
      var bRow: array<u32, 8>;
      for (var i = 0u; i < 8u; i++) {
        aRow[i] = min(row + 8u * i, params.M - 1u) * quads;
        bRow[i] = min(column + 8u * i, params.N - 1u) * quads;
      }

      var sum: array<array<f32, 8>, 8>;
      for (var k = 0u; k < quads; k++) {
        var bQuad: array<vec4f, 8>;
        for (var j = 0u; j < 8u; j++) {
          let packed = b[bRow[j] + k];
          bQuad[j] = vec4f(unpack2x16float(packed.x), unpack2x16float(packed.y));
        }
        for (var i = 0u; i < 8u; i++) {
          let aQuad = a[aRow[i] + k];
          for (var j = 0u; j < 8u; j++) { sum[i][j] += dot(aQuad, bQuad[j]); }
        }
      }

      for (var j = 0u; j < 8u; j++) {
        let n = column + 8u * j;
        if (n < params.N) {
          let place = params.firstColumn + n;
          var shift = 0.0;
          if (params.hasBias == 1u) { shift = bias[place]; }
          for (var i = 0u; i < 8u; i++) {
            let m = row + 8u * i;
            if (m < params.M) { c[m * params.width + place] = sum[i][j] + shift; }
          }
        }
      }
    }
  `,
};
