// Rotary position embedding, half-split. SPEC T-17.
//
//     y[d]         = x[d] · cos θ − x[d + D/2] · sin θ
//     y[d + D/2]   = x[d + D/2] · cos θ + x[d] · sin θ         θ = position / factor · base^(−2d / D),  d < D/2
//
// The factor is 1 but for linear scaling. The angle is a product of f32 numbers, as transformers computes it; its cosine
// and sine are taken in f64 here, because WGSL promises nothing for angles beyond π. (transformers 4.37,
// LlamaRotaryEmbedding, LlamaLinearScalingRotaryEmbedding and apply_rotary_pos_emb)
//
// One invocation owns one pair of channels.

import type { Gpu } from '../gpu.ts';
import { flatIndex, type Kernel, runKernel, u32, wgsl } from '../kernel.ts';
import { tidy } from '../memory.ts';
import { dims, empty, type Tensor, tensor } from '../tensor.ts';

export interface RopeTable {
  readonly cos: Tensor; // [T, D / 2]  one row for each position from 0
  readonly sin: Tensor; // [T, D / 2]
}

const ropeKernel: Kernel = {
  name: 'rope',
  code: wgsl`
    struct Params { count: u32, T: u32, half: u32, firstPosition: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<f32>;        // [count / half, 2 half]
    @group(0) @binding(2) var<storage, read> cosine: array<f32>;   // [positions, half]
    @group(0) @binding(3) var<storage, read> sine: array<f32>;     // [positions, half]
    @group(0) @binding(4) var<storage, read_write> y: array<f32>;  // [count / half, 2 half]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.count) { return; }
      let d = i % params.half;
      let row = i / params.half;  // (b · H + h) · T + t
      let angle = (params.firstPosition + row % params.T) * params.half + d;
      let low = row * 2u * params.half + d;
      let high = low + params.half;
      y[low] = x[low] * cosine[angle] - x[high] * sine[angle];
      y[high] = x[high] * cosine[angle] + x[low] * sine[angle];
    }
  `,
};

/**
 * Cosines and sines for the positions 0 to `positionCount` − 1, each divided by `factor`, and heads of `headSize` channels.
 * Throws RangeError unless `headSize` is even and `factor` at least 1.
 */
export function ropeTable(
  gpu: Gpu,
  positionCount: number,
  headSize: number,
  base: number,
  factor = 1,
): RopeTable {
  if (!Number.isInteger(headSize) || headSize < 0 || headSize % 2 !== 0) {
    throw new RangeError(`ropeTable: expected an even head size, got ${headSize}`);
  }
  if (!Number.isInteger(positionCount) || positionCount < 0) {
    throw new RangeError(`ropeTable: expected a whole number of positions, got ${positionCount}`);
  }
  if (!(factor >= 1 && factor < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`ropeTable: expected a factor of at least 1, got ${factor}`);
  }
  const divisor = Math.fround(factor);
  const half = headSize / 2;
  const cos = new Float32Array(positionCount * half);
  const sin = new Float32Array(positionCount * half);
  for (let d = 0; d < half; d++) {
    const inverseFrequency = Math.fround(1 / Math.fround(base ** Math.fround((2 * d) / headSize)));
    for (let position = 0; position < positionCount; position++) {
      const angle = Math.fround(Math.fround(position / divisor) * inverseFrequency);
      cos[position * half + d] = Math.cos(angle);
      sin[position * half + d] = Math.sin(angle);
    }
  }
  const shape = [positionCount, half];
  return tidy(gpu, () => ({ cos: tensor(gpu, cos, shape), sin: tensor(gpu, sin, shape) })); // both or neither
}

/**
 * Turns x [B, H, T, D], whose rows stand at positions firstPosition, firstPosition + 1, …. Throws RangeError if the
 * table does not reach that far, ShapeError if D is not that of the table.
 */
export function rope(x: Tensor, table: RopeTable, firstPosition: number): Tensor {
  const { B, H, T, D } = dims(x, 'x [B, H, T, D]');
  const { positions } = dims(table.cos, 'cos [positions, half]', { half: D / 2 });
  dims(table.sin, 'sin [positions, half]', { positions, half: D / 2 });
  if (!Number.isInteger(firstPosition) || firstPosition < 0 || firstPosition + T > positions) {
    throw new RangeError(
      `rope: expected positions below ${positions}, got ${firstPosition} to ${firstPosition + T - 1}`,
    );
  }
  const count = B * H * T * (D / 2);
  return runKernel(x.gpu, ropeKernel, {
    params: [u32(count), u32(T), u32(D / 2), u32(firstPosition)],
    inputs: [x, table.cos, table.sin],
    output: empty(x.gpu, [B, H, T, D], 'rope'), // [B, H, T, D]
    groups: Math.ceil(count / 64),
  });
}
