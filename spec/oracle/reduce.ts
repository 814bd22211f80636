// SPEC T-11 in f64.

type Numbers = ArrayLike<number>;

/** x [O, A, I] → [O, I]; with the magnitudes Σ|x| that the error is measured against */
export function sumAxis(
  x: Numbers,
  { O, A, I }: { O: number; A: number; I: number },
): { values: Float64Array; magnitudes: Float64Array } {
  const values = new Float64Array(O * I);
  const magnitudes = new Float64Array(O * I);
  for (let o = 0; o < O; o++) {
    for (let i = 0; i < I; i++) {
      let sum = 0;
      let magnitude = 0;
      for (let a = 0; a < A; a++) {
        sum += x[(o * A + a) * I + i] as number;
        magnitude += Math.abs(x[(o * A + a) * I + i] as number);
      }
      values[o * I + i] = sum;
      magnitudes[o * I + i] = magnitude;
    }
  }
  return { values, magnitudes };
}

/** x [R, L] → [R]; the lowest place of the largest element */
export function argmax(x: Numbers, { R, L }: { R: number; L: number }): number[] {
  const places: number[] = [];
  for (let r = 0; r < R; r++) {
    let place = 0;
    for (let i = 1; i < L; i++) {
      if ((x[r * L + i] as number) > (x[r * L + place] as number)) place = i;
    }
    places.push(place);
  }
  return places;
}

/** x [R, L] → [R]; the largest minus the second largest element, the element itself in a row of one */
export function topTwoGap(x: Numbers, { R, L }: { R: number; L: number }): number[] {
  const gaps: number[] = [];
  for (let r = 0; r < R; r++) {
    const descending: number[] = [];
    for (let i = 0; i < L; i++) descending.push(x[r * L + i] as number);
    descending.sort((a, b) => b - a);
    const [first, second] = descending;
    gaps.push(second === undefined ? (first as number) : (first as number) - second);
  }
  return gaps;
}
