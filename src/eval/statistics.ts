// Shares and how sure they are. SPEC E-1.9.
//
//     Wilson's interval: (p + z²/2n ± z √(p (1 − p) / n + z²/4n²)) / (1 + z²/n)      p = correct / n, z = 1.96 for 95 %
//
//     of a ratio of two shares of the same questions: r exp(± z √((b + c) / (n₁ n₂)))      r = n₁ / n₂, b and c right once

export interface Interval {
  readonly low: number;
  readonly high: number;
}

const Z_95 = 1.959963984540054;

/**
 * The 95 % interval of a share, by Wilson's score method (1927). Within 0 and 1, and sensible at both, as the usual
 * p ± z √(p (1 − p) / n) is not; 0 to 1 if nothing was counted. Throws RangeError unless 0 ≤ correct ≤ total.
 */
export function wilsonInterval(correct: number, total: number): Interval {
  if (!Number.isInteger(correct) || !Number.isInteger(total) || correct < 0 || correct > total) {
    throw new RangeError(
      `wilsonInterval: expected whole numbers 0 <= correct <= total, got ${correct} and ${total}`,
    );
  }
  if (total === 0) return { low: 0, high: 1 };
  const share = correct / total;
  const zz = Z_95 ** 2 / total;
  const middle = share + zz / 2;
  const reach = Math.sqrt(zz * (share * (1 - share) + zz / 4));
  return {
    low: correct === 0 ? 0 : (middle - reach) / (1 + zz),
    high: correct === total ? 1 : (middle + reach) / (1 + zz),
  };
}

/**
 * The 95 % interval of the ratio `first` / `second` of the numbers of right answers of two methods to the same questions,
 * of which both gave `both` (delta method on the logarithm; Agresti, Categorical Data Analysis, on paired proportions).
 * Of 0 or by 0 nothing is known: 0 to infinity. Throws RangeError unless 0 ≤ both ≤ first, second.
 */
export function ratioInterval(first: number, second: number, both: number): Interval {
  const counts = [first, second, both];
  if (!counts.every((count) => Number.isInteger(count) && count >= 0) || both > Math.min(first, second)) {
    throw new RangeError(
      `ratioInterval: expected whole numbers 0 <= both <= first, second, got ${both} of ${first}, ${second}`,
    );
  }
  if (first === 0 || second === 0) return { low: 0, high: Number.POSITIVE_INFINITY };
  const reach = Math.exp(Z_95 * Math.sqrt((first + second - 2 * both) / (first * second)));
  return { low: first / second / reach, high: (first / second) * reach };
}
