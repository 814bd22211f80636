// What all forms of attention ask of their operands. SPEC T-9.

import { ShapeError } from '../errors.ts';
import { dims, type Tensor } from '../tensor.ts';

export interface AttentionOptions {
  /** Query t of T sees only the keys up to its own place, L − T + t. */
  readonly causal: boolean;
  /** So many of the keys and values count, those in front; the others are room for more. By default all. */
  readonly keyCount?: number;
}

export interface AttentionSizes {
  readonly B: number;
  readonly H: number;
  readonly T: number;
  readonly D: number;
  readonly G: number;
  readonly L: number;
  readonly keyCount: number; // at most L
}

/** The sizes of queries [B, H, T, D] and keys [B, G, L, D]. Throws ShapeError, and RangeError for a keyCount beyond L. */
export function checkAttention(queries: Tensor, keys: Tensor, options: AttentionOptions): AttentionSizes {
  const { B, H, T, D } = dims(queries, 'queries [B, H, T, D]');
  const { G, L } = dims(keys, 'keys [B, G, L, D]', { B, D });
  const keyCount = options.keyCount ?? L;
  if (!Number.isInteger(keyCount) || keyCount < 0 || keyCount > L) {
    throw new RangeError(`attention: expected a keyCount of at most ${L}, got ${keyCount}`);
  }
  if (H > 0 && (G === 0 || H % G !== 0)) {
    throw new ShapeError(`attention: expected query heads to be a multiple of key heads, got ${H} and ${G}`);
  }
  if (options.causal && T > keyCount) {
    throw new ShapeError(
      `attention: expected at most as many causal queries as keys, got ${T} and ${keyCount}`,
    );
  }
  return { B, H, T, D, G, L, keyCount };
}
