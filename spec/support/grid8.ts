// Numbers from names: the hash that every port can repeat, bit for bit. conformance format `grid8-v1`.
//
//     seed = FNV-1a-64(name)     z = splitmix64(seed + i · 0x9E3779B97F4A7C15), i from 1     q = (z >> 56) mod 255 − 127
//
// 64-bit integers are two halves of 32 bits here: BigInt is a hundred times slower, and the suite draws millions.

/** FNV-1a, 64 bits, of the UTF-8 bytes of `name`. */
export function fnv1a(name: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(name)) {
    hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  }
  return hash;
}

/** `count` integers from −127 to 127, the same ones for the same name on every machine. */
export function grid8(name: string, count: number): Int8Array {
  const values = new Int8Array(count);
  const seed = fnv1a(name);
  let high = Number(seed >> 32n);
  let low = Number(seed & 0xffffffffn);
  for (let i = 0; i < count; i++) {
    low += 0x7f4a7c15;
    high = (high + 0x9e3779b9 + (low > 0xffffffff ? 1 : 0)) >>> 0;
    low >>>= 0;
    values[i] = (topByte(high, low) % 255) - 127;
  }
  return values;
}

/** The highest 8 bits of the finalizer of splitmix64. Its last step, z ^ (z >> 31), does not reach them. */
function topByte(high: number, low: number): number {
  const low1 = (low ^ ((low >>> 30) | (high << 2))) >>> 0;
  const high1 = (high ^ (high >>> 30)) >>> 0;
  const low2 = Math.imul(low1, 0x1ce4e5b9) >>> 0;
  const high2 = multiplyHigh(high1, low1, 0xbf58476d, 0x1ce4e5b9);
  const low3 = (low2 ^ ((low2 >>> 27) | (high2 << 5))) >>> 0;
  const high3 = (high2 ^ (high2 >>> 27)) >>> 0;
  return multiplyHigh(high3, low3, 0x94d049bb, 0x133111eb) >>> 24;
}

/** The high half of the lower 64 bits of a product of two 64-bit integers. */
function multiplyHigh(highA: number, lowA: number, highB: number, lowB: number): number {
  const a0 = lowA & 0xffff;
  const a1 = lowA >>> 16;
  const b0 = lowB & 0xffff;
  const b1 = lowB >>> 16;
  const middle = a1 * b0 + Math.floor((a0 * b0) / 0x10000);
  const carry = Math.floor(middle / 0x10000) + Math.floor(((middle % 0x10000) + a0 * b1) / 0x10000);
  return (a1 * b1 + carry + Math.imul(highA, lowB) + Math.imul(lowA, highB)) >>> 0;
}
