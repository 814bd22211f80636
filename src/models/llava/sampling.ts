// Sampling of the next token, seeded. SPEC M-8.1 to M-8.4.
//
//     p[v] = exp((logits[v] − m) / temperature) / Σ        m = the largest logit
//
// Of the tokens by falling p, equals by rising id, those are kept before which less than topP has been summed up. One of
// them is drawn: the first at which the sum of the kept p exceeds a random share of the whole sum.
//
// All of it in f64, on the host: the device would need a random generator and a sort of the vocabulary.

/** Chooses a token: logits [V] → its id. */
export type Sample = (logits: Float32Array) => number;

export interface SamplingOptions {
  /** Above 0. The smaller, the nearer to greedy. */
  readonly temperature: number;
  /** Above 0, at most 1: the share of probability that the tokens to draw from have together. By default 1. */
  readonly topP?: number;
  /** A whole number of 0 or more. The same seed draws the same tokens from the same logits. By default 0. */
  readonly seed?: number;
}

/** A sampler whose draws follow one another in one sequence. Throws RangeError for options out of range. */
export function sampler({ temperature, topP = 1, seed = 0 }: SamplingOptions): Sample {
  if (!(temperature > 0 && temperature < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`sampler: expected a temperature above 0, got ${temperature}`);
  }
  if (!(topP > 0 && topP <= 1))
    throw new RangeError(`sampler: expected topP above 0, at most 1, got ${topP}`);
  const random = randomNumbers(seed);
  return (logits) => draw(likeliest(probabilities(logits, temperature), topP), random());
}

interface Candidate {
  readonly tokenId: number;
  readonly probability: number;
}

/** M-8.1. */
function probabilities(logits: Float32Array, temperature: number): Candidate[] {
  const largest = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const weights = Array.from(logits, (logit) => Math.exp((logit - largest) / temperature));
  const sum = weights.reduce((a, b) => a + b, 0);
  if (!(sum > 0)) throw new RangeError(`sampler: expected finite logits, got a largest of ${largest}`);
  return weights.map((weight, tokenId) => ({ tokenId, probability: weight / sum }));
}

/** M-8.2. Never empty. */
function likeliest(candidates: Candidate[], topP: number): Candidate[] {
  candidates.sort((a, b) => b.probability - a.probability || a.tokenId - b.tokenId);
  let before = 0;
  const end = candidates.findIndex(({ probability }, place) => {
    if (place > 0 && before >= topP) return true;
    before += probability;
    return false;
  });
  return end < 0 ? candidates : candidates.slice(0, end);
}

/** M-8.3. `share` is in [0, 1). */
function draw(candidates: readonly Candidate[], share: number): number {
  const whole = candidates.reduce((sum, { probability }) => sum + probability, 0);
  let sum = 0;
  for (const { tokenId, probability } of candidates) {
    sum += probability;
    if (share * whole < sum) return tokenId;
  }
  return (candidates.at(-1) as Candidate).tokenId; // rounding may leave the last sum just below
}

/**
 * M-8.4. Numbers in [0, 1) of 53 bits, from two outputs of xoshiro128++ each (Blackman and Vigna, 2019), its state filled
 * by SplitMix64. Throws RangeError for a seed that is no whole number of 0 or more.
 */
export function randomNumbers(seed: number): () => number {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`sampler: expected a seed that is a whole number of 0 or more, got ${seed}`);
  }
  const next = xoshiro128(splitMix(BigInt(seed)));
  return () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
}

/** xoshiro128++: whole numbers of 32 bits from a state of four, not all zero. */
export function xoshiro128(state: readonly [number, number, number, number]): () => number {
  let [a, b, c, d] = state;
  return () => {
    const result = (rotateLeft((a + d) | 0, 7) + a) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return result;
  };
}

function rotateLeft(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}

/** Two outputs of SplitMix64 (Steele, Lea and Flood, 2014), lower halves first. */
function splitMix(seed: bigint): [number, number, number, number] {
  const words: number[] = [];
  let state = seed;
  for (let output = 0; output < 2; output++) {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let z = state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    z ^= z >> 31n;
    words.push(Number(z & 0xffffffffn), Number(z >> 32n));
  }
  return words as [number, number, number, number];
}
