// Picking rows by index. SPEC T-14.
//
//     gatherRows  y[b, k, c] = x[b, indices[b, k], c]
//     lookup      y[..., c] = table[ids[...], c]            an embedding
//
// One invocation owns one element. Indices are promised to be in range: the device cannot say that one is not.

import { flatIndex, type Kernel, runKernel, u32, wgsl } from '../kernel.ts';
import {
  dims,
  elementCount,
  empty,
  emptyIndices,
  type IndexTensor,
  type Matrix,
  type Tensor,
} from '../tensor.ts';
import { isHalf, rowBlocks } from '../weights.ts';

const gatherRowsKernel: Kernel = {
  name: 'gatherRows',
  code: wgsl`
    struct Params { B: u32, K: u32, N: u32, C: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<u32>;        // [B, N, C]  bits, whatever they mean
    @group(0) @binding(2) var<storage, read> indices: array<u32>;  // [B, K]
    @group(0) @binding(3) var<storage, read_write> y: array<u32>;  // [B, K, C]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.B * params.K * params.C) { return; }
      let place = i / params.C;  // b · K + k
      let row = place / params.K * params.N + indices[place];
      y[i] = x[row * params.C + i % params.C];
    }
  `,
};

/** Rows of `x` in the order of `indices`: x [B, N, C], indices [B, K] → [B, K, C]. Bits are copied. */
export function gatherRows(x: Tensor, indices: IndexTensor): Tensor {
  const { B, N, C } = dims(x, 'x [B, N, C]');
  const { K } = dims(indices, 'indices [B, K]', { B });
  return runKernel(x.gpu, gatherRowsKernel, {
    params: [u32(B), u32(K), u32(N), u32(C)],
    inputs: [x, indices],
    output: empty(x.gpu, [B, K, C], 'gatherRows'), // [B, K, C]
    groups: Math.ceil((B * K * C) / 64),
  });
}

/** Entries of `x` in the order of `indices`: x [B, N], indices [B, K] → [B, K]. */
export function gatherIndices(x: IndexTensor, indices: IndexTensor): IndexTensor {
  const { B, N } = dims(x, 'x [B, N]');
  const { K } = dims(indices, 'indices [B, K]', { B });
  return runKernel(x.gpu, gatherRowsKernel, {
    params: [u32(B), u32(K), u32(N), u32(1)],
    inputs: [x, indices],
    output: emptyIndices(x.gpu, [B, K], 'gatherIndices'), // [B, K]
    groups: Math.ceil((B * K) / 64),
  });
}

const lookupKernel: Kernel = {
  name: 'lookup',
  code: wgsl`
    // Only the ids of the rowCount rows from firstRow on are served; other blocks serve the others.
    struct Params { count: u32, C: u32, firstRow: u32, rowCount: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> table: array<u32>;    // [rowCount, C]  f32 bits
    @group(0) @binding(2) var<storage, read> ids: array<u32>;      // [count / C]
    @group(0) @binding(3) var<storage, read_write> y: array<u32>;  // [count / C, C]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.count) { return; }
      let row = ids[i / params.C] - params.firstRow;  // wraps far beyond rowCount for an earlier row
      if (row < params.rowCount) { y[i] = table[row * params.C + i % params.C]; }
    }
  `,
};

const halfLookupKernel: Kernel = {
  name: 'halfLookup',
  code: wgsl`
    // As lookup; an invocation owns two neighbours, which come from one u32.
    struct Params { count: u32, C: u32, firstRow: u32, rowCount: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> table: array<u32>;      // [rowCount, C / 2]  two f16 each
    @group(0) @binding(2) var<storage, read> ids: array<u32>;        // [count / C]
    @group(0) @binding(3) var<storage, read_write> y: array<vec2f>;  // [count / C, C / 2]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      let pairs = params.C / 2u;
      if (i >= params.count / 2u) { return; }
      let row = ids[i / pairs] - params.firstRow;
      if (row < params.rowCount) { y[i] = unpack2x16float(table[row * pairs + i % pairs]); }
    }
  `,
};

/**
 * The rows of a table that `ids` name: table [V, C], ids [...] below V → [..., C]. The table may be packed f16, and larger
 * than one binding.
 */
export function lookup(table: Matrix, ids: IndexTensor): Tensor {
  const { C } = dims(table, 'table [V, C]');
  const count = elementCount(ids.shape) * C;
  const output = empty(table.gpu, [...ids.shape, C], 'lookup'); // [..., C]
  const [kernel, invocations] = isHalf(table) ? [halfLookupKernel, count / 2] : [lookupKernel, count];
  for (const { firstRow, rowCount, operand } of rowBlocks(table)) {
    runKernel(table.gpu, kernel, {
      params: [u32(count), u32(C), u32(firstRow), u32(rowCount)],
      inputs: [operand, ids],
      output,
      groups: Math.ceil(invocations / 64),
    });
  }
  return output;
}
