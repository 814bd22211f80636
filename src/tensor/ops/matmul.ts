// Matrix products. SPEC T-7.
//
//     matmul            c[m, n] = Σₖ a[m, k] · b[k, n]
//     matmulTransposed  c[m, n] = Σₖ a[m, k] · b[n, k]           rows of b, as checkpoints store weights
//     linear            y[m, n] = Σₖ x[m, k] · w[n, k] + bias[n] + residual[m, n]
//
// The first two take batches: a [A, M, K] and b [B, …], where A is a multiple of B, and A / B neighbouring matrices of
// a share one of b (grouped-query attention: several query heads read one key head).
//
// Of b as many rows count as the caller says, so that a cache with room for more can be multiplied as it is.
//
// The plain kernels here give one output to an invocation and serve every size. The others load four neighbours at once,
// along K (transposed) or along N, which therefore is a multiple of 4: tiles for every adapter (tile-product.ts), tiles for
// software adapters (subgroup-product.ts, SPEC T-22), and rows where there are few (row-product.ts).

import { ShapeError } from '../errors.ts';
import type { Gpu } from '../gpu.ts';
import { flatIndex, type Kernel, type RowBlock, runKernel, u32, wgsl } from '../kernel.ts';
import { tidy } from '../memory.ts';
import { formOf, lanesShare } from '../row-kernel.ts';
import { dims, elementCount, empty, type Matrix, sameShape, type Tensor } from '../tensor.ts';
import { isHalf, rowBlocks } from '../weights.ts';
import { add } from './elementwise.ts';
import { halfRowKernel, transposedRowKernel } from './row-product.ts';
import { subgroupMatrixKernel } from './subgroup-matrix-product.ts';
import { subgroupHalfKernel, subgroupMatmulKernel, subgroupTransposedKernel } from './subgroup-product.ts';
import { halfTileKernel, matmulTileKernel, transposedTileKernel } from './tile-product.ts';

const matmulPlainKernel: Kernel = {
  name: 'matmulPlain',
  code: wgsl`
    // Of each matrix of b the first K of bRows rows count.
    struct Params { batchCount: u32, M: u32, N: u32, K: u32, sharing: u32, bRows: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<f32>;        // [batchCount, M, K]
    @group(0) @binding(2) var<storage, read> b: array<f32>;        // [batchCount / sharing, bRows, N]
    @group(0) @binding(3) var<storage, read_write> c: array<f32>;  // [batchCount, M, N]

    ${flatIndex}

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = flatIndex(id, groups);
      if (i >= params.batchCount * params.M * params.N) { return; }
      let n = i % params.N;
      let row = i / params.N;  // batch · M + m
      let bFirst = row / params.M / params.sharing * params.bRows * params.N + n;

      var sum = 0.0;
      for (var k = 0u; k < params.K; k++) { sum += a[row * params.K + k] * b[bFirst + k * params.N]; }
      c[i] = sum;
    }
  `,
};

const transposedPlainKernel: Kernel = {
  name: 'transposedPlain',
  code: wgsl`
    // Of each matrix of b the first N of bRows rows count. The N columns stand from firstColumn on in rows of width elements.
    struct Params {
      batchCount: u32, M: u32, N: u32, K: u32, sharing: u32, bRows: u32, hasBias: u32, firstColumn: u32, width: u32,
    }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> a: array<f32>;        // [batchCount, M, K]
    @group(0) @binding(2) var<storage, read> b: array<f32>;        // [batchCount / sharing, bRows, K]
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
      let bFirst = (row / params.M / params.sharing * params.bRows + n) * params.K;

      var sum = 0.0;
      for (var k = 0u; k < params.K; k++) { sum += a[aFirst + k] * b[bFirst + k]; }
      let column = params.firstColumn + n;
      if (params.hasBias == 1u) { sum += bias[column]; }
      c[row * params.width + column] = sum;
    }
  `,
};

/** Weights of a linear layer, as checkpoints store them. */
export interface Linear {
  readonly weight: Matrix; // [N, K]
  readonly bias?: Tensor; //  [N]
}

export interface ProductOptions {
  /** So many rows of each matrix of b count; by default all. */
  readonly rowCount?: number;
}

/**
 * The product of matrices: a [A, M, K], b [B, rows, N], of which K rows count → [A, M, N]. A is a multiple of B; matrix i
 * of `a` meets matrix ⌊i / (A / B)⌋ of `b`. Throws ShapeError if the shapes do not fit, RangeError for more rows than b has.
 */
export function matmul(a: Tensor, b: Tensor, { rowCount }: ProductOptions = {}): Tensor {
  const { A, M, K } = dims(a, 'a [A, M, K]');
  const { B, rows, N } = dims(b, 'b [B, rows, N]', rowCount === undefined ? { rows: K } : {});
  if (rowCount !== undefined) {
    dims(a, 'a [A, M, rowCount]', { rowCount });
    checkRowCount('matmul', rowCount, rows);
  }
  const params = [A, M, N, K, sharing('matmul', A, B), rows].map(u32);
  const output = empty(a.gpu, [A, M, N], 'matmul'); // [A, M, N]
  const { kernel, groups } = matmulPlan(a.gpu, { A, M, N });
  return runKernel(a.gpu, kernel, { params, inputs: [a, b], output, groups });
}

/**
 * The product with the rows of `b`: a [A, M, K], b [B, rows, K], of which N rows count → [A, M, N], batches as in matmul.
 * Throws ShapeError if the shapes do not fit, RangeError for more rows than b has.
 */
export function matmulTransposed(a: Tensor, b: Tensor, { rowCount }: ProductOptions = {}): Tensor {
  const { A, M, K } = dims(a, 'a [A, M, K]');
  const { B, rows } = dims(b, 'b [B, rows, K]', { K });
  const N = rowCount ?? rows;
  checkRowCount('matmulTransposed', N, rows);
  const output = empty(a.gpu, [A, M, N], 'matmulTransposed'); // [A, M, N]
  const shared = sharing('matmulTransposed', A, B);
  const sizes = { A, M, N, K, shared, bRows: rows, firstColumn: 0, width: N };
  return runTransposed({ a, b, output, half: false, ...sizes });
}

function checkRowCount(who: string, rowCount: number, rows: number): void {
  if (Number.isInteger(rowCount) && rowCount >= 0 && rowCount <= rows) return;
  throw new RangeError(`${who}: expected a rowCount of at most ${rows}, got ${rowCount}`);
}

/**
 * y = x Wᵀ + bias over the last axis: x [..., K] → [..., N]; with a residual [..., N], y + residual. The weight may be
 * packed f16, and larger than one binding. Throws ShapeError if the shapes do not fit.
 */
export function linear(x: Tensor, { weight, bias }: Linear, residual?: Tensor): Tensor {
  const { N, K } = dims(weight, 'weight [N, K]');
  if (bias !== undefined) dims(bias, 'bias [N]', { N });
  if (x.shape.at(-1) !== K) {
    throw new ShapeError(
      `linear: expected x [..., ${K}] for weight [${N}, ${K}], got [${x.shape.join(', ')}]`,
    );
  }
  const shape = [...x.shape.slice(0, -1), N];
  if (residual !== undefined && !sameShape(residual.shape, shape)) {
    throw new ShapeError(
      `linear: expected residual [${shape.join(', ')}], got [${residual.shape.join(', ')}]`,
    );
  }
  const M = elementCount(x.shape.slice(0, -1));
  if (residual !== undefined && !hasFewRows(x.gpu, M, K)) {
    return tidy(x.gpu, () => add(residual, linear(x, { weight, ...(bias && { bias }) }))); // [..., N]
  }
  const output = empty(x.gpu, shape, 'linear'); // [..., N]
  for (const { firstRow, rowCount, operand } of rowBlocks(weight)) {
    const sizes = { A: 1, M, N: rowCount, K, shared: 1, bRows: rowCount, firstColumn: firstRow, width: N };
    const added = { ...(bias && { bias }), ...(residual && { residual }) };
    runTransposed({ a: x, b: operand, output, half: isHalf(weight), ...sizes, ...added });
  }
  return output;
}

interface TransposedProduct {
  readonly a: Tensor; //            [A, M, K]
  readonly b: Tensor | RowBlock; // [A / shared, bRows, K], N rows of each count
  readonly half: boolean; //        b is packed f16
  readonly bias?: Tensor; //        [width]
  readonly residual?: Tensor; //    as the output; row kernels add it
  readonly output: Tensor; //       [A, M, width], of which the N columns from firstColumn on are written
  readonly A: number;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly shared: number;
  readonly bRows: number;
  readonly firstColumn: number;
  readonly width: number;
}

function runTransposed(product: TransposedProduct): Tensor {
  const { a, b, bias, residual, output, A, M, N, K, shared, bRows, firstColumn, width } = product;
  const sizes = [A, M, N, K, shared, bRows, bias === undefined ? 0 : 1, firstColumn, width];
  const { kernel, groups } = transposedPlan(product);
  const inputs = [a, b, bias ?? b];
  if (!hasFewRows(a.gpu, M, K)) {
    return runKernel(a.gpu, kernel, { params: sizes.map(u32), inputs, output, groups });
  }
  const params = [...sizes, residual === undefined ? 0 : 1].map(u32);
  return runKernel(a.gpu, kernel, { params, inputs: [...inputs, residual ?? b], output, groups });
}

interface Plan {
  readonly kernel: Kernel;
  readonly groups: number;
}

// Measured on lavapipe: up to so many rows the row kernels are faster than the tiles of a subgroup, or of a workgroup.
const FEW_ROWS = { bySubgroup: 2, byWorkgroup: 8 };

function hasFewRows(gpu: Gpu, M: number, K: number): boolean {
  return K % 4 === 0 && M <= (lanesShare(gpu) ? FEW_ROWS.bySubgroup : FEW_ROWS.byWorkgroup);
}

/** The kernel that is fastest here for a product with the rows of b, and how many workgroups of it. */
function transposedPlan({ a, half, A, M, N, K }: TransposedProduct): Plan {
  if (K % 4 !== 0) {
    return { kernel: transposedPlainKernel, groups: Math.ceil((A * M * N) / 64) };
  }
  if (hasFewRows(a.gpu, M, K)) {
    const kernel = formOf(half ? halfRowKernel : transposedRowKernel, a.gpu);
    return { kernel, groups: A * M * Math.ceil(N / 8) };
  }
  if (lanesShare(a.gpu)) {
    const kernel = half ? subgroupHalfKernel : subgroupTransposedKernel;
    return { kernel, groups: A * Math.ceil(M / 16) * Math.ceil(N / 16) };
  }
  if (half && a.gpu.subgroupMatrix === 'passed') {
    return { kernel: subgroupMatrixKernel, groups: Math.ceil(M / 64) * Math.ceil(N / 64) };
  }
  const kernel = half ? halfTileKernel : transposedTileKernel;
  return { kernel, groups: A * Math.ceil(M / 64) * Math.ceil(N / 64) };
}

/** The same for the product of two matrices. */
function matmulPlan(gpu: Gpu, { A, M, N }: { A: number; M: number; N: number }): Plan {
  if (N % 4 === 0 && lanesShare(gpu)) {
    return { kernel: subgroupMatmulKernel, groups: A * Math.ceil(M / 16) * Math.ceil(N / 32) };
  }
  if (N % 4 === 0 && M > FEW_ROWS.byWorkgroup) {
    return { kernel: matmulTileKernel, groups: A * Math.ceil(M / 64) * Math.ceil(N / 64) };
  }
  return { kernel: matmulPlainKernel, groups: Math.ceil((A * M * N) / 64) };
}

function sharing(who: string, A: number, B: number): number {
  if (A === 0 && B === 0) return 1;
  if (B === 0 || A % B !== 0) {
    throw new ShapeError(`${who}: expected a's batch to be a multiple of b's, got ${A} and ${B}`);
  }
  return Math.max(1, A / B);
}
