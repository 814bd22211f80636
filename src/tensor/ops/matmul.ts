// Matrix products. SPEC T-7.
//
//     matmul            c[m, n] = Σₖ a[m, k] · b[k, n]
//     matmulTransposed  c[m, n] = Σₖ a[m, k] · b[n, k]           rows of b, as checkpoints store weights
//     linear            y[m, n] = Σₖ x[m, k] · w[n, k] + bias[n]
//
// The first two take batches: a [A, M, K] and b [B, …], where A is a multiple of B, and A / B neighbouring matrices of
// a share one of b (grouped-query attention: several query heads read one key head).
//
// The plain kernels give one output to an invocation. The tiled ones give it 8 rows and 8 columns, which it keeps in
// registers while it walks K, so that each value loaded is used eight times; the 64 invocations of a workgroup form
// a square of 64 × 64 outputs. They load four neighbours at once, along K (transposed) or along N, which therefore is
// a multiple of 4; the plain kernels serve the other sizes, and products of at most 8 rows, which would leave most of a
// tile idle. Rows beyond the edge are clamped, not stored. Software adapters have kernels of their own
// (subgroup-product.ts, SPEC T-22).

import { ShapeError } from '../errors.ts';
import type { Gpu } from '../gpu.ts';
import { flatGroup, flatIndex, type Kernel, type RowBlock, runKernel, u32, wgsl } from '../kernel.ts';
import { dims, elementCount, empty, type Matrix, type Tensor } from '../tensor.ts';
import { isHalf, rowBlocks } from '../weights.ts';
import { halfPlainKernel, halfTiledKernel } from './half-product.ts';
import {
  subgroupHalfKernel,
  subgroupHalfRowKernel,
  subgroupMatmulKernel,
  subgroupTransposedKernel,
  subgroupTransposedRowKernel,
} from './subgroup-product.ts';

const matmulPlainKernel: Kernel = {
  name: 'matmulPlain',
  code: wgsl`
    struct Params { batchCount: u32, M: u32, N: u32, K: u32, sharing: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<f32>;        // [batchCount, M, K]
    @group(0) @binding(2) var<storage, read> b: array<f32>;        // [batchCount / sharing, K, N]
    @group(0) @binding(3) var<storage, read_write> c: array<f32>;  // [batchCount, M, N]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.batchCount * params.M * params.N) { return; }
      let n = i % params.N;
      let row = i / params.N;  // batch · M + m
      let bFirst = row / params.M / params.sharing * params.K * params.N + n;

      var sum = 0.0;
      for (var k = 0u; k < params.K; k++) { sum += a[row * params.K + k] * b[bFirst + k * params.N]; }
      c[i] = sum;
    }
  `,
};

const matmulTiledKernel: Kernel = {
  name: 'matmulTiled',
  code: wgsl`
    struct Params { batchCount: u32, M: u32, N: u32, K: u32, sharing: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<f32>;          // [batchCount, M, K]
    @group(0) @binding(2) var<storage, read> b: array<vec4f>;        // [batchCount / sharing, K, N / 4]
    @group(0) @binding(3) var<storage, read_write> c: array<vec4f>;  // [batchCount, M, N / 4]

    ${flatGroup}

    // An invocation owns rows lane.y + 8 i and the quads of columns lane.x + 8 j.
    @compute @workgroup_size(8, 8)
    fn main(
      @builtin(workgroup_id) id: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(local_invocation_id) lane: vec3u,
    ) {
      let quads = params.N / 4u;
      let tilesAcross = (quads + 15u) / 16u;
      let tilesDown = (params.M + 63u) / 64u;
      let tile = flatGroup(id, groups);
      let batch = tile / (tilesAcross * tilesDown);
      if (batch >= params.batchCount) { return; }
      let row = tile / tilesAcross % tilesDown * 64u + lane.y;
      let quad = tile % tilesAcross * 16u + lane.x;

      var aRow: array<u32, 8>;
      for (var i = 0u; i < 8u; i++) { aRow[i] = (batch * params.M + min(row + 8u * i, params.M - 1u)) * params.K; }
      let bFirst = batch / params.sharing * params.K * quads;
      let left = bFirst + min(quad, quads - 1u);
      let right = bFirst + min(quad + 8u, quads - 1u);

      var sum: array<array<vec4f, 2>, 8>;
      for (var k = 0u; k < params.K; k++) {
        let bLeft = b[left + k * quads];
        let bRight = b[right + k * quads];
        for (var i = 0u; i < 8u; i++) {
          let value = a[aRow[i] + k];
          sum[i][0] += value * bLeft;
          sum[i][1] += value * bRight;
        }
      }

      for (var i = 0u; i < 8u; i++) {
        let m = row + 8u * i;
        if (m < params.M) {
          let first = (batch * params.M + m) * quads;
          if (quad < quads) { c[first + quad] = sum[i][0]; }
          if (quad + 8u < quads) { c[first + quad + 8u] = sum[i][1]; }
        }
      }
    }
  `,
};

const matmulTransposedPlainKernel: Kernel = {
  name: 'matmulTransposedPlain',
  code: wgsl`
    // The N columns stand from firstColumn on in rows of width elements.
    struct Params {
      batchCount: u32, M: u32, N: u32, K: u32, sharing: u32, hasBias: u32, firstColumn: u32, width: u32,
    }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<f32>;        // [batchCount, M, K]
    @group(0) @binding(2) var<storage, read> b: array<f32>;        // [batchCount / sharing, N, K]
    @group(0) @binding(3) var<storage, read> bias: array<f32>;     // [width], or anything if hasBias is 0
    @group(0) @binding(4) var<storage, read_write> c: array<f32>;  // [batchCount, M, width]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.batchCount * params.M * params.N) { return; }
      let n = i % params.N;
      let row = i / params.N;  // batch · M + m
      let aFirst = row * params.K;
      let bFirst = (row / params.M / params.sharing * params.N + n) * params.K;

      var sum = 0.0;
      for (var k = 0u; k < params.K; k++) { sum += a[aFirst + k] * b[bFirst + k]; }
      let column = params.firstColumn + n;
      if (params.hasBias == 1u) { sum += bias[column]; }
      c[row * params.width + column] = sum;
    }
  `,
};

const matmulTransposedTiledKernel: Kernel = {
  name: 'matmulTransposedTiled',
  code: wgsl`
    // The N columns stand from firstColumn on in rows of width elements.
    struct Params {
      batchCount: u32, M: u32, N: u32, K: u32, sharing: u32, hasBias: u32, firstColumn: u32, width: u32,
    }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<vec4f>;      // [batchCount, M, K / 4]
    @group(0) @binding(2) var<storage, read> b: array<vec4f>;      // [batchCount / sharing, N, K / 4]
    @group(0) @binding(3) var<storage, read> bias: array<f32>;     // [width], or anything if hasBias is 0
    @group(0) @binding(4) var<storage, read_write> c: array<f32>;  // [batchCount, M, width]

    ${flatGroup}

    // An invocation owns rows lane.y + 8 i and columns lane.x + 8 j.
    @compute @workgroup_size(8, 8)
    fn main(
      @builtin(workgroup_id) id: vec3u,
      @builtin(num_workgroups) groups: vec3u,
      @builtin(local_invocation_id) lane: vec3u,
    ) {
      let quads = params.K / 4u;
      let tilesAcross = (params.N + 63u) / 64u;
      let tilesDown = (params.M + 63u) / 64u;
      let tile = flatGroup(id, groups);
      let batch = tile / (tilesAcross * tilesDown);
      if (batch >= params.batchCount) { return; }
      let row = tile / tilesAcross % tilesDown * 64u + lane.y;
      let column = tile % tilesAcross * 64u + lane.x;

      var aRow: array<u32, 8>;
      var bRow: array<u32, 8>;
      for (var i = 0u; i < 8u; i++) {
        aRow[i] = (batch * params.M + min(row + 8u * i, params.M - 1u)) * quads;
        bRow[i] = (batch / params.sharing * params.N + min(column + 8u * i, params.N - 1u)) * quads;
      }

      var sum: array<array<f32, 8>, 8>;
      for (var k = 0u; k < quads; k++) {
        var bQuad: array<vec4f, 8>;
        for (var j = 0u; j < 8u; j++) { bQuad[j] = b[bRow[j] + k]; }
        for (var i = 0u; i < 8u; i++) {
          let aQuad = a[aRow[i] + k];
          for (var j = 0u; j < 8u; j++) { sum[i][j] += dot(aQuad, bQuad[j]); }
        }
      }

      for (var j = 0u; j < 8u; j++) {
        let n = column + 8u * j;
        if (n < params.N) {
          var shift = 0.0;
          let place = params.firstColumn + n;
          if (params.hasBias == 1u) { shift = bias[place]; }
          for (var i = 0u; i < 8u; i++) {
            let m = row + 8u * i;
            if (m < params.M) { c[(batch * params.M + m) * params.width + place] = sum[i][j] + shift; }
          }
        }
      }
    }
  `,
};

// Measured on lavapipe: below this the plain kernel is 1.2 to 8 times as fast, above it the tiled one.
const FEW_ROWS = 8;
const FEWEST_ROWS = 2; // the same for the row and tile kernels of a subgroup

/** Weights of a linear layer, as checkpoints store them. */
export interface Linear {
  readonly weight: Matrix; // [N, K]
  readonly bias?: Tensor; //  [N]
}

/**
 * The product of matrices: a [A, M, K], b [B, K, N] → [A, M, N]. A is a multiple of B; matrix i of `a` meets matrix
 * ⌊i / (A / B)⌋ of `b`. Throws ShapeError if the shapes do not fit.
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  const { A, M, K } = dims(a, 'a [A, M, K]');
  const { B, N } = dims(b, 'b [B, K, N]', { K });
  const params = [u32(A), u32(M), u32(N), u32(K), u32(sharing('matmul', A, B))];
  const output = empty(a.gpu, [A, M, N], 'matmul'); // [A, M, N]
  const { kernel, groups } = matmulPlan(a.gpu, { A, M, N });
  return runKernel(a.gpu, kernel, { params, inputs: [a, b], output, groups });
}

/**
 * The product with the rows of `b`: a [A, M, K], b [B, N, K] → [A, M, N], batches as in matmul. Throws ShapeError if
 * the shapes do not fit.
 */
export function matmulTransposed(a: Tensor, b: Tensor): Tensor {
  const { A, M, K } = dims(a, 'a [A, M, K]');
  const { B, N } = dims(b, 'b [B, N, K]', { K });
  const output = empty(a.gpu, [A, M, N], 'matmulTransposed'); // [A, M, N]
  const shared = sharing('matmulTransposed', A, B);
  return runTransposed({ a, b, output, half: false, A, M, N, K, shared, firstColumn: 0, width: N });
}

/**
 * y = x Wᵀ + bias over the last axis: x [..., K] → [..., N]. The weight may be packed f16, and larger than one binding.
 * Throws ShapeError if the shapes do not fit.
 */
export function linear(x: Tensor, { weight, bias }: Linear): Tensor {
  const { N, K } = dims(weight, 'weight [N, K]');
  if (bias !== undefined) dims(bias, 'bias [N]', { N });
  if (x.shape.at(-1) !== K) {
    throw new ShapeError(
      `linear: expected x [..., ${K}] for weight [${N}, ${K}], got [${x.shape.join(', ')}]`,
    );
  }
  const M = elementCount(x.shape.slice(0, -1));
  const output = empty(x.gpu, [...x.shape.slice(0, -1), N], 'linear'); // [..., N]
  for (const { firstRow, rowCount, operand } of rowBlocks(weight)) {
    const sizes = { A: 1, M, N: rowCount, K, shared: 1, firstColumn: firstRow, width: N };
    runTransposed({ a: x, b: operand, output, half: isHalf(weight), ...sizes, ...(bias && { bias }) });
  }
  return output;
}

interface TransposedProduct {
  readonly a: Tensor; //            [A, M, K]
  readonly b: Tensor | RowBlock; // [A / shared, N, K]
  readonly half: boolean; //        b is packed f16
  readonly bias?: Tensor; //        [width]
  readonly output: Tensor; //       [A, M, width], of which the N columns from firstColumn on are written
  readonly A: number;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly shared: number;
  readonly firstColumn: number;
  readonly width: number;
}

function runTransposed(product: TransposedProduct): Tensor {
  const { a, b, bias, output, A, M, N, K, shared, firstColumn, width } = product;
  const params = [A, M, N, K, shared, bias === undefined ? 0 : 1, firstColumn, width].map(u32);
  const inputs = [a, b, bias ?? b];
  const { kernel, groups } = transposedPlan(product);
  return runKernel(a.gpu, kernel, { params, inputs, output, groups });
}

interface Plan {
  readonly kernel: Kernel;
  readonly groups: number;
}

/** The kernel that is fastest here for a product with the rows of b, and how many workgroups of it. */
function transposedPlan({ a, half, A, M, N, K }: TransposedProduct): Plan {
  if (K % 4 === 0 && passesRound(a.gpu)) {
    if (M <= FEWEST_ROWS) {
      const kernel = half ? subgroupHalfRowKernel : subgroupTransposedRowKernel;
      return { kernel, groups: A * M * Math.ceil(N / 8) };
    }
    const kernel = half ? subgroupHalfKernel : subgroupTransposedKernel;
    return { kernel, groups: A * Math.ceil(M / 16) * Math.ceil(N / 16) };
  }
  if (K % 4 === 0 && M > FEW_ROWS) {
    const kernel = half ? halfTiledKernel : matmulTransposedTiledKernel;
    return { kernel, groups: A * Math.ceil(M / 64) * Math.ceil(N / 64) };
  }
  const kernel = half ? halfPlainKernel : matmulTransposedPlainKernel;
  return { kernel, groups: Math.ceil((A * M * N) / 64) };
}

/** The same for the product of two matrices. */
function matmulPlan(gpu: Gpu, { A, M, N }: { A: number; M: number; N: number }): Plan {
  if (N % 4 === 0 && passesRound(gpu)) {
    return { kernel: subgroupMatmulKernel, groups: A * Math.ceil(M / 16) * Math.ceil(N / 32) };
  }
  if (N % 4 === 0 && M > FEW_ROWS) {
    return { kernel: matmulTiledKernel, groups: A * Math.ceil(M / 64) * Math.ceil(N / 64) };
  }
  return { kernel: matmulPlainKernel, groups: Math.ceil((A * M * N) / 64) };
}

/** Whether the kernels of subgroup-product.ts are the fast ones here. */
function passesRound(gpu: Gpu): boolean {
  return gpu.adapter.software && gpu.subgroupSize === 8;
}

function sharing(who: string, A: number, B: number): number {
  if (A === 0 && B === 0) return 1;
  if (B === 0 || A % B !== 0) {
    throw new ShapeError(`${who}: expected a's batch to be a multiple of b's, got ${A} and ${B}`);
  }
  return Math.max(1, A / B);
}
