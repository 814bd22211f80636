// Writes a safetensors file that the strict reader, and the reference one, take back. SPEC M-2.9.
//
// As the reference writer: F32 before I32, then by name; the header is compact JSON, padded with
// spaces to a multiple of 8, so that every tensor is aligned.

import { ShapeError } from '../../tensor/errors.ts';
import { maxHeaderBytes } from './safetensors.ts';

/** `data` is row-major; its type must be that of `dtype`. */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: 'F32' | 'I32';
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}

/**
 * The bytes of a safetensors file. Throws ShapeError if a shape does not hold its data, RangeError
 * for a name that is taken, reserved or not well-formed, and for a header beyond the format's limit.
 */
export function writeSafetensors(
  tensors: readonly TensorToWrite[],
  metadata: ReadonlyMap<string, string> = new Map(),
): Uint8Array {
  const sorted = [...tensors].sort((a, b) => order(a.dtype, b.dtype) || order(a.name, b.name));
  const members: string[] = [];
  if (metadata.size > 0) {
    const pairs = [...metadata].map(([key, value]) => `${jsonString(key)}:${jsonString(value)}`);
    members.push(`"__metadata__":{${pairs.sort()}}`);
  }

  const taken = new Set(['__metadata__']);
  let offset = 0;
  for (const tensor of sorted) {
    checkTensor(tensor, taken);
    taken.add(tensor.name);
    const end = offset + tensor.data.byteLength;
    const fields = `"dtype":"${tensor.dtype}","shape":[${tensor.shape}],"data_offsets":[${offset},${end}]`;
    members.push(`${jsonString(tensor.name)}:{${fields}}`);
    offset = end;
  }

  const header = new TextEncoder().encode(`{${members.join(',')}}`);
  const headerLength = Math.ceil(header.length / 8) * 8;
  if (headerLength > maxHeaderBytes) {
    throw new RangeError(
      `writeSafetensors: expected a header of at most ${maxHeaderBytes} bytes, got ${headerLength}`,
    );
  }
  const file = new Uint8Array(8 + headerLength + offset).fill(0x20, 8, 8 + headerLength);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerLength), true);
  file.set(header, 8);
  let position = 8 + headerLength;
  for (const { data } of sorted) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), position);
    position += data.byteLength;
  }
  return file;
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function checkTensor(tensor: TensorToWrite, taken: ReadonlySet<string>): void {
  const { name, dtype, shape, data } = tensor;
  if (taken.has(name)) throw new RangeError(`writeSafetensors: expected a new tensor name, got "${name}"`);
  const valid = shape.every((length) => Number.isSafeInteger(length) && length >= 0);
  if (!valid || shape.reduce((product, length) => product * length, 1) !== data.length) {
    throw new ShapeError(`writeSafetensors: expected ${name} [${shape}], got ${data.length} elements`);
  }
  if (dtype !== (data instanceof Float32Array ? 'F32' : 'I32')) {
    throw new ShapeError(`writeSafetensors: expected ${name} as ${dtype}, got ${data.constructor.name}`);
  }
}

function jsonString(text: string): string {
  if (/\p{Surrogate}/u.test(text)) {
    throw new RangeError(`writeSafetensors: expected well-formed text, got ${JSON.stringify(text)}`);
  }
  return JSON.stringify(text);
}
