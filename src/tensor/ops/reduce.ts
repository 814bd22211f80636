// Sum, mean and largest element over an axis. SPEC T-11.
//
//     sumAxis    y[o, i] = Σₐ x[o, a, i]
//     meanAxis   y[o, i] = Σₐ x[o, a, i] / A
//     argmax     y[r] = the least a with x[r, a] = maxⱼ x[r, j]        over the last axis
//     topTwoGap  y[r] = largest − second largest element of row r      over the last axis; of one element: itself
//
// Sums: one invocation owns one output and walks the axis from front to back. Last axis: a workgroup owns a row; its
// invocations stride through it and combine in a tree, where the lower index wins a tie.

import { ShapeError } from '../errors.ts';
import { f32, flatGroup, flatIndex, type Kernel, runKernel, u32, wgsl } from '../kernel.ts';
import { elementCount, empty, emptyIndices, type IndexTensor, type Tensor } from '../tensor.ts';

const sumAxisKernel: Kernel = {
  name: 'sumAxis',
  code: wgsl`
    struct Params { outer: u32, axis: u32, inner: u32, divisor: f32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<f32>;        // [outer, axis, inner]
    @group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [outer, inner]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.outer * params.inner) { return; }
      let first = i / params.inner * params.axis * params.inner + i % params.inner;
      var sum = 0.0;
      for (var a = 0u; a < params.axis; a++) { sum += x[first + a * params.inner]; }
      y[i] = sum / params.divisor;
    }
  `,
};

const argmaxKernel: Kernel = {
  name: 'argmax',
  code: wgsl`
    struct Params { rowCount: u32, rowLength: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<f32>;        // [rowCount, rowLength]
    @group(0) @binding(2) var<storage, read_write> y: array<u32>;  // [rowCount]

    var<workgroup> bestValue: array<f32, 64>;
    var<workgroup> bestIndex: array<u32, 64>;

    ${flatGroup}

    @compute @workgroup_size(64)
    fn main(
      @builtin(workgroup_id) id: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(local_invocation_index) lane: u32,
    ) {
      let row = flatGroup(id, groups);
      if (row >= params.rowCount) { return; }
      let first = row * params.rowLength;

      // An invocation without elements of its own repeats element 0, which changes nothing.
      var index = select(0u, lane, lane < params.rowLength);
      var value = x[first + index];
      for (var i = lane + 64u; i < params.rowLength; i += 64u) {
        if (x[first + i] > value) {
          value = x[first + i];
          index = i;
        }
      }
      bestValue[lane] = value;
      bestIndex[lane] = index;

      for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) {
          let other = lane + half;
          let larger = bestValue[other] > bestValue[lane];
          let earlier = bestValue[other] == bestValue[lane] && bestIndex[other] < bestIndex[lane];
          if (larger || earlier) {
            bestValue[lane] = bestValue[other];
            bestIndex[lane] = bestIndex[other];
          }
        }
      }
      if (lane == 0u) { y[row] = bestIndex[0]; }
    }
  `,
};

const topTwoGapKernel: Kernel = {
  name: 'topTwoGap',
  code: wgsl`
    struct Params { rowCount: u32, rowLength: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<f32>;        // [rowCount, rowLength]
    @group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [rowCount]

    const lowest = -3.4028234e38;
    var<workgroup> largest: array<f32, 64>;
    var<workgroup> second: array<f32, 64>;

    ${flatGroup}

    @compute @workgroup_size(64)
    fn main(
      @builtin(workgroup_id) id: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(local_invocation_index) lane: u32,
    ) {
      let row = flatGroup(id, groups);
      if (row >= params.rowCount) { return; }
      let first = row * params.rowLength;

      var a = lowest;
      var b = lowest;
      for (var i = lane; i < params.rowLength; i += 64u) {
        let value = x[first + i];
        b = max(b, min(a, value));
        a = max(a, value);
      }
      largest[lane] = a;
      second[lane] = b;

      for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) {
          let other = lane + half;
          second[lane] = max(max(second[lane], second[other]), min(largest[lane], largest[other]));
          largest[lane] = max(largest[lane], largest[other]);
        }
      }
      if (lane == 0u) { y[row] = select(largest[0] - second[0], largest[0], params.rowLength == 1u); }
    }
  `,
};

/** The sum over `axis`, which disappears; over an axis of length 0 it is 0. Throws ShapeError if there is no such axis. */
export function sumAxis(x: Tensor, axis: number): Tensor {
  return reduceAxis('sumAxis', x, axis, () => 1);
}

/** The mean over `axis`, which disappears. Throws ShapeError if there is no such axis or nothing in it. */
export function meanAxis(x: Tensor, axis: number): Tensor {
  return reduceAxis('meanAxis', x, axis, (length) => {
    if (length === 0)
      throw new ShapeError(`meanAxis: expected something on axis ${axis}, got [${x.shape.join(', ')}]`);
    return length;
  });
}

function reduceAxis(who: string, x: Tensor, axis: number, divisorOf: (length: number) => number): Tensor {
  const length = x.shape[axis];
  if (length === undefined) {
    throw new ShapeError(`${who}: expected an axis of [${x.shape.join(', ')}], got axis ${axis}`);
  }
  const outer = elementCount(x.shape.slice(0, axis));
  const inner = elementCount(x.shape.slice(axis + 1));
  return runKernel(x.gpu, sumAxisKernel, {
    params: [u32(outer), u32(length), u32(inner), f32(divisorOf(length))],
    inputs: [x],
    output: empty(x.gpu, x.shape.toSpliced(axis, 1), who),
    groups: Math.ceil((outer * inner) / 64),
  });
}

/** The place of the largest element of each row of the last axis, the first of equals: x [..., L] → [...]. */
export function argmax(x: Tensor): IndexTensor {
  const { rowCount, rowLength, shape } = lastAxis('argmax', x);
  return runKernel(x.gpu, argmaxKernel, {
    params: [u32(rowCount), u32(rowLength)],
    inputs: [x],
    output: emptyIndices(x.gpu, shape, 'argmax'),
    groups: rowCount,
  });
}

/** How far the largest element of each row stands above the second: x [..., L] → [...]. 0 is a tie. */
export function topTwoGap(x: Tensor): Tensor {
  const { rowCount, rowLength, shape } = lastAxis('topTwoGap', x);
  return runKernel(x.gpu, topTwoGapKernel, {
    params: [u32(rowCount), u32(rowLength)],
    inputs: [x],
    output: empty(x.gpu, shape, 'topTwoGap'),
    groups: rowCount,
  });
}

function lastAxis(who: string, x: Tensor): { rowCount: number; rowLength: number; shape: number[] } {
  const rowLength = x.shape.at(-1);
  if (rowLength === undefined || rowLength === 0) {
    throw new ShapeError(`${who}: expected something on the last axis, got [${x.shape.join(', ')}]`);
  }
  const shape = x.shape.slice(0, -1);
  return { rowCount: elementCount(shape), rowLength, shape };
}
