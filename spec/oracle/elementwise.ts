// SPEC T-5 in f64.

type Numbers = ArrayLike<number>;

export function add(a: Numbers, b: Numbers): Float64Array {
  const y = new Float64Array(a.length);
  for (let i = 0; i < a.length; i++) y[i] = (a[i] as number) + (b[i] as number);
  return y;
}

export function multiply(a: Numbers, b: Numbers): Float64Array {
  const y = new Float64Array(a.length);
  for (let i = 0; i < a.length; i++) y[i] = (a[i] as number) * (b[i] as number);
  return y;
}

export function scale(a: Numbers, factor: number): Float64Array {
  const y = new Float64Array(a.length);
  for (let i = 0; i < a.length; i++) y[i] = (a[i] as number) * Math.fround(factor);
  return y;
}

export function addRows(a: Numbers, b: Numbers): Float64Array {
  const y = new Float64Array(a.length);
  for (let i = 0; i < a.length; i++) y[i] = (a[i] as number) + (b[i % b.length] as number);
  return y;
}
