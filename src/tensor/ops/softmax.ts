// Softmax over the last axis. SPEC T-8.
//
//     y[r, i] = exp(x[r, i] − m) / Σⱼ exp(x[r, j] − m)      where m = maxⱼ x[r, j]
//
// Subtracting the row maximum changes nothing mathematically and keeps exp() from overflowing. The causal form lets
// row t of T attend to the first L − T + t + 1 of L entries only (the last row to all of them); the others become 0.
// It never forms the masked scores, so no infinity is needed.
//
// A workgroup owns one row. Its lanes stride through the row three times and combine what they found (row-kernel.ts).

import { ShapeError } from '../errors.ts';
import { flatGroup, runKernel, u32, wgsl } from '../kernel.ts';
import { formOf, type RowKernel, rowKernel } from '../row-kernel.ts';
import { elementCount, empty, type Tensor } from '../tensor.ts';

const softmaxKernel: RowKernel = rowKernel(
  'softmax',
  wgsl`
    // rows t = 0 … rowsPerMatrix − 1 of a matrix see rowLength − hidden + t + 1 entries, at most all of them
    struct Params { rowCount: u32, rowLength: u32, rowsPerMatrix: u32, hidden: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<f32>;        // [rowCount, rowLength]
    @group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [rowCount, rowLength]

    ${flatGroup}

    @compute @workgroup_size(lanes)
    fn main(
      @builtin(workgroup_id) id: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(local_invocation_index) lane: u32,
    ) {
      let row = flatGroup(id, groups);
      if (row >= params.rowCount) { return; }
      let first = row * params.rowLength;
      let seen = min(params.rowLength - params.hidden + row % params.rowsPerMatrix + 1u, params.rowLength);

      var highest = x[first];
      for (var i = lane; i < seen; i += lanes) { highest = max(highest, x[first + i]); }
      highest = groupMax(lane, highest);

      var sum = 0.0;
      for (var i = lane; i < seen; i += lanes) { sum += exp(x[first + i] - highest); }
      sum = groupSum(lane, sum);

      for (var i = lane; i < params.rowLength; i += lanes) {
        y[first + i] = select(0.0, exp(x[first + i] - highest) / sum, i < seen);
      }
    }
  `,
);

/** Each row of the last axis becomes non-negative and sums to 1. `x` is any shape of rank ≥ 1. */
export function softmax(x: Tensor): Tensor {
  return run('softmax', x, 1, 0);
}

/** Softmax of scores [..., T, L], T ≤ L, where query t sees the keys up to its own, L − T + t, and no later ones. */
export function causalSoftmax(scores: Tensor): Tensor {
  const [T, L] = scores.shape.slice(-2);
  if (T === undefined || L === undefined || T > L) {
    throw new ShapeError(`causalSoftmax: expected [..., T, L] with T <= L, got [${scores.shape.join(', ')}]`);
  }
  return run('causalSoftmax', scores, Math.max(T, 1), T);
}

function run(who: string, x: Tensor, rowsPerMatrix: number, hidden: number): Tensor {
  const rowLength = x.shape.at(-1);
  if (rowLength === undefined) throw new ShapeError(`${who}: expected rank >= 1, got []`);
  const rowCount = elementCount(x.shape.slice(0, -1));
  return runKernel(x.gpu, formOf(softmaxKernel, x.gpu), {
    params: [u32(rowCount), u32(rowLength), u32(rowsPerMatrix), u32(hidden)],
    inputs: [x],
    output: empty(x.gpu, x.shape, who),
    groups: rowLength === 0 ? 0 : rowCount,
  });
}
