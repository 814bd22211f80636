// From a checkpoint to the device, tensor by tensor. SPEC M-2.

import { dispose, type Gpu, type Linear, type Norm, type Tensor, tensor } from '../../tensor/index.ts';
import type { Checkpoint } from './shard-index.ts';

export interface Upload {
  /** The tensor `name`, stored as `stored`, under the shape `shape`. Throws FileError if it is missing or differs. */
  load(name: string, stored: readonly number[], shape?: readonly number[]): Promise<Tensor>;
  /** `name.weight` [N, K]. */
  linear(name: string, N: number, K: number): Promise<Linear>;
  /** `name.weight` [N, K] and `name.bias` [N]. */
  biasedLinear(name: string, N: number, K: number): Promise<Linear>;
  /** `name.weight` and `name.bias`, both [C]. */
  norm(name: string, C: number): Promise<Norm>;
  /** Frees all that was loaded, when loading cannot be finished. */
  discard(): void;
}

export function uploadFrom(gpu: Gpu, checkpoint: Checkpoint): Upload {
  const loaded: Tensor[] = [];
  const load = async (name: string, stored: readonly number[], shape = stored): Promise<Tensor> => {
    const x = tensor(gpu, await checkpoint.floats(name, stored), shape);
    loaded.push(x);
    return x;
  };
  return {
    load,
    async linear(name, N, K) {
      return { weight: await load(`${name}.weight`, [N, K]) };
    },
    async biasedLinear(name, N, K) {
      return { weight: await load(`${name}.weight`, [N, K]), bias: await load(`${name}.bias`, [N]) };
    },
    async norm(name, C) {
      return { weight: await load(`${name}.weight`, [C]), bias: await load(`${name}.bias`, [C]) };
    },
    discard: () => dispose(loaded),
  };
}
