// Normalisation of the rows of the last axis, n elements each. SPEC T-10.
//
//     layerNorm      y = (x − μ) / √(σ² + ε) · w + b      μ = Σx / n,  σ² = Σ(x − μ)² / n
//     rmsNorm        y = x / √(Σx² / n + ε) · w
//     normalizeRows  y = x / √(Σx²)                       a row of zeros stays zero
//
// A workgroup owns one row. The variance is summed from centred values: the difference of two large moments would
// cancel.

import { ShapeError } from '../errors.ts';
import { f32, flatGroup, runKernel, u32, wgsl } from '../kernel.ts';
import { formOf, type RowKernel, rowKernel } from '../row-kernel.ts';
import { dims, elementCount, empty, type Tensor } from '../tensor.ts';

const layerNormKernel: RowKernel = rowKernel(
  'layerNorm',
  wgsl`
    struct Params { rowCount: u32, rowLength: u32, eps: f32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<f32>;        // [rowCount, rowLength]
    @group(0) @binding(2) var<storage, read> weight: array<f32>;   // [rowLength]
    @group(0) @binding(3) var<storage, read> bias: array<f32>;     // [rowLength]
    @group(0) @binding(4) var<storage, read_write> y: array<f32>;  // [rowCount, rowLength]

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
      let n = f32(params.rowLength);

      var sum = 0.0;
      for (var i = lane; i < params.rowLength; i += lanes) { sum += x[first + i]; }
      let mean = groupSum(lane, sum) / n;

      var squares = 0.0;
      for (var i = lane; i < params.rowLength; i += lanes) {
        let centred = x[first + i] - mean;
        squares += centred * centred;
      }
      let deviation = sqrt(groupSum(lane, squares) / n + params.eps);

      for (var i = lane; i < params.rowLength; i += lanes) {
        y[first + i] = (x[first + i] - mean) / deviation * weight[i] + bias[i];
      }
    }
  `,
);

const rmsNormKernel: RowKernel = rowKernel(
  'rmsNorm',
  wgsl`
    struct Params { rowCount: u32, rowLength: u32, eps: f32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<f32>;        // [rowCount, rowLength]
    @group(0) @binding(2) var<storage, read> weight: array<f32>;   // [rowLength]
    @group(0) @binding(3) var<storage, read_write> y: array<f32>;  // [rowCount, rowLength]

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

      var squares = 0.0;
      for (var i = lane; i < params.rowLength; i += lanes) { squares += x[first + i] * x[first + i]; }
      let rms = sqrt(groupSum(lane, squares) / f32(params.rowLength) + params.eps);

      for (var i = lane; i < params.rowLength; i += lanes) { y[first + i] = x[first + i] / rms * weight[i]; }
    }
  `,
);

const normalizeRowsKernel: RowKernel = rowKernel(
  'normalizeRows',
  wgsl`
    struct Params { rowCount: u32, rowLength: u32 }

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

      var squares = 0.0;
      for (var i = lane; i < params.rowLength; i += lanes) { squares += x[first + i] * x[first + i]; }
      let norm = sqrt(groupSum(lane, squares));

      for (var i = lane; i < params.rowLength; i += lanes) {
        y[first + i] = select(0.0, x[first + i] / norm, norm > 0.0);
      }
    }
  `,
);

/** The learned parts of a layer norm. */
export interface Norm {
  readonly weight: Tensor; // [C]
  readonly bias: Tensor; //   [C]
}

/** Layer norm over the last axis: x [..., C]. Throws ShapeError if C is not that of the weights. */
export function layerNorm(x: Tensor, { weight, bias }: Norm, eps: number): Tensor {
  const { rowCount, C } = rows('layerNorm', x);
  dims(weight, 'weight [C]', { C });
  dims(bias, 'bias [C]', { C });
  return runKernel(x.gpu, formOf(layerNormKernel, x.gpu), {
    params: [u32(rowCount), u32(C), f32(eps)],
    inputs: [x, weight, bias],
    output: empty(x.gpu, x.shape, 'layerNorm'),
    groups: C === 0 ? 0 : rowCount,
  });
}

/** RMS norm over the last axis: x [..., C], weight [C]. Throws ShapeError if they differ. */
export function rmsNorm(x: Tensor, weight: Tensor, eps: number): Tensor {
  const { rowCount, C } = rows('rmsNorm', x);
  dims(weight, 'weight [C]', { C });
  return runKernel(x.gpu, formOf(rmsNormKernel, x.gpu), {
    params: [u32(rowCount), u32(C), f32(eps)],
    inputs: [x, weight],
    output: empty(x.gpu, x.shape, 'rmsNorm'),
    groups: C === 0 ? 0 : rowCount,
  });
}

/** Each row of the last axis gets length 1 (L2), without an epsilon; a row of zeros stays zero. x [..., D]. */
export function normalizeRows(x: Tensor): Tensor {
  const { rowCount, C } = rows('normalizeRows', x);
  return runKernel(x.gpu, formOf(normalizeRowsKernel, x.gpu), {
    params: [u32(rowCount), u32(C)],
    inputs: [x],
    output: empty(x.gpu, x.shape, 'normalizeRows'),
    groups: C === 0 ? 0 : rowCount,
  });
}

function rows(who: string, x: Tensor): { rowCount: number; C: number } {
  const C = x.shape.at(-1);
  if (C === undefined) throw new ShapeError(`${who}: expected rank >= 1, got []`);
  return { rowCount: elementCount(x.shape.slice(0, -1)), C };
}
