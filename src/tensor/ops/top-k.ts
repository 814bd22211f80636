// The k largest elements of each row. SPEC T-12.
//
//     rank(i) = |{ j : x[j] > x[i], or x[j] = x[i] and j < i }|        i is chosen if rank(i) < k
//
// Counting who stands before an element needs no sort and no atomics, and ties have one outcome: the lower index wins.
// One invocation owns one element and walks its row. By score, the rank is the place in the output; by position, the
// place is the number of chosen elements before it, which a second walk over the ranks counts.

import { flatIndex, type Kernel, runKernel, u32, wgsl } from '../kernel.ts';
import { tidy } from '../memory.ts';
import { dims, emptyIndices, type IndexTensor, type Tensor } from '../tensor.ts';

const rankKernel: Kernel = {
  name: 'rank',
  code: wgsl`
    struct Params { rowCount: u32, rowLength: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<f32>;           // [rowCount, rowLength]
    @group(0) @binding(2) var<storage, read_write> rank: array<u32>;  // [rowCount, rowLength]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.rowCount * params.rowLength) { return; }
      let first = i - i % params.rowLength;
      var before = 0u;
      for (var j = first; j < first + params.rowLength; j++) {
        before += select(0u, 1u, x[j] > x[i] || (x[j] == x[i] && j < i));
      }
      rank[i] = before;
    }
  `,
};

const byScoreKernel: Kernel = {
  name: 'topKByScore',
  code: wgsl`
    struct Params { rowCount: u32, rowLength: u32, k: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> rank: array<u32>;     // [rowCount, rowLength]
    @group(0) @binding(2) var<storage, read_write> y: array<u32>;  // [rowCount, k]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.rowCount * params.rowLength || rank[i] >= params.k) { return; }
      y[i / params.rowLength * params.k + rank[i]] = i % params.rowLength;
    }
  `,
};

const byPositionKernel: Kernel = {
  name: 'topKByPosition',
  code: wgsl`
    struct Params { rowCount: u32, rowLength: u32, k: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> rank: array<u32>;     // [rowCount, rowLength]
    @group(0) @binding(2) var<storage, read_write> y: array<u32>;  // [rowCount, k]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.rowCount * params.rowLength || rank[i] >= params.k) { return; }
      let first = i - i % params.rowLength;
      var place = 0u;
      for (var j = first; j < i; j++) { place += select(0u, 1u, rank[j] < params.k); }
      y[i / params.rowLength * params.k + place] = i % params.rowLength;
    }
  `,
};

/**
 * The places of the k largest elements of each row: x [R, L] → [R, k], in descending order of their values ('score')
 * or ascending by place ('position'). Of equal values the first ones are taken. Throws RangeError unless 0 ≤ k ≤ L.
 */
export function topKIndices(x: Tensor, k: number, order: 'score' | 'position'): IndexTensor {
  const { R, L } = dims(x, 'x [R, L]');
  if (!Number.isInteger(k) || k < 0 || k > L) {
    throw new RangeError(`topKIndices: expected an integer k from 0 to ${L}, got ${k}`);
  }
  return tidy(x.gpu, () => {
    const rank = runKernel(x.gpu, rankKernel, {
      params: [u32(R), u32(L)],
      inputs: [x],
      output: emptyIndices(x.gpu, [R, L], 'rank'), // [R, L]
      groups: k === 0 ? 0 : Math.ceil((R * L) / 64),
    });
    return runKernel(x.gpu, order === 'score' ? byScoreKernel : byPositionKernel, {
      params: [u32(R), u32(L), u32(k)],
      inputs: [rank],
      output: emptyIndices(x.gpu, [R, k], 'topKIndices'), // [R, k]
      groups: k === 0 ? 0 : Math.ceil((R * L) / 64),
    });
  });
}
