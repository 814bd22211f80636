// Whether bytes are a protobuf message, and those of some of its fields, too. SPEC M-3.14.
//
//     (tag, value)*    tag = 8 · number + wire type    0 varint   1 eight bytes   2 length, bytes   5 four bytes

/** The fields that are messages themselves, and theirs. */
export type Messages = { readonly [field: number]: Messages };

/** False for what a reader of the format refuses: cut off, no such wire type, field 0, a varint of more than ten bytes. */
export function isProtobuf(bytes: Uint8Array, messages: Messages): boolean {
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let i = 0n; i < 10n; i++) {
      const byte = bytes[at++];
      if (byte === undefined) return -1n;
      value |= BigInt(byte & 127) << (7n * i);
      if (byte < 128) return value;
    }
    return -1n;
  };
  while (at < bytes.length) {
    const tag = varint();
    const field = Number(tag >> 3n);
    if (tag < 0n || field < 1 || field >= 2 ** 29) return false;
    if (tag % 8n === 0n) {
      if (varint() < 0n) return false;
      continue;
    }
    const sizes: Readonly<Record<string, () => bigint>> = { 1: () => 8n, 2: varint, 5: () => 4n };
    const size = sizes[`${tag % 8n}`]?.() ?? -1n;
    if (size < 0n || BigInt(at) + size > BigInt(bytes.length)) return false;
    const end = at + Number(size);
    const inner = tag % 8n === 2n ? messages[field] : undefined;
    if (inner !== undefined && !isProtobuf(bytes.subarray(at, end), inner)) return false;
    at = end;
  }
  return true;
}
