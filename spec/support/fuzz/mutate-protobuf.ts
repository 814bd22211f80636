// Changes of a protobuf message: of its fields, of their fields, of any byte.

import type { Draw } from './draw.ts';
import { joinBytes, mutateBytes } from './mutate-bytes.ts';

interface Field {
  readonly tag: number;
  readonly body: Uint8Array; // without the length of wire type 2
}

export function varint(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [...bytes, Number(rest)];
}

/** The fields of a valid message. */
export function fieldsOf(bytes: Uint8Array): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const read = (): number => {
    let value = 0;
    for (let i = 0; ; i += 7) {
      const byte = bytes[at++] as number;
      value += (byte & 127) * 2 ** i;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = read();
    const start = at;
    const length = tag % 8 === 2 ? read() : tag % 8 === 5 ? 4 : tag % 8 === 1 ? 8 : -1;
    if (length < 0) read();
    else at += length;
    const begin = tag % 8 === 2 ? at - length : start;
    fields.push({ tag, body: bytes.slice(begin, at) });
  }
  return fields;
}

export function messageOf(fields: readonly Field[]): Uint8Array {
  return joinBytes(
    ...fields.flatMap(({ tag, body }) =>
      tag % 8 === 2 ? [varint(BigInt(tag)), varint(BigInt(body.length)), body] : [varint(BigInt(tag)), body],
    ),
  );
}

const varints = [
  0n,
  1n,
  2n,
  3n,
  4n,
  5n,
  6n,
  7n,
  127n,
  128n,
  1n << 31n,
  1n << 32n,
  1n << 62n,
  -1n,
  -(1n << 31n),
];
const floats = [0, -0, -1, -3.5, 1e30, Number.NaN, Number.POSITIVE_INFINITY];

function changedField(draw: Draw, { tag, body }: Field): Field {
  const wire = tag % 8;
  if (draw.oneIn(6)) return { tag: Math.max(0, tag + draw.pick([-8, -1, 1, 2, 3, 4, 8, 16, 800])), body };
  if (wire === 0) return { tag, body: Uint8Array.from(varint(draw.pick(varints))) };
  if (wire === 5) return { tag, body: new Uint8Array(Float32Array.of(draw.pick(floats)).buffer) };
  return { tag, body: body.length === 0 ? Uint8Array.of(draw.below(256)) : mutateBytes(draw, body) };
}

/** One change of a message, or within one of its messages (`messages` are their fields' numbers). */
export function mutateProtobuf(draw: Draw, bytes: Uint8Array, messages: readonly number[]): Uint8Array {
  if (bytes.length === 0 || draw.oneIn(8)) return mutateBytes(draw, bytes);
  const fields = fieldsOf(bytes);
  const at = draw.below(fields.length);
  const field = fields[at] as Field;
  const other = draw.pick(fields);
  switch (draw.below(9)) {
    case 0:
      return messageOf(fields.toSpliced(at, 1));
    case 1:
      return messageOf([...fields, field]);
    case 2:
      return messageOf(fields.with(at, other));
    case 3:
      return messageOf(fields.toSpliced(at, 0, { tag: 8 * (1 + draw.below(60)), body: Uint8Array.of(1) }));
    default: {
      // The settings behind the pieces as often as the pieces.
      const chosen = draw.oneIn(2) ? fields.length - 1 - draw.below(Math.min(4, fields.length)) : at;
      const { tag, body } = fields[chosen] as Field;
      const isMessage = tag % 8 === 2 && messages.includes(Math.floor(tag / 8));
      const changed =
        isMessage && !draw.oneIn(8)
          ? { tag, body: mutateProtobuf(draw, body, []) }
          : changedField(draw, { tag, body });
      return messageOf(fields.with(chosen, changed));
    }
  }
}
