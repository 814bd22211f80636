// The bounds that values are held to, each from the number of roundings on the way. SPEC T-6 to T-11, docs/numerics.md.
//
// WGSL: sums and products are rounded once, a division is within 2.5 ulp, a square root within 4.5, exp(x) within 3 + 2|x|
// ulp. One ulp is at most 2u.

import { FLUSHED, u } from './closeness.ts';

/**
 * T-7.4: a sum of K products. The roundings of sums that look random grow like √K; those of a sum whose terms repeat
 * ('systematic') all point one way, and only u K is certain, for any order. A subnormal product may vanish.
 */
export function productTolerance(K: number, magnitude: number, value: number, systematic: boolean): number {
  const roundings = systematic ? K + 1 : 2 * Math.sqrt(K) + 4;
  return u * roundings * magnitude + 2 * u * Math.abs(value) + (K + 1) * FLUSHED;
}

/**
 * T-8.1: element p of a softmax over n, whose argument stands d below the largest: exp(−d) is off by (6 + 5d) u, the sum of
 * all by as much on average, and Σ p d ≤ ln n.
 */
export function softmaxTolerance(n: number, p: number, d: number): number {
  return p === 0 ? FLUSHED : u * p * (20 + 5 * d + 5 * Math.log(n) + 2 * Math.sqrt(n)) + FLUSHED;
}

/** T-10: a quotient by a norm over n squares. */
export function normTolerance(n: number, value: number): number {
  return (16 + Math.sqrt(n)) * u * Math.abs(value) + FLUSHED;
}
