// Changes that need to know nothing of a format: bytes set, flipped, cut out, put in, moved, cut off.

import type { Draw } from './draw.ts';

const telling = [
  0, 1, 0x20, 0x22, 0x2c, 0x30, 0x39, 0x5b, 0x7b, 0x7f, 0x80, 0xc0, 0xd8, 0xd9, 0xed, 0xfe, 0xff,
];

export function joinBytes(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

const kinds: readonly ((draw: Draw, bytes: Uint8Array, at: number, length: number) => Uint8Array)[] = [
  (draw, bytes, at) => joinBytes(bytes.subarray(0, at), [draw.pick(telling)], bytes.subarray(at + 1)),
  (draw, bytes, at) =>
    joinBytes(bytes.subarray(0, at), [(bytes[at] ?? 0) ^ (1 << draw.below(8))], bytes.subarray(at + 1)),
  (_, bytes, at, length) => joinBytes(bytes.subarray(0, at), bytes.subarray(at + length)),
  (draw, bytes, at) => joinBytes(bytes.subarray(0, at), [draw.pick(telling)], bytes.subarray(at)),
  (_, bytes, at, length) => joinBytes(bytes.subarray(0, at + length), bytes.subarray(at)),
  (draw, bytes, at, length) => {
    const from = draw.below(bytes.length);
    return joinBytes(bytes.subarray(0, at), bytes.subarray(from, from + length), bytes.subarray(at + length));
  },
  (_, bytes, at) => bytes.slice(0, at),
  (draw, bytes, _at, length) =>
    joinBytes(
      bytes,
      Array.from({ length }, () => draw.pick(telling)),
    ),
];

/** One such change. */
export function mutateBytes(draw: Draw, bytes: Uint8Array): Uint8Array {
  const change = draw.pick(kinds);
  return change(draw, bytes, draw.below(bytes.length + 1), 1 + draw.below(draw.pick([2, 8, 40])));
}
