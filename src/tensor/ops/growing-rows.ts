// Rows that grow in place: a key-value cache. SPEC T-27.
//
//     y[..., l] = x[..., l] for l < L, rows[..., l − L] behind        x [..., L, D], rows [..., T, D] → [..., L + T, D]
//
// The rows lie in a room for more. What is appended is written behind them, and nothing is copied; rows that are there
// are never written again, so a value stays what it is. Where the room is full, or another value has grown into it, the
// rows move to a new one first.

import { ShapeError } from '../errors.ts';
import type { Gpu } from '../gpu.ts';
import { elementCount, empty, reshape, type Tensor } from '../tensor.ts';
import { copyRuns, slice } from './layout.ts';

export interface GrowingRows {
  readonly room: Tensor; // [..., capacity, D], of which the first `length` rows count
  readonly length: number;
  /** How many rows of the room are taken, by this value or by one that has grown out of it. */
  readonly taken: { length: number };
}

/** No rows yet, and room for `shape` = [..., capacity, D]. Throws ShapeError for fewer than two axes. */
export function growingRows(gpu: Gpu, shape: readonly number[]): GrowingRows {
  checkRank('growingRows', shape);
  return { room: empty(gpu, shape, 'growingRows'), length: 0, taken: { length: 0 } };
}

/**
 * The first `length` rows of x [..., capacity, D], by default all; the others are room. The rows share its memory, so `x`
 * itself must not be read any more. Throws ShapeError for fewer than two axes, RangeError for more rows than there are.
 */
export function growingRowsOf(x: Tensor, length: number = x.shape.at(-2) ?? 0): GrowingRows {
  checkRank('growingRowsOf', x.shape);
  const capacity = x.shape.at(-2) as number;
  if (!Number.isInteger(length) || length < 0 || length > capacity) {
    throw new RangeError(`growingRowsOf: expected at most ${capacity} rows, got ${length}`);
  }
  return { room: reshape(x, x.shape), length, taken: { length } };
}

function checkRank(who: string, shape: readonly number[]): void {
  if (shape.length < 2) throw new ShapeError(`${who}: expected [..., rows, D], got [${shape.join(', ')}]`);
}

/** The rows there are, copied out: [..., L, D]. */
export function rowsOf({ room, length }: GrowingRows): Tensor {
  return slice(room, room.shape.length - 2, 0, length);
}

/**
 * Appends rows [..., T, D]. `past` stays as it is and belongs to the caller; both share memory. Where a new room is needed
 * it has `capacity` rows, at least as many as there are then. Throws ShapeError unless all axes but T are the room's.
 */
export function appendRows(past: GrowingRows, rows: Tensor, capacity = 0): GrowingRows {
  const axis = past.room.shape.length - 2;
  const T = rows.shape[axis] ?? 0;
  const fits =
    rows.shape.length === past.room.shape.length &&
    rows.shape.every((n, a) => a === axis || n === past.room.shape[a]);
  if (!fits) {
    throw new ShapeError(
      `appendRows: expected all but axis ${axis} like [${past.room.shape.join(', ')}], got [${rows.shape.join(', ')}]`,
    );
  }
  const length = past.length + T;
  const isFree = past.taken.length === past.length && length <= (past.room.shape[axis] as number);
  const { room, taken } = isFree
    ? { room: reshape(past.room, past.room.shape), taken: past.taken }
    : moved(past, Math.max(capacity, length));
  taken.length = length; // before anything is written: a step that fails half-way leaves `past` as it is
  write(rows, room, T, past.length);
  return { room, length, taken };
}

/** The rows of `past` at the beginning of a new room. */
function moved({ room, length }: GrowingRows, capacity: number): Pick<GrowingRows, 'room' | 'taken'> {
  const wider = empty(room.gpu, room.shape.with(-2, capacity), 'appendRows'); // [..., capacity, D]
  write(room, wider, length, 0);
  return { room: wider, taken: { length } };
}

/** The first T rows of x [..., rows, D], written at row `first` of y [..., capacity, D]. */
function write(x: Tensor, y: Tensor, T: number, first: number): void {
  const D = y.shape.at(-1) as number;
  const from = { first: 0, stride: elementCount(x.shape.slice(-2)) };
  copyRuns(x, y, T * D, from, { first: first * D, stride: elementCount(y.shape.slice(-2)) });
}
