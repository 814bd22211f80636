// A strict reader of protobuf messages, as far as SentencePiece's need it. SPEC M-3.14.
//
//     message   (tag, value)*      tag = 8 · field number + wire type, a varint
//     0 varint   1 eight bytes   2 length (a varint) and as many bytes   5 four bytes
//
// Groups (3 and 4) and what there is not (6 and 7) are refused. Fields that nobody asks for are skipped, as the format
// wants it, but must be whole.

import { FileError } from '../../tensor/errors.ts';
import { decodeUtf8 } from '../checkpoint/model-files.ts';

/** One field. `varint` is the value of wire type 0, as a signed 64-bit integer; `bytes` that of the others. */
export interface ProtobufField {
  readonly number: number;
  readonly wireType: number;
  readonly varint: number;
  readonly bytes: Uint8Array;
}

/** The field number, and how its value is to be read, by name. */
export type MessageShape = Readonly<
  Record<string, readonly [number: number, kind: 'text' | 'bytes' | 'float' | 'integer' | 'flag']>
>;

const wireTypeOf = { text: 2, bytes: 2, float: 5, integer: 0, flag: 0 } as const;
const fixedLength = new Map([
  [1, 8],
  [5, 4],
]);
const noBytes = new Uint8Array(0);

/** The fields of a message in their order. Throws FileError, with `who` and the byte, where it is malformed. */
export function* readFields(who: string, bytes: Uint8Array): Generator<ProtobufField, void, undefined> {
  let position = 0;

  function varint(): number {
    let value = 0;
    for (let i = 0; i < 10; i++) {
      const byte = bytes[position + i];
      if (byte === undefined) break;
      if (i === 7) return longVarint();
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) {
        position += i + 1;
        return value;
      }
    }
    throw new FileError(`${who}: expected a number at byte ${position}, got the end`);
  }

  /** More than 49 bits, such as any negative number. */
  function longVarint(): number {
    let value = 0n;
    for (let i = 0; i < 10; i++) {
      const byte = bytes[position + i];
      if (byte === undefined || (i === 9 && byte > 1)) break;
      value += BigInt(byte & 0x7f) << BigInt(7 * i);
      if (byte < 0x80) {
        position += i + 1;
        return Number(BigInt.asIntN(64, value));
      }
    }
    throw new FileError(`${who}: expected a number of 64 bits at byte ${position}, got none`);
  }

  while (position < bytes.length) {
    const start = position;
    const tag = varint();
    const [number, wireType] = [Math.floor(tag / 8), tag % 8];
    if (number < 1 || number >= 2 ** 29 || ![0, 1, 2, 5].includes(wireType)) {
      throw new FileError(`${who}: expected a field at byte ${start}, got tag ${tag}`);
    }
    if (wireType === 0) {
      yield { number, wireType, varint: varint(), bytes: noBytes };
      continue;
    }
    const length = fixedLength.get(wireType) ?? varint();
    if (length < 0 || length > bytes.length - position) {
      const left = bytes.length - position;
      throw new FileError(`${who} field ${number}: expected ${length} bytes at ${position}, got ${left}`);
    }
    yield { number, wireType, varint: 0, bytes: bytes.subarray(position, position + length) };
    position += length;
  }
}

/** The fields of `shape` that a message has, by name. Throws FileError for one given twice or of another wire type. */
export function readMessage(who: string, bytes: Uint8Array, shape: MessageShape): Record<string, unknown> {
  const message: Record<string, unknown> = {};
  const names = Object.entries(shape);
  for (const field of readFields(who, bytes)) {
    const found = names.find(([, [number]]) => number === field.number);
    if (found === undefined) continue;
    const [name, [, kind]] = found;
    if (Object.hasOwn(message, name)) throw new FileError(`${who} ${name}: expected one value, got several`);
    if (field.wireType !== wireTypeOf[kind]) {
      const expected = `wire type ${wireTypeOf[kind]}`;
      throw new FileError(`${who} ${name}: expected ${expected}, got ${field.wireType}`);
    }
    message[name] = fieldValue(`${who} ${name}`, field, kind);
  }
  return message;
}

function fieldValue(who: string, { bytes, varint }: ProtobufField, kind: keyof typeof wireTypeOf): unknown {
  if (kind === 'text') return decodeUtf8(who, bytes);
  if (kind === 'bytes') return bytes;
  if (kind === 'float') return new DataView(bytes.buffer, bytes.byteOffset, 4).getFloat32(0, true);
  return kind === 'flag' ? varint !== 0 : varint;
}
