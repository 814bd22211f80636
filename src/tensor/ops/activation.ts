// Activations, element by element. SPEC T-6.
//
//     gelu       y = x/2 · (1 + erf(x / √2))      the projector of LLaVA
//     quickGelu  y = x / (1 + exp(−1.702 x))      CLIP
//     silu       y = x / (1 + exp(−x))            Llama
//     gatedSilu  y = silu(x) · g                  its MLP, in one pass
//
// erf by Abramowitz and Stegun 7.1.26, absolute error 1.5e-7: WGSL has none. For negative x the sum 1 + erf would
// cancel, so the complement erfc is what the polynomial gives, and it is used as it is on that side.
//
// One invocation owns four neighbouring elements, as in elementwise.ts.

import { flatIndex, type Kernel, runKernel, u32, wgsl } from '../kernel.ts';
import { elementCount, empty, type Tensor } from '../tensor.ts';
import { combine } from './elementwise.ts';

const geluKernel: Kernel = {
  name: 'gelu',
  code: wgsl`
    struct Params { quadCount: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<vec4f>;        // [quadCount]
    @group(0) @binding(2) var<storage, read_write> y: array<vec4f>;  // [quadCount]

    ${flatIndex}

    // erfc(z) for z ≥ 0.
    fn erfc(z: vec4f) -> vec4f {
      let t = 1.0 / (1.0 + 0.3275911 * z);
      let polynomial =
        t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
      return polynomial * exp(-z * z);
    }

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.quadCount) { return; }
      let v = x[i];
      // Beyond 10 the result is v or 0 to the last bit; the clamp keeps z · z finite.
      let tail = erfc(min(abs(v), vec4f(10.0)) * 0.70710678118654752);
      y[i] = 0.5 * v * select(tail, 2.0 - tail, v > vec4f(0.0));
    }
  `,
};

const quickGeluKernel: Kernel = {
  name: 'quickGelu',
  code: wgsl`
    struct Params { quadCount: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<vec4f>;        // [quadCount]
    @group(0) @binding(2) var<storage, read_write> y: array<vec4f>;  // [quadCount]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.quadCount) { return; }
      // exp(80) is finite; beyond, the quotient is 0 to the last bit of any result that matters.
      y[i] = x[i] / (1.0 + exp(min(-1.702 * x[i], vec4f(80.0))));
    }
  `,
};

const siluKernel: Kernel = {
  name: 'silu',
  code: wgsl`
    struct Params { quadCount: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<vec4f>;        // [quadCount]
    @group(0) @binding(2) var<storage, read_write> y: array<vec4f>;  // [quadCount]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.quadCount) { return; }
      y[i] = x[i] / (1.0 + exp(min(-x[i], vec4f(80.0))));
    }
  `,
};

const gatedSiluKernel: Kernel = {
  name: 'gatedSilu',
  code: wgsl`
    struct Params { quadCount: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<vec4f>;        // [quadCount]
    @group(0) @binding(2) var<storage, read> g: array<vec4f>;        // [quadCount]
    @group(0) @binding(3) var<storage, read_write> y: array<vec4f>;  // [quadCount]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.quadCount) { return; }
      y[i] = x[i] / (1.0 + exp(min(-x[i], vec4f(80.0)))) * g[i];
    }
  `,
};

/** The exact GELU, with erf. Any shape. */
export function gelu(x: Tensor): Tensor {
  return activate(geluKernel, x);
}

/** x · sigmoid(1.702 x). Any shape. */
export function quickGelu(x: Tensor): Tensor {
  return activate(quickGeluKernel, x);
}

/** x · sigmoid(x). Any shape. */
export function silu(x: Tensor): Tensor {
  return activate(siluKernel, x);
}

/** silu(x) · g, element by element. Any shape, the same for both; otherwise ShapeError. */
export function gatedSilu(x: Tensor, g: Tensor): Tensor {
  return combine(gatedSiluKernel, x, g);
}

function activate(kernel: Kernel, x: Tensor): Tensor {
  const quadCount = Math.ceil(elementCount(x.shape) / 4);
  return runKernel(x.gpu, kernel, {
    params: [u32(quadCount)],
    inputs: [x],
    output: empty(x.gpu, x.shape, kernel.name),
    groups: Math.ceil(quadCount / 64),
  });
}
