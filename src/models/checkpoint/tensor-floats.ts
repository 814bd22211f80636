// The values of one tensor, widened to f32 without rounding, or as f16. SPEC M-2.8, M-2.30.
//
//     F32   as it is
//     F16   through a table of all 65,536 halves
//     BF16  the upper half of the f32 with the same value
//
// F16 is handed on as it is where f16 is asked for; the others are rounded to the nearest half, and a value that f16
// cannot hold is refused.

import { getFloat16, setFloat16 } from '@petamoriken/float16';
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
  const values = allocate(file.name, entry.name, valueCount(file, entry));
  let first = 0;
  for await (const chunk of floatChunks(file, entry)) {
    values.set(chunk, first);
    first += chunk.length;
  }
  return values;
}

/** The values of `entry` piece by piece, so that a large tensor is never held whole. Throws as readFloats. */
export async function* floatChunks(
  file: ModelFile,
  entry: TensorEntry,
): AsyncGenerator<Float32Array<ArrayBuffer>, void, undefined> {
  for await (const bytes of byteChunks(file, entry)) {
    const values = new Float32Array(bytes.length / bytesPerValue(entry.dtype));
    widenInto[entry.dtype as keyof typeof widenInto](bytes, values);
    yield values;
  }
}

/**
 * The values of `entry` as the bits of halves, piece by piece, each of an even length but the last. Throws as readFloats,
 * and FileError for a value beyond 65,504, the largest half.
 */
export async function* halfChunks(
  file: ModelFile,
  entry: TensorEntry,
): AsyncGenerator<Uint16Array<ArrayBuffer>, void, undefined> {
  if (entry.dtype === 'F16') {
    for await (const bytes of byteChunks(file, entry)) yield new Uint16Array(bytes.slice().buffer);
    return;
  }
  for await (const values of floatChunks(file, entry))
    yield roundToHalves(values, `${file.name} tensor "${entry.name}"`);
}

function roundToHalves(values: Float32Array, who: string): Uint16Array<ArrayBuffer> {
  const bits = new Uint16Array(values.length);
  const view = new DataView(bits.buffer);
  values.forEach((value, i) => {
    setFloat16(view, 2 * i, value, true);
    if (Number.isFinite(value) && (view.getUint16(2 * i, true) & 0x7fff) === 0x7c00) {
      throw new FileError(`${who}: expected values that f16 can hold, at most 65504, got ${value}`);
    }
  });
  return bits;
}

async function* byteChunks(file: ModelFile, entry: TensorEntry): AsyncGenerator<Uint8Array, void, undefined> {
  const chunkBytes = chunkLength * bytesPerValue(entry.dtype);
  valueCount(file, entry);
  for (let begin = entry.begin; begin < entry.end; begin += chunkBytes) {
    yield await file.read(begin, Math.min(chunkBytes, entry.end - begin));
  }
}

function valueCount(file: ModelFile, { name, dtype, begin, end }: TensorEntry): number {
  if (!(dtype in widenInto)) {
    throw new FileError(`${file.name} tensor "${name}": expected F32, F16 or BF16, got ${dtype}`);
  }
  return (end - begin) / bytesPerValue(dtype);
}

function bytesPerValue(dtype: TensorEntry['dtype']): number {
  return dtype === 'F32' ? 4 : 2;
}

function allocate(fileName: string, tensorName: string, length: number): Float32Array {
  try {
    return new Float32Array(length);
  } catch {
    throw new FileError(`${fileName} tensor "${tensorName}": expected memory for ${length} floats, got none`);
  }
}
