// Moving elements: concat, slice, permute, repeat. SPEC T-16.
//
//     concat       inputs one behind the other along an axis
//     slice        the part from begin to end (exclusive) of an axis
//     permute      axis i of the result is axis order[i] of x
//     repeatRows   y[b] = x for each of B copies
//
// One invocation owns one element, or four neighbours where all runs are multiples of four; bits are copied, whatever
// they mean, so the kernels serve both kinds of tensor. concat writes each input with a dispatch of its own.

import { ShapeError } from '../errors.ts';
import { flatIndex, type Kernel, runKernel, u32, wgsl } from '../kernel.ts';
import { type AnyTensor, elementCount, empty, emptyIndices, reshape } from '../tensor.ts';

const copyRunsKernel: Kernel = {
  name: 'copyRuns',
  code: wgsl`
    // Copies count elements in runs: run r begins at fromFirst + r · fromStride and goes to toFirst + r · toStride.
    struct Params { count: u32, run: u32, fromFirst: u32, fromStride: u32, toFirst: u32, toStride: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<u32>;
    @group(0) @binding(2) var<storage, read_write> y: array<u32>;

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.count) { return; }
      let r = i / params.run;
      let k = i % params.run;
      y[params.toFirst + r * params.toStride + k] = x[params.fromFirst + r * params.fromStride + k];
    }
  `,
};

const copyQuadRunsKernel: Kernel = {
  name: 'copyQuadRuns',
  code: wgsl`
    // As copyRuns, all counted in quads.
    struct Params { count: u32, run: u32, fromFirst: u32, fromStride: u32, toFirst: u32, toStride: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<vec4u>;
    @group(0) @binding(2) var<storage, read_write> y: array<vec4u>;

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.count) { return; }
      let r = i / params.run;
      let k = i % params.run;
      y[params.toFirst + r * params.toStride + k] = x[params.fromFirst + r * params.fromStride + k];
    }
  `,
};

const permuteKernel: Kernel = {
  name: 'permute',
  code: wgsl`
    // length: axes of y, padded in front to four; stride: step in x for one step along that axis of y.
    struct Params {
      count: u32,
      length1: u32, length2: u32, length3: u32,
      stride0: u32, stride1: u32, stride2: u32, stride3: u32,
    }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<u32>;        // [count]
    @group(0) @binding(2) var<storage, read_write> y: array<u32>;  // [count]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.count) { return; }
      var rest = i;
      let i3 = rest % params.length3;
      rest /= params.length3;
      let i2 = rest % params.length2;
      rest /= params.length2;
      let i1 = rest % params.length1;
      let i0 = rest / params.length1;
      y[i] = x[i0 * params.stride0 + i1 * params.stride1 + i2 * params.stride2 + i3 * params.stride3];
    }
  `,
};

const permuteQuadsKernel: Kernel = {
  name: 'permuteQuads',
  code: wgsl`
    // As permute, all counted in quads along the last axis, which stays where it is.
    struct Params {
      count: u32,
      length1: u32, length2: u32, length3: u32,
      stride0: u32, stride1: u32, stride2: u32, stride3: u32,
    }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<vec4u>;        // [count]
    @group(0) @binding(2) var<storage, read_write> y: array<vec4u>;  // [count]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.count) { return; }
      var rest = i;
      let i3 = rest % params.length3;
      rest /= params.length3;
      let i2 = rest % params.length2;
      rest /= params.length2;
      let i1 = rest % params.length1;
      let i0 = rest / params.length1;
      y[i] = x[i0 * params.stride0 + i1 * params.stride1 + i2 * params.stride2 + i3 * params.stride3];
    }
  `,
};

function emptyLikeKind<T extends AnyTensor>(x: T, shape: readonly number[], who: string): T {
  return (x.dtype === 'f32' ? empty(x.gpu, shape, who) : emptyIndices(x.gpu, shape, who)) as T;
}

function axisLength(who: string, x: AnyTensor, axis: number): number {
  const length = x.shape[axis];
  if (length === undefined) {
    throw new ShapeError(`${who}: expected an axis of [${x.shape.join(', ')}], got axis ${axis}`);
  }
  return length;
}

/** One behind the other along `axis`; the other axes are equal, otherwise ShapeError. At least one input. */
export function concat<T extends AnyTensor>(inputs: readonly [T, ...T[]], axis: number): T {
  const [first] = inputs;
  let total = 0;
  for (const x of inputs) {
    total += axisLength('concat', x, axis);
    const fits =
      x.shape.length === first.shape.length && x.shape.every((n, a) => a === axis || n === first.shape[a]);
    if (!fits) {
      throw new ShapeError(
        `concat: expected all but axis ${axis} like [${first.shape.join(', ')}], got [${x.shape.join(', ')}]`,
      );
    }
  }
  const inner = elementCount(first.shape.slice(axis + 1));
  const output = emptyLikeKind(first, first.shape.with(axis, total), 'concat');
  let begin = 0;
  for (const x of inputs) {
    const run = axisLength('concat', x, axis) * inner;
    copyRuns(x, output, run, { first: 0, stride: run }, { first: begin, stride: total * inner });
    begin += run;
  }
  return output;
}

/** The part of `x` from `begin` up to `end` along `axis`. Throws RangeError unless 0 ≤ begin ≤ end ≤ length. */
export function slice<T extends AnyTensor>(x: T, axis: number, begin: number, end: number): T {
  const length = axisLength('slice', x, axis);
  if (!Number.isInteger(begin) || !Number.isInteger(end) || begin < 0 || end < begin || end > length) {
    throw new RangeError(`slice: expected 0 <= begin <= end <= ${length}, got ${begin} and ${end}`);
  }
  const inner = elementCount(x.shape.slice(axis + 1));
  const output = emptyLikeKind(x, x.shape.with(axis, end - begin), 'slice');
  const run = (end - begin) * inner;
  copyRuns(x, output, run, { first: begin * inner, stride: length * inner }, { first: 0, stride: run });
  return output;
}

/** `copies` times `x`, along a new first axis: x [...] → [copies, ...]. Throws RangeError unless it is a count. */
export function repeatRows<T extends AnyTensor>(x: T, copies: number): T {
  if (!Number.isInteger(copies) || copies < 0) {
    throw new RangeError(`repeatRows: expected a whole number of copies, got ${copies}`);
  }
  const run = elementCount(x.shape);
  const output = emptyLikeKind(x, [copies, ...x.shape], 'repeatRows');
  copyRuns(x, output, run, { first: 0, stride: 0 }, { first: 0, stride: run });
  return output;
}

export interface Runs {
  readonly first: number;
  readonly stride: number;
}

/** Copies elements of `x` to `y` in runs of `run`: as many as there are strides of `to` in `y`. */
export function copyRuns(x: AnyTensor, y: AnyTensor, run: number, from: Runs, to: Runs): void {
  const runs = to.stride === 0 ? 0 : Math.floor(elementCount(y.shape) / to.stride);
  const sizes = [run * runs, run, from.first, from.stride, to.first, to.stride];
  const inQuads = sizes.every((size) => size % 4 === 0);
  const [count = 0, ...others] = inQuads ? sizes.map((size) => size / 4) : sizes;
  runKernel(x.gpu, inQuads ? copyQuadRunsKernel : copyRunsKernel, {
    params: [count, ...others].map(u32),
    inputs: [x],
    output: y,
    groups: Math.ceil(count / 64),
  });
}

/**
 * The axes of `x` in another order: axis i of the result is axis order[i] of `x`. Where only axes of length 1 move, the
 * result shares memory with `x`. Throws ShapeError for more than four axes, RangeError if `order` does not name each axis
 * once.
 */
export function permute<T extends AnyTensor>(x: T, order: readonly number[]): T {
  const rank = x.shape.length;
  if (rank > 4) throw new ShapeError(`permute: expected at most 4 axes, got [${x.shape.join(', ')}]`);
  const isPermutation =
    order.length === rank && [...order].sort((a, b) => a - b).every((axis, i) => axis === i);
  if (!isPermutation) {
    throw new RangeError(`permute: expected each of ${rank} axes once, got [${order.join(', ')}]`);
  }
  const shape = order.map((axis) => x.shape[axis] as number);
  const moved = order.filter((axis) => x.shape[axis] !== 1);
  if (moved.every((axis, i) => i === 0 || axis > (moved[i - 1] as number))) return reshape(x, shape);

  // In quads where the last axis stays and consists of whole ones.
  const last = rank - 1;
  const unit = order[last] === last && (x.shape[last] as number) % 4 === 0 ? 4 : 1;
  const lengths = shape.with(last, (shape[last] as number) / unit);
  const steps = order.map((axis) => (axis === last ? 1 : elementCount(x.shape.slice(axis + 1)) / unit));
  const padding = new Array<number>(4 - rank);
  const [, ...innerLengths] = [...padding.fill(1), ...lengths];
  const strides = [...padding.fill(0), ...steps];
  const count = elementCount(lengths);
  return runKernel(x.gpu, unit === 4 ? permuteQuadsKernel : permuteKernel, {
    params: [count, ...innerLengths, ...strides].map(u32),
    inputs: [x],
    output: emptyLikeKind(x, shape, 'permute'),
    groups: Math.ceil(count / 64),
  });
}
