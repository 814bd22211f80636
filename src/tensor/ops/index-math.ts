// Arithmetic on indices. SPEC T-13.
//
//     complement     the numbers from 0 to N − 1 that a row does not hold, ascending
//     shiftIndices   y[i] = x[i] + by
//     gridPositions  y[i] = (row, column) of place x[i] in a grid that is filled row by row
//     countMembers   y[b, g] = |{ s : group[b, s] = g }|
//
// complement: one invocation owns one number and walks its row of indices; a number that is not held goes as far to the
// front as there are smaller held ones. The others: one invocation owns one output.

import { flatIndex, type Kernel, runKernel, u32, wgsl } from '../kernel.ts';
import { dims, elementCount, emptyIndices, type IndexTensor } from '../tensor.ts';

const complementKernel: Kernel = {
  name: 'complement',
  code: wgsl`
    struct Params { rowCount: u32, heldCount: u32, N: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> held: array<u32>;     // [rowCount, heldCount]
    @group(0) @binding(2) var<storage, read_write> y: array<u32>;  // [rowCount, N − heldCount]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.rowCount * params.N) { return; }
      let row = i / params.N;
      let number = i % params.N;
      var smaller = 0u;
      for (var j = row * params.heldCount; j < (row + 1u) * params.heldCount; j++) {
        if (held[j] == number) { return; }
        smaller += select(0u, 1u, held[j] < number);
      }
      y[row * (params.N - params.heldCount) + number - smaller] = number;
    }
  `,
};

const shiftIndicesKernel: Kernel = {
  name: 'shiftIndices',
  code: wgsl`
    struct Params { count: u32, by: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<u32>;        // [count]
    @group(0) @binding(2) var<storage, read_write> y: array<u32>;  // [count]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i < params.count) { y[i] = x[i] + params.by; }
    }
  `,
};

const gridPositionsKernel: Kernel = {
  name: 'gridPositions',
  code: wgsl`
    struct Params { count: u32, columns: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<u32>;        // [count]
    @group(0) @binding(2) var<storage, read_write> y: array<u32>;  // [count, 2]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.count) { return; }
      y[2u * i] = x[i] / params.columns;
      y[2u * i + 1u] = x[i] % params.columns;
    }
  `,
};

const countMembersKernel: Kernel = {
  name: 'countMembers',
  code: wgsl`
    struct Params { B: u32, S: u32, groupCount: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> group: array<u32>;    // [B, S]
    @group(0) @binding(2) var<storage, read_write> y: array<u32>;  // [B, groupCount]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.B * params.groupCount) { return; }
      let first = i / params.groupCount * params.S;
      var count = 0u;
      for (var s = first; s < first + params.S; s++) { count += select(0u, 1u, group[s] == i % params.groupCount); }
      y[i] = count;
    }
  `,
};

/**
 * The numbers from 0 to N − 1 that are not in a row, ascending: held [B, K] → [B, N − K]. The numbers of a row must be
 * distinct and below N; that is the caller's promise. Throws RangeError if K > N.
 */
export function complement(held: IndexTensor, N: number): IndexTensor {
  const { B, K } = dims(held, 'held [B, K]');
  if (!Number.isInteger(N) || N < K) {
    throw new RangeError(`complement: expected an integer N >= ${K}, the held indices, got ${N}`);
  }
  return runKernel(held.gpu, complementKernel, {
    params: [u32(B), u32(K), u32(N)],
    inputs: [held],
    output: emptyIndices(held.gpu, [B, N - K], 'complement'), // [B, N − K]
    groups: N === K ? 0 : Math.ceil((B * N) / 64),
  });
}

/** Every index plus `by`, a non-negative integer. Any shape. */
export function shiftIndices(x: IndexTensor, by: number): IndexTensor {
  const count = elementCount(x.shape);
  return runKernel(x.gpu, shiftIndicesKernel, {
    params: [u32(count), u32(by)],
    inputs: [x],
    output: emptyIndices(x.gpu, x.shape, 'shiftIndices'),
    groups: Math.ceil(count / 64),
  });
}

/** (row, column) of each place in a grid of `columns` columns that is filled row by row: x [...] → [..., 2]. */
export function gridPositions(x: IndexTensor, columns: number): IndexTensor {
  if (!Number.isInteger(columns) || columns < 1) {
    throw new RangeError(`gridPositions: expected at least one column, got ${columns}`);
  }
  const count = elementCount(x.shape);
  return runKernel(x.gpu, gridPositionsKernel, {
    params: [u32(count), u32(columns)],
    inputs: [x],
    output: emptyIndices(x.gpu, [...x.shape, 2], 'gridPositions'), // [..., 2]
    groups: Math.ceil(count / 64),
  });
}

/** How many members each group has: group [B, S] with values below groupCount → [B, groupCount]. */
export function countMembers(group: IndexTensor, groupCount: number): IndexTensor {
  const { B, S } = dims(group, 'group [B, S]');
  return runKernel(group.gpu, countMembersKernel, {
    params: [u32(B), u32(S), u32(groupCount)],
    inputs: [group],
    output: emptyIndices(group.gpu, [B, groupCount], 'countMembers'), // [B, groupCount]
    groups: Math.ceil((B * groupCount) / 64),
  });
}
