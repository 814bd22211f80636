// A seeded generator of random numbers, the same on every machine and in every engine. SPEC E-1.1.
//
// xoshiro128** (Blackman and Vigna): four words of 32 bits; each number is rotl(5 s₁, 7) · 9. The words come from the seed
// and a path of numbers, one after the other stirred into a hash with the finaliser of MurmurHash3. Only 32-bit integer
// arithmetic, which JavaScript defines to the bit.

/** Draws a whole number from 0 to 2³² − 1. */
export type Random = () => number;

/**
 * The stream of random numbers that a path of whole numbers below 2³² names, such as (seed, scene, purpose). Streams of
 * different paths have nothing to do with each other. Throws RangeError for any other number.
 */
export function seededRandom(...path: readonly number[]): Random {
  let hash = 0x9e3779b9;
  for (const part of path) {
    if (!Number.isInteger(part) || part < 0 || part >= 2 ** 32) {
      throw new RangeError(`seededRandom: expected whole numbers below 2^32, got ${part}`);
    }
    hash = stir((Math.imul(hash, 31) + 0x9e3779b9) ^ stir(part));
  }
  const next = (): number => {
    hash = (hash + 0x9e3779b9) >>> 0;
    return stir(hash);
  };
  // All four words 0 is the one state that xoshiro cannot leave.
  return xoshiro(next(), next(), next(), next() | 1);
}

function xoshiro(s0: number, s1: number, s2: number, s3: number): Random {
  return () => {
    const result = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0;
    const shifted = s1 << 9;
    s2 ^= s0;
    s3 ^= s1;
    s1 ^= s2;
    s0 ^= s3;
    s2 ^= shifted;
    s3 = rotateLeft(s3, 11);
    return result;
  };
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

/** The finaliser of MurmurHash3: every bit of the result depends on every bit of the word. */
function stir(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** A number from `low` up to, but not including, `high`. */
export function uniform(random: Random, low: number, high: number): number {
  return low + (high - low) * (random() / 2 ** 32);
}

/** A whole number below `count`; uneven by less than count / 2³². */
export function below(random: Random, count: number): number {
  return Math.floor(uniform(random, 0, count));
}

/** One of the items. Throws RangeError if there is none. */
export function pick<T>(random: Random, items: readonly T[]): T {
  if (items.length === 0) throw new RangeError('pick: expected at least one item, got none');
  return items[below(random, items.length)] as T;
}

/** `count` different whole numbers below `total`, in the order drawn. Throws RangeError if there are not so many. */
export function sample(random: Random, total: number, count: number): number[] {
  if (count > total) throw new RangeError(`sample: expected at most ${total} numbers, got ${count}`);
  const numbers = Array.from({ length: total }, (_, i) => i);
  for (let i = 0; i < count; i++) {
    const j = i + below(random, total - i);
    [numbers[i], numbers[j]] = [numbers[j] as number, numbers[i] as number];
  }
  return numbers.slice(0, count);
}

/**
 * A draw from nearly a normal distribution, of mean 0 and deviation 1: the sum of twelve uniform numbers of 16 bits, less
 * 6. Exact in f64, where Math.log and Math.cos, which other ways need, differ between engines.
 */
export function nearlyNormal(random: Random): number {
  let sum = 0;
  for (let i = 0; i < 6; i++) {
    const word = random();
    sum += (word >>> 16) + (word & 0xffff) + 1; // each half stands for the middle of its step
  }
  return sum / 2 ** 16 - 6;
}
