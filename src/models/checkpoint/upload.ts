// From a checkpoint to the device, tensor by tensor. SPEC M-2, M-2.30.

import {
  dispose,
  type Gpu,
  type Linear,
  type Matrix,
  matrixFromChunks,
  type Norm,
  type Tensor,
  tensor,
} from '../../tensor/index.ts';
import type { Checkpoint } from './shard-index.ts';

/**
 * What matrices are on the device: f32, f16 (two values to a word, read exactly), or as the file stores them, F16 as f16
 * and the others as f32. Vectors are always f32.
 */
export type WeightType = 'stored' | 'f32' | 'f16';

export interface Upload {
  /** The tensor `name`, stored as `stored`, as f32 under `shape`. Throws FileError if it is missing or differs. */
  load(name: string, stored: readonly number[], shape?: readonly number[]): Promise<Tensor>;
  /** The tensor `name`, stored as `stored`, as a matrix of as many rows as its first axis. */
  matrix(name: string, stored: readonly number[]): Promise<Matrix>;
  /** `name.weight` [N, K]. */
  linear(name: string, N: number, K: number): Promise<Linear>;
  /** `name.weight` [N, K] and `name.bias` [N]. */
  biasedLinear(name: string, N: number, K: number): Promise<Linear>;
  /** `name.weight` and `name.bias`, both [C]. */
  norm(name: string, C: number): Promise<Norm>;
  /** Frees all that was loaded, when loading cannot be finished. */
  discard(): void;
}

interface MatrixForm {
  readonly rows: number;
  readonly columns: number;
  readonly dtype: 'f32' | 'f16';
}

function matrixForm(
  checkpoint: Checkpoint,
  name: string,
  stored: readonly number[],
  weightType: WeightType,
): MatrixForm {
  const [rows = 1, ...rest] = stored;
  const columns = rest.reduce((product, length) => product * length, 1);
  const isPacked = weightType === 'f16' || (weightType === 'stored' && checkpoint.dtype(name) === 'F16');
  // Packed rows begin at whole words of four values; a matrix that cannot is small.
  return { rows, columns, dtype: isPacked && columns % 4 === 0 ? 'f16' : 'f32' };
}

/** The bytes that the tensors `names` will take on the device. */
export function weightBytes(
  checkpoint: Checkpoint,
  names: readonly string[],
  weightType: WeightType,
): number {
  return names.reduce((sum, name) => {
    const shape = checkpoint.shape(name);
    const { rows, columns, dtype } = matrixForm(checkpoint, name, shape, weightType);
    return sum + rows * columns * (shape.length > 1 && dtype === 'f16' ? 2 : 4);
  }, 0);
}

export function uploadFrom(gpu: Gpu, checkpoint: Checkpoint, weightType: WeightType): Upload {
  const loaded: Matrix[] = [];
  const keep = <T extends Matrix>(x: T): T => {
    loaded.push(x);
    return x;
  };
  const load = async (name: string, stored: readonly number[], shape = stored): Promise<Tensor> =>
    keep(tensor(gpu, await checkpoint.floats(name, stored), shape));
  const matrix = async (name: string, stored: readonly number[]): Promise<Matrix> => {
    const { rows, columns, dtype } = matrixForm(checkpoint, name, stored, weightType);
    return keep(await matrixFromChunks(gpu, dtype, [rows, columns], checkpoint.chunks(name, stored, dtype)));
  };
  return uploadOf({ load, matrix, discard: () => dispose(loaded) });
}

/** An upload whose layers are made of what loads single tensors and matrices. */
export function uploadOf(parts: Pick<Upload, 'load' | 'matrix' | 'discard'>): Upload {
  const { load, matrix } = parts;
  return {
    ...parts,
    async linear(name, N, K) {
      return { weight: await matrix(`${name}.weight`, [N, K]) };
    },
    async biasedLinear(name, N, K) {
      return { weight: await matrix(`${name}.weight`, [N, K]), bias: await load(`${name}.bias`, [N]) };
    },
    async norm(name, C) {
      return { weight: await load(`${name}.weight`, [C]), bias: await load(`${name}.bias`, [C]) };
    },
  };
}
