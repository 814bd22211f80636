// SPEC T-10 in f64. Rows x [R, C].

type Numbers = ArrayLike<number>;

interface Sizes {
  readonly R: number;
  readonly C: number;
}

export interface RowMoments {
  readonly mean: number;
  readonly meanMagnitude: number; // mean |x|
  readonly deviation: number; //     √(σ² + ε)
}

export function moments(x: Numbers, row: number, C: number, eps: number): RowMoments {
  let sum = 0;
  let magnitude = 0;
  for (let c = 0; c < C; c++) {
    sum += x[row * C + c] as number;
    magnitude += Math.abs(x[row * C + c] as number);
  }
  const mean = sum / C;
  let squares = 0;
  for (let c = 0; c < C; c++) squares += ((x[row * C + c] as number) - mean) ** 2;
  return { mean, meanMagnitude: magnitude / C, deviation: Math.sqrt(squares / C + eps) };
}

export function layerNorm(
  x: Numbers,
  weight: Numbers,
  bias: Numbers,
  eps: number,
  { R, C }: Sizes,
): Float64Array {
  const y = new Float64Array(R * C);
  for (let r = 0; r < R; r++) {
    const { mean, deviation } = moments(x, r, C, eps);
    for (let c = 0; c < C; c++) {
      const centred = (x[r * C + c] as number) - mean;
      y[r * C + c] = (centred / deviation) * (weight[c] as number) + (bias[c] as number);
    }
  }
  return y;
}

export function rmsNorm(x: Numbers, weight: Numbers, eps: number, { R, C }: Sizes): Float64Array {
  const y = new Float64Array(R * C);
  for (let r = 0; r < R; r++) {
    let squares = 0;
    for (let c = 0; c < C; c++) squares += (x[r * C + c] as number) ** 2;
    const root = Math.sqrt(squares / C + eps);
    for (let c = 0; c < C; c++) y[r * C + c] = ((x[r * C + c] as number) / root) * (weight[c] as number);
  }
  return y;
}

export function normalizeRows(x: Numbers, { R, C }: Sizes): Float64Array {
  const y = new Float64Array(R * C);
  for (let r = 0; r < R; r++) {
    let squares = 0;
    for (let c = 0; c < C; c++) squares += (x[r * C + c] as number) ** 2;
    if (squares === 0) continue;
    for (let c = 0; c < C; c++) y[r * C + c] = (x[r * C + c] as number) / Math.sqrt(squares);
  }
  return y;
}
