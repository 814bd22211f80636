// Random weights, made on the device. SPEC T-24.
//
//     y[i] = a · (h / 2²³ − 1)      h the upper 24 bits of pcg(i xor pcg(seed)),  a = deviation · √3
//
// Uniform in [−a, a), so that the standard deviation is the one asked for. A number depends on its place and the seed
// alone. pcg is the 32-bit hash of Jarzynski and Olano (JCGT 2020). One invocation makes one word: an f32, or two f16.
//
// Matrices larger than a binding are made in blocks and copied to their place.

import { ShapeError } from '../errors.ts';
import type { Gpu } from '../gpu.ts';
import { copyOut, f32, flatIndex, type Kernel, pcg, runKernel, type Scalar, u32, wgsl } from '../kernel.ts';
import { allocateWeights } from '../memory.ts';
import { checkShape, dispose, elementCount, emptyIndices, type Matrix, wrap } from '../tensor.ts';

const randomFloatsKernel: Kernel = {
  name: 'randomFloats',
  code: wgsl`
    struct Params { wordCount: u32, firstWord: u32, seed: u32, amplitude: f32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read_write> y: array<u32>;  // [wordCount]

    ${flatIndex}

    ${pcg}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.wordCount) { return; }
      let bits = pcg((params.firstWord + i) ^ pcg(params.seed)) >> 8u;
      y[i] = bitcast<u32>((f32(bits) / 8388608.0 - 1.0) * params.amplitude);
    }
  `,
};

const randomHalvesKernel: Kernel = {
  name: 'randomHalves',
  code: wgsl`
    struct Params { wordCount: u32, firstWord: u32, seed: u32, amplitude: f32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read_write> y: array<u32>;  // [wordCount]

    ${flatIndex}

    ${pcg}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.wordCount) { return; }
      let place = 2u * (params.firstWord + i);
      let bits = vec2u(pcg(place ^ pcg(params.seed)), pcg((place + 1u) ^ pcg(params.seed))) >> vec2u(8u);
      y[i] = pack2x16float((vec2f(bits) / 8388608.0 - 1.0) * params.amplitude);
    }
  `,
};

export interface RandomOptions {
  readonly seed: number; //      0 to 2³² − 1
  readonly deviation: number; // the standard deviation: 0 or more, finite
}

const BLOCK_WORDS = 4 * 2 ** 20;

/**
 * Weights [rows, columns] of random numbers, in f32 or packed f16. Throws ShapeError where columns of f16 are not a multiple
 * of 4, RangeError for another seed or deviation than RandomOptions says, GpuError, leaving nothing, if memory does not
 * suffice.
 */
export function randomMatrix(
  gpu: Gpu,
  dtype: 'f32' | 'f16',
  shape: readonly [number, number],
  { seed, deviation }: RandomOptions,
): Matrix {
  checkShape('randomMatrix', shape);
  if (dtype === 'f16' && shape[1] % 4 !== 0) {
    throw new ShapeError(`randomMatrix: expected columns divisible by 4 for f16, got [${shape.join(', ')}]`);
  }
  if (!(deviation >= 0 && Number.isFinite(deviation))) {
    throw new RangeError(`randomMatrix: expected a finite deviation of at least 0, got ${deviation}`);
  }
  const words = elementCount(shape) / (dtype === 'f32' ? 1 : 2);
  const kernel = dtype === 'f32' ? randomFloatsKernel : randomHalvesKernel;
  const params = [u32(seed), f32(deviation * Math.sqrt(3))];
  const storage = allocateWeights(gpu.memory, 4 * words, 'randomMatrix');
  const matrix = wrap<'f32' | 'f16'>(gpu, dtype, shape, storage) as Matrix;
  try {
    fill(gpu, kernel, params, words, storage.buffer);
  } catch (error) {
    dispose(matrix);
    throw error;
  }
  return matrix;
}

function fill(gpu: Gpu, kernel: Kernel, params: readonly Scalar[], words: number, target: GPUBuffer): void {
  for (let first = 0; first < words; first += BLOCK_WORDS) {
    const count = Math.min(BLOCK_WORDS, words - first);
    const block = runKernel(gpu, kernel, {
      params: [u32(count), u32(first), ...params],
      inputs: [],
      output: emptyIndices(gpu, [count], 'randomMatrix'), // [count]  words
      groups: Math.ceil(count / 64),
    });
    copyOut(gpu, block.storage, target, 4 * first, 4 * count);
    dispose(block);
  }
}
