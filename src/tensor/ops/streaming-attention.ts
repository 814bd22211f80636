// Attention that never holds the scores. SPEC T-25.
//
//     y[t] = Σₗ exp(s[t, l] − m) v[l] / Σₗ exp(s[t, l] − m)      s[t, l] = q[t] · k[l],  m = maxₗ s[t, l]
//     logSumExp[t] = m + log Σₗ exp(s[t, l] − m)
//
//   B sequences   H query heads   G key heads   T queries   L keys   D channels per head
//
// A workgroup owns 32 queries of a head and walks the keys 16 at a time. The maximum and the sum so far are kept for each
// query; when the maximum grows, what was added up before is scaled down. Keys and values take turns in the same piece of
// workgroup memory. Of its 64 invocations, 8 share four queries: each has two keys of the tile, then four quads of
// channels. Keys that a causal query does not see, and tiles that none of the 32 sees, are left out.
//
// (Milakov and Gimelshein, arXiv 1805.02867; Dao et al., arXiv 2205.14135)

import { ShapeError } from '../errors.ts';
import { flatGroup, type Kernel, runKernel, u32, wgsl } from '../kernel.ts';
import { tidy } from '../memory.ts';
import { dims, empty, type Tensor } from '../tensor.ts';
import { type AttentionOptions, checkAttention } from './attention-shapes.ts';

const streamingAttentionKernel: Kernel = {
  name: 'streamingAttention',
  code: wgsl`
    // A = B · H matrices of T queries; sharing of them have one of keys, whose first L of keyRows rows count.
    struct Params { A: u32, T: u32, L: u32, quads: u32, sharing: u32, keyRows: u32, causal: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> q: array<vec4f>;              // [A, T, quads]
    @group(0) @binding(2) var<storage, read> k: array<vec4f>;              // [A / sharing, keyRows, quads]
    @group(0) @binding(3) var<storage, read> v: array<vec4f>;              // [A / sharing, keyRows, quads]
    @group(0) @binding(4) var<storage, read_write> y: array<vec4f>;        // [A, T, quads]
    @group(0) @binding(5) var<storage, read_write> logSumExp: array<f32>;  // [A, T]

    const lowest = -3.4028234e38;
    var<workgroup> tile: array<array<vec4f, 32>, 16>;    // 16 keys, then their values
    var<workgroup> shares: array<array<f32, 17>, 32>;    // scores, then exp(score − highest); a column keeps banks apart
    var<workgroup> highest: array<f32, 32>;
    var<workgroup> sum: array<f32, 32>;
    var<workgroup> shrink: array<f32, 32>;               // what the sums so far are scaled by

    ${flatGroup}

    @compute @workgroup_size(8, 8)
    fn main(
      @builtin(workgroup_id) id: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(local_invocation_id) lane: vec3u,
      @builtin(local_invocation_index) index: u32,
    ) {
      let tilesDown = (params.T + 31u) / 32u;
      let group = flatGroup(id, groups);
      let a = group / tilesDown;
      if (a >= params.A) { return; }
      let row = group % tilesDown * 32u;
      let qFirst = a * params.T;
      let kFirst = a / params.sharing * params.keyRows;
      let earlier = params.L - params.T;  // keys before the first query's own, if causal
      var end = params.L;
      if (params.causal == 1u) { end = min(params.L, earlier + row + 32u); }

      if (index < 32u) {
        highest[index] = lowest;
        sum[index] = 0.0;
      }
      var total: array<array<vec4f, 4>, 4>;
      for (var first = 0u; first < end; first += 16u) {
        for (var i = index; i < 16u * params.quads; i += 64u) {
          let l = min(first + i / params.quads, params.L - 1u);
          tile[i / params.quads][i % params.quads] = k[(kFirst + l) * params.quads + i % params.quads];
        }
        workgroupBarrier();

        for (var r = 0u; r < 4u; r++) {
          let t = qFirst + min(row + lane.y + 8u * r, params.T - 1u);
          var left = 0.0;
          var right = 0.0;
          for (var d = 0u; d < params.quads; d++) {
            let query = q[t * params.quads + d];
            left += dot(query, tile[lane.x][d]);
            right += dot(query, tile[lane.x + 8u][d]);
          }
          shares[lane.y + 8u * r][lane.x] = left;
          shares[lane.y + 8u * r][lane.x + 8u] = right;
        }
        workgroupBarrier();

        if (index < 32u) {
          var seen = params.L;
          if (params.causal == 1u) { seen = min(params.L, earlier + row + index + 1u); }
          let count = min(16u, max(seen, first) - first);
          var most = highest[index];
          for (var j = 0u; j < count; j++) { most = max(most, shares[index][j]); }
          var added = 0.0;
          for (var j = 0u; j < 16u; j++) {
            let share = select(0.0, exp(shares[index][j] - most), j < count);
            shares[index][j] = share;
            added += share;
          }
          shrink[index] = exp(highest[index] - most);
          sum[index] = sum[index] * shrink[index] + added;
          highest[index] = most;
        }
        for (var i = index; i < 16u * params.quads; i += 64u) {
          let l = min(first + i / params.quads, params.L - 1u);
          tile[i / params.quads][i % params.quads] = v[(kFirst + l) * params.quads + i % params.quads];
        }
        workgroupBarrier();

        for (var r = 0u; r < 4u; r++) {
          let t = lane.y + 8u * r;
          for (var c = 0u; c < 4u; c++) {
            let quad = min(lane.x + 8u * c, params.quads - 1u);
            var value = total[r][c] * shrink[t];
            for (var j = 0u; j < 16u; j++) { value += shares[t][j] * tile[j][quad]; }
            total[r][c] = value;
          }
        }
        workgroupBarrier();
      }

      for (var r = 0u; r < 4u; r++) {
        let t = lane.y + 8u * r;
        if (row + t < params.T) {
          for (var c = 0u; c < 4u; c++) {
            let quad = lane.x + 8u * c;
            if (quad < params.quads) { y[(qFirst + row + t) * params.quads + quad] = total[r][c] / sum[t]; }
          }
          if (lane.x == 0u) { logSumExp[qFirst + row + t] = highest[t] + log(sum[t]); }
        }
      }
    }
  `,
};

export interface StreamedAttention {
  readonly output: Tensor; //    [B, H, T, D]
  readonly logSumExp: Tensor; // [B, H, T]  of the scores of each query
}

/** Whether streamingAttention takes heads of D channels. */
export function canStream(D: number): boolean {
  return D > 0 && D % 4 === 0 && D <= 128;
}

/**
 * queries [B, H, T, D] (scaled), keys and values [B, G, L, D] → output and the log-sum-exp of the scores, with no tensor of
 * T · L elements. D is a multiple of 4 and at most 128, and there is at least one key. Throws ShapeError otherwise,
 * RangeError for a keyCount beyond L.
 */
export function streamingAttention(
  queries: Tensor,
  keys: Tensor,
  values: Tensor,
  options: AttentionOptions,
): StreamedAttention {
  const { B, H, T, D, G, L, keyCount } = checkAttention(queries, keys, options);
  dims(values, 'values [B, G, L, D]', { B, G, L, D });
  if (!canStream(D) || keyCount === 0) {
    throw new ShapeError(
      `streamingAttention: expected D in fours up to 128 and at least one key, got D=${D} and ${keyCount} keys`,
    );
  }
  const { output, logSumExp } = tidy(queries.gpu, () => ({
    output: empty(queries.gpu, [B, H, T, D], 'streamingAttention'), // [B, H, T, D]
    logSumExp: empty(queries.gpu, [B, H, T], 'streamingAttention'), // [B, H, T]
  }));
  runKernel(queries.gpu, streamingAttentionKernel, {
    params: [B * H, T, keyCount, D / 4, Math.max(1, H / Math.max(1, G)), L, options.causal ? 1 : 0].map(u32),
    inputs: [queries, keys, values],
    output,
    secondOutput: logSumExp,
    groups: B * H * Math.ceil(T / 32),
  });
  return { output, logSumExp };
}
