// Attention probabilities from the log-sum-exp, without the others. SPEC T-26.
//
//     attentionRow         p[l] = exp(q[t] · k[l] − logSumExp[t])                    of one query t
//     attentionColumnMean  p[l] = Σₜ exp(q[t] · k[l] − logSumExp[t]) / T             how much all queries attend to key l
//
//   B sequences   H query heads   G key heads   T queries   L keys   D channels per head
//
// An encoder without CLS scores its tokens by the second. One invocation owns one key, and walks the queries.

import { flatIndex, type Kernel, runKernel, u32, wgsl } from '../kernel.ts';
import { dims, empty, type Tensor } from '../tensor.ts';
import { type AttentionOptions, checkAttention } from './attention-shapes.ts';

const attentionSharesKernel: Kernel = {
  name: 'attentionShares',
  code: wgsl`
    // Of the T queries those from firstQuery on count, queryCount of them.
    struct Params {
      A: u32, T: u32, L: u32, D: u32, sharing: u32, keyRows: u32, causal: u32, firstQuery: u32, queryCount: u32,
    }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> q: array<f32>;          // [A, T, D]
    @group(0) @binding(2) var<storage, read> k: array<f32>;          // [A / sharing, keyRows, D]
    @group(0) @binding(3) var<storage, read> logSumExp: array<f32>;  // [A, T]
    @group(0) @binding(4) var<storage, read_write> y: array<f32>;    // [A, L]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.A * params.L) { return; }
      let a = i / params.L;
      let l = i % params.L;
      let kFirst = (a / params.sharing * params.keyRows + l) * params.D;
      var begin = params.firstQuery;
      if (params.causal == 1u) { begin = max(begin, max(l + params.T, params.L) - params.L); }  // the first that sees key l

      var sum = 0.0;
      for (var t = begin; t < params.firstQuery + params.queryCount; t++) {
        let qFirst = (a * params.T + t) * params.D;
        var score = 0.0;
        for (var d = 0u; d < params.D; d++) { score += q[qFirst + d] * k[kFirst + d]; }
        sum += exp(score - logSumExp[a * params.T + t]);
      }
      y[i] = sum / f32(params.queryCount);
    }
  `,
};

/**
 * How query `t` spreads its attention: queries [B, H, T, D] (scaled), keys [B, G, L, D], logSumExp [B, H, T] of their scores
 * → [B, H, keyCount]. Throws ShapeError if the shapes do not fit, RangeError for a query or a keyCount that there is not.
 */
export function attentionRow(
  queries: Tensor,
  keys: Tensor,
  logSumExp: Tensor,
  t: number,
  options: AttentionOptions,
): Tensor {
  const { T } = dims(queries, 'queries [B, H, T, D]');
  if (!Number.isInteger(t) || t < 0 || t >= T) {
    throw new RangeError(`attentionRow: expected a query below ${T}, got ${t}`);
  }
  return shares(queries, keys, logSumExp, options, t, 1);
}

/**
 * How much the queries attend to each key on average: queries [B, H, T, D] (scaled), keys [B, G, L, D], logSumExp [B, H, T]
 * of their scores → [B, H, keyCount], T ≥ 1. Throws ShapeError if the shapes do not fit, RangeError without queries and for a
 * keyCount that there is not.
 */
export function attentionColumnMean(
  queries: Tensor,
  keys: Tensor,
  logSumExp: Tensor,
  options: AttentionOptions,
): Tensor {
  const { T } = dims(queries, 'queries [B, H, T, D]');
  if (T === 0) throw new RangeError('attentionColumnMean: expected at least one query, got none');
  return shares(queries, keys, logSumExp, options, 0, T);
}

function shares(
  queries: Tensor,
  keys: Tensor,
  logSumExp: Tensor,
  options: AttentionOptions,
  firstQuery: number,
  queryCount: number,
): Tensor {
  const { B, H, T, D, G, L, keyCount } = checkAttention(queries, keys, options);
  dims(logSumExp, 'logSumExp [B, H, T]', { B, H, T });
  const sizes = [B * H, T, keyCount, D, Math.max(1, H / Math.max(1, G)), L];
  return runKernel(queries.gpu, attentionSharesKernel, {
    params: [...sizes, options.causal ? 1 : 0, firstQuery, queryCount].map(u32),
    inputs: [queries, keys, logSumExp],
    output: empty(queries.gpu, [B, H, keyCount], 'attentionShares'), // [B, H, keyCount]
    groups: Math.ceil((B * H * keyCount) / 64),
  });
}
