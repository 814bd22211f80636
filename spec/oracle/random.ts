// Random numbers by place and seed, as SPEC T-24 gives them.

function pcg(x: number): number {
  const state = (Math.imul(x, 747796405) + 2891336453) >>> 0;
  const word = Math.imul((state >>> ((state >>> 28) + 4)) ^ state, 277803737) >>> 0;
  return ((word >>> 22) ^ word) >>> 0;
}

/** Number i of `count`, uniform in [−a, a) for a = deviation · √3. */
export function random(count: number, seed: number, deviation: number): Float64Array {
  const amplitude = Math.fround(deviation * Math.sqrt(3));
  return Float64Array.from({ length: count }, (_, i) => {
    const bits = pcg((i ^ pcg(seed)) >>> 0) >>> 8;
    return (bits / 2 ** 23 - 1) * amplitude;
  });
}
