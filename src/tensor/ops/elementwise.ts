// Sums and products, element by element. SPEC T-5.
//
//     add       y[i] = a[i] + b[i]
//     multiply  y[i] = a[i] · b[i]
//     scale     y[i] = a[i] · s
//     addRows   y[r, i] = a[r, i] + b[i]      b repeats over the leading axes of a
//
// One invocation owns four neighbouring elements. A storage is a multiple of 256 bytes long, so the last four may
// reach beyond the tensor: what is written there is never read. In addRows one invocation owns one element.

import { ShapeError } from '../errors.ts';
import { f32, flatIndex, type Kernel, runKernel, u32, wgsl } from '../kernel.ts';
import { elementCount, empty, sameShape, type Tensor } from '../tensor.ts';

const addKernel: Kernel = {
  name: 'add',
  code: wgsl`
    struct Params { quadCount: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<vec4f>;        // [quadCount]
    @group(0) @binding(2) var<storage, read> b: array<vec4f>;        // [quadCount]
    @group(0) @binding(3) var<storage, read_write> y: array<vec4f>;  // [quadCount]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i < params.quadCount) { y[i] = a[i] + b[i]; }
    }
  `,
};

const multiplyKernel: Kernel = {
  name: 'multiply',
  code: wgsl`
    struct Params { quadCount: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<vec4f>;        // [quadCount]
    @group(0) @binding(2) var<storage, read> b: array<vec4f>;        // [quadCount]
    @group(0) @binding(3) var<storage, read_write> y: array<vec4f>;  // [quadCount]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i < params.quadCount) { y[i] = a[i] * b[i]; }
    }
  `,
};

const scaleKernel: Kernel = {
  name: 'scale',
  code: wgsl`
    struct Params { quadCount: u32, factor: f32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<vec4f>;        // [quadCount]
    @group(0) @binding(2) var<storage, read_write> y: array<vec4f>;  // [quadCount]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i < params.quadCount) { y[i] = a[i] * params.factor; }
    }
  `,
};

const addRowsKernel: Kernel = {
  name: 'addRows',
  code: wgsl`
    struct Params { count: u32, rowLength: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<f32>;        // [count]
    @group(0) @binding(2) var<storage, read> b: array<f32>;        // [rowLength]
    @group(0) @binding(3) var<storage, read_write> y: array<f32>;  // [count]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i < params.count) { y[i] = a[i] + b[i % params.rowLength]; }
    }
  `,
};

/** Element by element a + b. Any shape, the same for both; otherwise ShapeError. */
export function add(a: Tensor, b: Tensor): Tensor {
  return combine(addKernel, a, b);
}

/** Element by element a · b. Any shape, the same for both; otherwise ShapeError. */
export function multiply(a: Tensor, b: Tensor): Tensor {
  return combine(multiplyKernel, a, b);
}

/** Runs a kernel of two inputs, quad by quad. Throws ShapeError, under the kernel's name, if their shapes differ. */
export function combine(kernel: Kernel, a: Tensor, b: Tensor): Tensor {
  if (!sameShape(a.shape, b.shape)) {
    throw new ShapeError(
      `${kernel.name}: expected equal shapes, got [${a.shape.join(', ')}] and [${b.shape.join(', ')}]`,
    );
  }
  const quadCount = Math.ceil(elementCount(a.shape) / 4);
  return runKernel(a.gpu, kernel, {
    params: [u32(quadCount)],
    inputs: [a, b],
    output: empty(a.gpu, a.shape, kernel.name),
    groups: Math.ceil(quadCount / 64),
  });
}

/** Every element of `a`, any shape, times `factor` (rounded to f32). */
export function scale(a: Tensor, factor: number): Tensor {
  const quadCount = Math.ceil(elementCount(a.shape) / 4);
  return runKernel(a.gpu, scaleKernel, {
    params: [u32(quadCount), f32(factor)],
    inputs: [a],
    output: empty(a.gpu, a.shape, 'scale'),
    groups: Math.ceil(quadCount / 64),
  });
}

/** a + b where the shape of `b` is that of the last axes of `a`; otherwise ShapeError. */
export function addRows(a: Tensor, b: Tensor): Tensor {
  const trailing = a.shape.slice(a.shape.length - b.shape.length);
  const fits = b.shape.length <= a.shape.length && trailing.every((length, axis) => length === b.shape[axis]);
  if (!fits) {
    throw new ShapeError(
      `addRows: expected b like the last axes of [${a.shape.join(', ')}], got [${b.shape.join(', ')}]`,
    );
  }
  const count = elementCount(a.shape);
  return runKernel(a.gpu, addRowsKernel, {
    params: [u32(count), u32(elementCount(b.shape))],
    inputs: [a, b],
    output: empty(a.gpu, a.shape, 'addRows'),
    groups: Math.ceil(count / 64),
  });
}
