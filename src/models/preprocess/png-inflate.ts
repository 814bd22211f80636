// The zlib stream of a PNG, inflated piece by piece and never further than the header allows. SPEC M-1.3.
//
// The platform's own DecompressionStream does the work, in Node and in browsers alike. fast-png would
// inflate the whole stream, whatever its size, into memory first: 300 MB for a bomb of 292 KB.

import { FileError } from '../../tensor/errors.ts';

/**
 * Hands the inflated bytes of the zlib stream `compressed` to `take`, in order. Throws FileError for a
 * stream that is damaged, cut off or followed by other data, and for one that does not hold exactly
 * `expected` bytes; no more than that are ever handed on.
 */
export async function inflateExactly(
  compressed: readonly Uint8Array[],
  expected: number,
  name: string,
  take: (piece: Uint8Array) => void,
): Promise<void> {
  let total = 0;
  let checksum = ADLER_START;
  for await (const piece of inflate(compressed, name)) {
    total += piece.length;
    if (total > expected) {
      throw new FileError(`${name}: expected ${expected} bytes of inflated IDAT, got more`);
    }
    checksum = adler32(piece, checksum);
    take(piece);
  }
  if (total !== expected) {
    throw new FileError(`${name}: expected ${expected} bytes of inflated IDAT, got ${total}`);
  }
  // zlib has compared this already; here it shows that nothing follows the stream, on which platforms differ.
  if (lastWord(compressed) !== checksum || (await endsBefore(compressed, checksum))) {
    throw new FileError(`${name}: expected IDAT to end with the checksum of its data, got other bytes`);
  }
}

/**
 * Whether a whole stream ends before the last four bytes, which are its checksum once more. Then the checksum is found
 * further in front, and what goes up to there inflates; where it is found by chance, that is cut off.
 */
async function endsBefore(compressed: readonly Uint8Array[], checksum: number): Promise<boolean> {
  const bytes = new Uint8Array(await new Blob(compressed.map((part) => part.slice())).arrayBuffer());
  const view = new DataView(bytes.buffer);
  let at = bytes.length - 5;
  while (at >= 0 && view.getUint32(at) !== checksum) at--;
  if (at < 0) return false;
  try {
    for await (const _ of inflate([bytes.subarray(0, at + 4)], '')); // as long as the whole, at most
    return true;
  } catch {
    return false;
  }
}

async function* inflate(compressed: readonly Uint8Array[], name: string): AsyncGenerator<Uint8Array> {
  const source = new Blob(compressed.map((part) => part.slice())).stream(); // slice: out of shared memory
  const reader = source.pipeThrough(new DecompressionStream('deflate')).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause) => {
        throw new FileError(`${name}: expected IDAT to hold a whole zlib stream, got ${messageOf(cause)}`);
      });
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {}); // already failed: said above
  }
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

const ADLER_START = 1;
const ADLER_MODULUS = 65521;

// RFC 1950 section 9. 3000 bytes may be summed before the sums need reducing to stay below 2^31.
function adler32(bytes: Uint8Array, start: number): number {
  let low = start & 0xffff;
  let high = start >>> 16;
  for (let block = 0; block < bytes.length; block += 3000) {
    const end = Math.min(block + 3000, bytes.length);
    for (let i = block; i < end; i++) {
      low += bytes[i] as number;
      high += low;
    }
    low %= ADLER_MODULUS;
    high %= ADLER_MODULUS;
  }
  return ((high << 16) | low) >>> 0;
}

function lastWord(parts: readonly Uint8Array[]): number {
  let word = 0;
  let missing = 4;
  for (let part = parts.length - 1; part >= 0 && missing > 0; part--) {
    const bytes = parts[part] as Uint8Array;
    for (let i = bytes.length - 1; i >= 0 && missing > 0; i--, missing--) {
      word |= (bytes[i] as number) << (8 * (4 - missing));
    }
  }
  return word >>> 0;
}
