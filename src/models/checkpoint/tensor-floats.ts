// The values of one tensor, widened to f32 without rounding. SPEC M-2.8.
//
//     F32   as it is
//     F16   through a table of all 65,536 halves
//     BF16  the upper half of the f32 with the same value

import { getFloat16 } from '@petamoriken/float16';
import { FileError } from '../../tensor/errors.ts';
import type { ModelFile } from './model-files.ts';
import type { TensorEntry } from './safetensors.ts';

/** Elements widened at a time, so that a large tensor is never held twice. */
const chunkLength = 1 << 22;

let halfTable: Float32Array | undefined;

function halves(): Float32Array {
  if (halfTable === undefined) {
    const view = new DataView(new ArrayBuffer(2));
    halfTable = Float32Array.from({ length: 65_536 }, (_, bits) => {
      view.setUint16(0, bits);
      return getFloat16(view, 0);
    });
  }
  return halfTable;
}

const widenInto = {
  F32(bytes: Uint8Array, values: Float32Array): void {
    new Uint8Array(values.buffer, values.byteOffset, values.byteLength).set(bytes);
  },
  F16(bytes: Uint8Array, values: Float32Array): void {
    const table = halves();
    for (let i = 0; i < values.length; i++) {
      values[i] = table[(bytes[2 * i] as number) | ((bytes[2 * i + 1] as number) << 8)] as number;
    }
  },
  BF16(bytes: Uint8Array, values: Float32Array): void {
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    for (let i = 0; i < bits.length; i++) {
      bits[i] = ((bytes[2 * i] as number) << 16) | ((bytes[2 * i + 1] as number) << 24);
    }
  },
};

/**
 * The values of `entry` in row-major order. The bytes may lie at any offset, aligned or not.
 * Throws FileError for a dtype other than F32, F16 and BF16. Assumes a little-endian machine.
 */
export async function readFloats(file: ModelFile, entry: TensorEntry): Promise<Float32Array> {
  const { name, dtype, begin, end } = entry;
  if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16') {
    throw new FileError(`${file.name} tensor "${name}": expected F32, F16 or BF16, got ${dtype}`);
  }
  const bytesPerElement = dtype === 'F32' ? 4 : 2;
  const values = allocate(file.name, name, (end - begin) / bytesPerElement);
  for (let first = 0; first < values.length; first += chunkLength) {
    const chunk = values.subarray(first, first + chunkLength);
    const bytes = await file.read(begin + first * bytesPerElement, chunk.length * bytesPerElement);
    widenInto[dtype](bytes, chunk);
  }
  return values;
}

function allocate(fileName: string, tensorName: string, length: number): Float32Array {
  try {
    return new Float32Array(length);
  } catch {
    throw new FileError(`${fileName} tensor "${tensorName}": expected memory for ${length} floats, got none`);
  }
}
