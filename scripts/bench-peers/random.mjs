// The same random numbers for every side, by place and seed: no weights travel between them.

const pcg = (x) => {
  const state = (Math.imul(x, 747796405) + 2891336453) >>> 0;
  const word = Math.imul((state >>> ((state >>> 28) + 4)) ^ state, 277803737) >>> 0;
  return ((word >>> 22) ^ word) >>> 0;
};

/** `count` numbers, uniform with the standard deviation given. */
export function random(count, seed, deviation) {
  const key = pcg(seed);
  const scale = deviation * Math.sqrt(3);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = ((pcg((i ^ key) >>> 0) >>> 8) / 2 ** 23 - 1) * scale;
  return values;
}

/** A matrix [N, K] of them, whose rows keep the variance of what they multiply. */
export const randomRows = (N, K, seed) => random(N * K, seed, 1 / Math.sqrt(K));

/** [N, K] as [K, N]. */
export function transposed(values, N, K) {
  const turned = new Float32Array(N * K);
  for (let n = 0; n < N; n++) for (let k = 0; k < K; k++) turned[k * N + n] = values[n * K + k];
  return turned;
}

/** The bias of the matrix of that seed. */
export const biasOf = (count, seed) => random(count, 10_000 + seed, 0.1);

/** Weight and bias of a norm; the weight lies around 1. */
export const normOf = (count, seed) => ({
  weight: random(count, 20_000 + seed, 0.1).map((x) => 1 + x),
  bias: random(count, 30_000 + seed, 0.1),
});
