// Whether the tensor-core product is right on the device at hand: asked, not believed. SPEC T-28.2.
//
// Operands are f16 numbers of 5 significant bits, so that products and sums are exact in f32: what is off is wrong, or was
// summed in f16. Shapes are one tile, several, and ragged ones.

import type { Gpu } from '../gpu.ts';
import { runKernel, u32 } from '../kernel.ts';
import { dispose, empty, type HalfMatrix, readAll, type Tensor, tensor } from '../tensor.ts';
import { matrixFromChunks } from '../weights.ts';
import { subgroupMatrixKernel } from './subgroup-matrix-product.ts';

/** A product to be tested: x [M, K], weight [N, K], bias [N] → [M, N]. */
export type TestedProduct = (x: Tensor, weight: HalfMatrix, bias: Tensor) => Tensor;

const SHAPES: readonly (readonly [M: number, N: number, K: number])[] = [
  [64, 64, 32],
  [130, 140, 128],
  [65, 70, 36],
  [9, 17, 4],
  [33, 100, 1024],
];

/** Whether a product agrees with JavaScript's on all shapes. An error on the device is a no. */
export async function productIsRight(gpu: Gpu, product: TestedProduct): Promise<boolean> {
  try {
    for (const shape of SHAPES) if (!(await agrees(gpu, product, shape))) return false;
    return true;
  } catch {
    return false;
  }
}

async function agrees(
  gpu: Gpu,
  product: TestedProduct,
  [M, N, K]: readonly [number, number, number],
): Promise<boolean> {
  const left = halves(M * K, 1);
  const right = halves(N * K, 2);
  const shift = halves(N, 3);
  const x = tensor(gpu, Float32Array.from(left, halfOf), [M, K]); //      [M, K]
  const bias = tensor(gpu, Float32Array.from(shift, halfOf), [N]); //     [N]
  const weight = (await matrixFromChunks(gpu, 'f16', [N, K], one(right))) as HalfMatrix; // [N, K]
  const y = product(x, weight, bias); //                                   [M, N]
  const [values] = await readAll(gpu, [y]).finally(() => dispose(x, bias, weight, y));
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      let sum = halfOf(shift[n] as number);
      let magnitude = Math.abs(sum);
      for (let k = 0; k < K; k++) {
        const term = halfOf(left[m * K + k] as number) * halfOf(right[n * K + k] as number);
        sum += term;
        magnitude += Math.abs(term);
      }
      if (!(Math.abs((values[m * N + n] as number) - sum) <= 2 ** -18 * magnitude)) return false;
    }
  }
  return true;
}

async function* one(bits: Uint16Array): AsyncGenerator<Uint16Array> {
  yield bits;
}

/** Bits of f16 numbers of both signs from 1/4 to 2, with 4 bits behind the leading one. */
function halves(count: number, seed: number): Uint16Array {
  let state = seed;
  return Uint16Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const draw = state >>> 20;
    return ((draw & 1) << 15) | ((13 + ((draw >>> 1) % 3)) << 10) | (((draw >>> 3) & 15) << 6);
  });
}

function halfOf(bits: number): number {
  return (bits >> 15 === 1 ? -1 : 1) * (1 + (bits & 0x3ff) / 1024) * 2 ** (((bits >> 10) & 31) - 15);
}

/** The product under test, x [M, K], weight [N, K], bias [N] → [M, N]. */
export function bySubgroupMatrix(x: Tensor, weight: HalfMatrix, bias: Tensor): Tensor {
  const [M, K, N] = [x.shape[0] ?? 0, x.shape[1] ?? 0, weight.shape[0] ?? 0];
  return runKernel(x.gpu, subgroupMatrixKernel, {
    params: [1, M, N, K, 1, N, 1, 0, N].map(u32),
    inputs: [x, weight as unknown as Tensor, bias],
    output: empty(x.gpu, [M, N], 'subgroupMatrix'), // [M, N]
    groups: Math.ceil(M / 64) * Math.ceil(N / 64),
  });
}
