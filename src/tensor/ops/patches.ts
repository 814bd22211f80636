// Cutting an image into patches, one row each. SPEC T-18.
//
//     y[b, r · columns + c, (channel · p + i) · p + j] = x[b, channel, r · p + i, c · p + j]
//
// A convolution whose stride is its kernel size is a product of these rows with its weight, flattened the same way.
// Pixels beyond the last whole patch are left out, as such a convolution does. One invocation owns one element.

import { flatIndex, type Kernel, runKernel, u32, wgsl } from '../kernel.ts';
import { tidy } from '../memory.ts';
import { dims, empty, type Tensor } from '../tensor.ts';
import { type Linear, linear } from './matmul.ts';

const patchesKernel: Kernel = {
  name: 'patches',
  code: wgsl`
    struct Params { count: u32, channels: u32, height: u32, width: u32, side: u32, columns: u32, rows: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<f32>;        // [B, channels, height, width]
    @group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [B, rows · columns, channels · side · side]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let index = flatIndex(id, groups);
      if (index >= params.count) { return; }
      var rest = index;
      let j = rest % params.side;
      rest /= params.side;
      let i = rest % params.side;
      rest /= params.side;
      let channel = rest % params.channels;
      rest /= params.channels;
      let column = rest % params.columns;
      rest /= params.columns;
      let row = rest % params.rows;
      let image = rest / params.rows;
      let line = (image * params.channels + channel) * params.height + row * params.side + i;
      y[index] = x[line * params.width + column * params.side + j];
    }
  `,
};

/** Images x [B, channels, height, width] → rows of patches [B, P, channels · p · p], row by row of the image. */
export function patches(x: Tensor, patchSize: number): Tensor {
  const { B, channels, height, width } = dims(x, 'x [B, channels, height, width]');
  checkPatchSize(patchSize, height, width);
  const rows = Math.floor(height / patchSize);
  const columns = Math.floor(width / patchSize);
  const shape = [B, rows * columns, channels * patchSize * patchSize];
  const count = B * rows * columns * channels * patchSize * patchSize;
  return runKernel(x.gpu, patchesKernel, {
    params: [count, channels, height, width, patchSize, columns, rows].map(u32),
    inputs: [x],
    output: empty(x.gpu, shape, 'patches'), // [B, P, channels · p · p]
    groups: Math.ceil(count / 64),
  });
}

/**
 * A convolution with stride = kernel size: x [B, channels, height, width], weight [C, channels · p · p] → [B, P, C].
 * Throws RangeError for a patch size that the image does not hold, ShapeError for weights of other patches.
 */
export function patchConvolution(x: Tensor, weights: Linear, patchSize: number): Tensor {
  const { channels, height, width } = dims(x, 'x [B, channels, height, width]');
  checkPatchSize(patchSize, height, width);
  const { C } = dims(weights.weight, 'weight [C, patch]', { patch: channels * patchSize * patchSize });
  if (weights.bias !== undefined) dims(weights.bias, 'bias [C]', { C });
  return tidy(x.gpu, () => linear(patches(x, patchSize), weights)); // [B, P, C]
}

function checkPatchSize(patchSize: number, height: number, width: number): void {
  if (!Number.isInteger(patchSize) || patchSize < 1 || patchSize > Math.min(height, width)) {
    throw new RangeError(
      `patches: expected a patch size from 1 to ${Math.min(height, width)}, got ${patchSize}`,
    );
  }
}
