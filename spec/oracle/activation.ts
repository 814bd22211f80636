// SPEC T-6 in f64.

type Numbers = ArrayLike<number>;

/** 1 − erf(x) for any x, to about 1e-15 relative: a series below 2, a continued fraction from there on. */
export function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  if (x < 2) {
    let term = x;
    let sum = x;
    for (let n = 1; n < 100; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = x;
  for (let n = 200; n > 0; n--) fraction = x + n / 2 / fraction;
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / fraction;
}

export function gelu(x: Numbers): Float64Array {
  const y = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) {
    const value = x[i] as number;
    y[i] = (value / 2) * erfc(-value / Math.SQRT2);
  }
  return y;
}

export function quickGelu(x: Numbers): Float64Array {
  const y = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) {
    const value = x[i] as number;
    y[i] = value / (1 + Math.exp(-1.702 * value));
  }
  return y;
}

export function silu(x: Numbers): Float64Array {
  const y = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) {
    const value = x[i] as number;
    y[i] = value / (1 + Math.exp(-value));
  }
  return y;
}
