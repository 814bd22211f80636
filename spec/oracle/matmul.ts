// SPEC T-7 in f64. Every product comes with Σ|a||b|, which its error is measured against (T-7.4).

type Numbers = ArrayLike<number>;

export interface Product {
  readonly values: Float64Array;
  readonly magnitudes: Float64Array; // Σₖ |a| |b|
}

interface Sizes {
  readonly A: number; // matrices of a
  readonly B: number; // matrices of b
  readonly M: number;
  readonly K: number;
  readonly N: number;
}

/** a [A, M, K], b [B, K, N] → [A, M, N] */
export function matmul(a: Numbers, b: Numbers, { A, B, M, K, N }: Sizes): Product {
  const values = new Float64Array(A * M * N);
  const magnitudes = new Float64Array(A * M * N);
  for (let i = 0; i < A; i++) {
    const j = Math.floor((i * B) / A);
    for (let m = 0; m < M; m++) {
      for (let n = 0; n < N; n++) {
        let sum = 0;
        let magnitude = 0;
        for (let k = 0; k < K; k++) {
          const product = (a[(i * M + m) * K + k] as number) * (b[(j * K + k) * N + n] as number);
          sum += product;
          magnitude += Math.abs(product);
        }
        values[(i * M + m) * N + n] = sum;
        magnitudes[(i * M + m) * N + n] = magnitude;
      }
    }
  }
  return { values, magnitudes };
}

/** a [A, M, K], b [B, N, K] → [A, M, N] */
export function matmulTransposed(a: Numbers, b: Numbers, { A, B, M, K, N }: Sizes): Product {
  const values = new Float64Array(A * M * N);
  const magnitudes = new Float64Array(A * M * N);
  for (let i = 0; i < A; i++) {
    const j = Math.floor((i * B) / A);
    for (let m = 0; m < M; m++) {
      for (let n = 0; n < N; n++) {
        let sum = 0;
        let magnitude = 0;
        for (let k = 0; k < K; k++) {
          const product = (a[(i * M + m) * K + k] as number) * (b[(j * N + n) * K + k] as number);
          sum += product;
          magnitude += Math.abs(product);
        }
        values[(i * M + m) * N + n] = sum;
        magnitudes[(i * M + m) * N + n] = magnitude;
      }
    }
  }
  return { values, magnitudes };
}

/** x [R, K], weight [N, K], bias [N] → [R, N] */
export function linear(
  x: Numbers,
  weight: Numbers,
  bias: Numbers,
  { R, K, N }: { R: number; K: number; N: number },
): Product {
  const values = new Float64Array(R * N);
  const magnitudes = new Float64Array(R * N);
  for (let r = 0; r < R; r++) {
    for (let n = 0; n < N; n++) {
      let sum = bias[n] as number;
      let magnitude = Math.abs(sum);
      for (let k = 0; k < K; k++) {
        const product = (x[r * K + k] as number) * (weight[n * K + k] as number);
        sum += product;
        magnitude += Math.abs(product);
      }
      values[r * N + n] = sum;
      magnitudes[r * N + n] = magnitude;
    }
  }
  return { values, magnitudes };
}
