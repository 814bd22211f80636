// The errors of this library. One form: `who: expected X, got Y`. SPEC T-1.
//
// Counts, indices and options that are out of range throw the built-in RangeError.

/** A rank or an axis is not what the function takes. */
export class ShapeError extends Error {
  override readonly name: string = 'ShapeError';
}

/** No adapter, a lost device, a kernel that does not compile, or memory that is not to be had. */
export class GpuError extends Error {
  override readonly name: string = 'GpuError';
}

/** A file is missing, truncated, too large, or not what its name says. The message names the file. */
export class FileError extends Error {
  override readonly name: string = 'FileError';
}
