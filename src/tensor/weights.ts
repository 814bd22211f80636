// Matrices of weights: f32 or packed f16, filled in chunks, read in blocks of rows. SPEC T-20.
//
// A buffer may be larger than what an adapter binds at once (lavapipe: 4 GiB against 128 MiB; the embedding of a 7B model
// takes 250 MiB as f16). The rows of [rows, columns] lie one behind the other, so a block of rows is one range.

import { ShapeError } from './errors.ts';
import { finish, type Gpu } from './gpu.ts';
import { type RowBlock, submit, unshared } from './kernel.ts';
import { allocateWeights } from './memory.ts';
import {
  checkShape,
  dims,
  dispose,
  elementCount,
  type HalfMatrix,
  type Matrix,
  type Tensor,
  wrap,
} from './tensor.ts';

/** The values of a matrix in order, in pieces of any length; f16 as their bits. */
export type WeightChunks = AsyncIterable<Float32Array> | AsyncIterable<Uint16Array>;

const BYTES_BETWEEN_WAITS = 64 * 2 ** 20;

/**
 * Uploads weights [rows, columns] piece by piece, so that they are never whole in JavaScript's memory. Throws ShapeError
 * unless the pieces are as many values as the shape says and, for f16, columns are a multiple of 4.
 */
export async function matrixFromChunks(
  gpu: Gpu,
  dtype: 'f32' | 'f16',
  shape: readonly [number, number],
  chunks: WeightChunks,
): Promise<Matrix> {
  checkShape('matrixFromChunks', shape);
  if (dtype === 'f16' && shape[1] % 4 !== 0) {
    throw new ShapeError(
      `matrixFromChunks: expected columns divisible by 4 for f16, got [${shape.join(', ')}]`,
    );
  }
  const count = elementCount(shape);
  const storage = allocateWeights(gpu.memory, count * bytesOf(dtype), 'matrixFromChunks');
  const matrix: Matrix = wrap<'f32' | 'f16'>(gpu, dtype, shape, storage) as Matrix;
  try {
    await fill(gpu, matrix, count, chunks);
  } catch (error) {
    dispose(matrix);
    throw error;
  }
  return matrix;
}

/** Dispatches that are still queued may read what a recycled buffer held, so they go first. */
async function fill(gpu: Gpu, matrix: Matrix, count: number, chunks: WeightChunks): Promise<void> {
  submit(gpu);
  let written = 0; // values
  let unawaited = 0; // bytes
  for await (const chunk of chunks) {
    checkCount(matrix, count, written + chunk.length <= count);
    const whole = wholeWords(chunk);
    gpu.device.queue.writeBuffer(matrix.storage.buffer, written * bytesOf(matrix.dtype), whole);
    written += chunk.length;
    unawaited += whole.byteLength;
    if (unawaited < BYTES_BETWEEN_WAITS) continue;
    // Staging memory comes back with a submit that has been waited for.
    gpu.device.queue.submit([]);
    await finish(gpu);
    unawaited = 0;
  }
  checkCount(matrix, count, written === count);
}

function checkCount({ shape }: Matrix, count: number, fits: boolean): void {
  if (fits) return;
  throw new ShapeError(
    `matrixFromChunks: expected ${count} values for [${shape.join(', ')}], got another number`,
  );
}

/** Writes are whole words of four bytes; a piece of f16 therefore has an even length. */
function wholeWords(chunk: Float32Array | Uint16Array): ArrayBufferView<ArrayBuffer> {
  if (chunk.byteLength % 4 !== 0) {
    throw new ShapeError(
      `matrixFromChunks: expected pieces of an even number of f16 values, got ${chunk.length}`,
    );
  }
  return unshared(chunk);
}

function bytesOf(dtype: 'f32' | 'f16'): number {
  return dtype === 'f32' ? 4 : 2;
}

export interface Rows {
  readonly firstRow: number;
  readonly rowCount: number;
  readonly operand: Tensor | RowBlock;
}

/** The rows of a matrix in blocks that the adapter binds, mostly one. No rows, no blocks. */
export function rowBlocks(matrix: Matrix): Rows[] {
  const { rows, columns } = dims(matrix, 'matrix [rows, columns]');
  const { maxStorageBufferBindingSize } = matrix.gpu.device.limits;
  const rowBytes = Math.max(1, columns * bytesOf(matrix.dtype));
  if (matrix.dtype === 'f32' && matrix.storage.capacity <= maxStorageBufferBindingSize) {
    return [{ firstRow: 0, rowCount: rows, operand: matrix }];
  }
  // Offsets are multiples of 256 bytes; 64 rows of whole words are.
  const rowsPerBlock = Math.floor(maxStorageBufferBindingSize / rowBytes / 64) * 64;
  if (rowsPerBlock === 0) {
    throw new ShapeError(
      `rowBlocks: expected 64 rows in ${maxStorageBufferBindingSize} bytes, got rows of ${rowBytes}`,
    );
  }
  return Array.from({ length: Math.ceil(rows / rowsPerBlock) }, (_, block) => {
    const firstRow = block * rowsPerBlock;
    const rowCount = Math.min(rowsPerBlock, rows - firstRow);
    const byteLength = Math.ceil((rowCount * rowBytes) / 4) * 4;
    return { firstRow, rowCount, operand: { matrix, byteOffset: firstRow * rowBytes, byteLength } };
  });
}

/** Whether a matrix is packed. */
export function isHalf(matrix: Matrix): matrix is HalfMatrix {
  return matrix.dtype === 'f16';
}
