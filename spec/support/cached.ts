// What a key-value cache holds, as tensors.

import type { KeyValueCache } from '../../src/models/index.ts';
import { growingRowsOf, rowsOf, type Tensor } from '../../src/tensor/index.ts';

interface LayerTensors {
  readonly keys: Tensor; //   [B, G, L, D]
  readonly values: Tensor; // [B, G, L, D]
}

/** The cached keys and values of each layer, copied out. */
export function cached({ layers }: KeyValueCache): LayerTensors[] {
  return layers.map(({ keys, values }) => ({ keys: rowsOf(keys), values: rowsOf(values) }));
}

/** A cache like this one whose layers hold what `change` makes of the keys and values of its layers. */
export function recached(cache: KeyValueCache, change: (rows: Tensor) => Tensor): KeyValueCache {
  const layers = cached(cache).map(({ keys, values }) => ({
    keys: growingRowsOf(change(keys)),
    values: growingRowsOf(change(values)),
  }));
  return { ...cache, length: layers[0]?.keys.length ?? 0, layers };
}
