// SPEC VZ-2 and VZ-3 in f64, one image at a time, on arrays of rows: hidden[n][c], attention[h][n] (what CLS pays to token
// n, after the softmax), keys[h][n][d]. Every decision may be given from outside: what follows from it is then what a
// port that decided so has to give.

type Row = ArrayLike<number>;

export interface Image {
  readonly hidden: readonly Row[];
  readonly attention: readonly Row[];
  readonly keys: readonly (readonly Row[])[];
}

export interface Budget {
  readonly K: number; // dominant tokens, CLS included
  readonly M: number; // contextual tokens
  readonly merge?: 'target-plus-mean' | 'paper-average';
}

export interface Decisions {
  readonly kept: readonly number[]; //       [K]  tokens, ascending
  readonly assignment: readonly number[]; // [S]  which target a source is folded into
}

export interface Zip extends Decisions {
  readonly scores: readonly number[]; //                 [P]
  readonly keptByScore: readonly number[]; //            [K]
  readonly targets: readonly number[]; //                [M]  tokens
  readonly sources: readonly number[]; //                [S]  tokens
  readonly similarity: readonly (readonly number[])[]; // [S][M]
  readonly counts: readonly number[]; //                 [M]
  readonly tokens: readonly (readonly number[])[]; //     [K + M][C]
  readonly magnitudes: readonly (readonly number[])[]; // [K + M][C]  Σ of what is added up, without signs
}

export function zip(image: Image, budget: Budget, forced: Partial<Decisions> = {}): Zip {
  const { K, M, merge = 'target-plus-mean' } = budget;
  const N = image.hidden.length;
  const scores = scoresOf(image.attention);
  const keptByScore = [0, ...strongest(scores, K - 1).map((patch) => patch + 1)];
  const kept = forced.kept ?? [...keptByScore].sort((a, b) => a - b);

  const rest: number[] = [];
  for (let n = 0; n < N; n++) if (!kept.includes(n)) rest.push(n);
  const places = targetPlaces(rest.length, M);
  const targets = places.map((place) => rest[place] as number);
  const sources = M === 0 ? [] : rest.filter((token) => !targets.includes(token));

  const keys = meanKeys(image.keys);
  const similarity = sources.map((source) => targets.map((target) => cosine(keys[source], keys[target])));
  const assignment = forced.assignment ?? similarity.map(nearest);
  const counts = targets.map((_, m) => assignment.filter((group) => group === m).length);

  const tokens = kept.map((token) => Array.from(image.hidden[token] as Row));
  const magnitudes = tokens.map((token) => token.map(Math.abs));
  targets.forEach((target, m) => {
    const members = sources
      .filter((_, s) => assignment[s] === m)
      .map((source) => image.hidden[source] as Row);
    const own = image.hidden[target] as Row;
    tokens.push(Array.from(own, (_, c) => folded(own, members, c, merge, (value) => value)));
    magnitudes.push(Array.from(own, (_, c) => folded(own, members, c, merge, Math.abs)));
  });
  return { scores, kept, keptByScore, targets, sources, similarity, assignment, counts, tokens, magnitudes };
}

/** VZ-2.1: [P] */
export function scoresOf(attention: readonly Row[]): number[] {
  const N = (attention[0] as Row).length;
  const scores: number[] = [];
  for (let n = 1; n < N; n++) {
    let sum = 0;
    for (const head of attention) sum += head[n] as number;
    scores.push(sum);
  }
  return scores;
}

/** VZ-2.2, VZ-2.3, VZ-2.5: the places of the `count` largest scores, the largest first, of equals the lower first */
export function strongest(scores: Row, count: number): number[] {
  const chosen: number[] = [];
  for (let k = 0; k < count; k++) {
    let best = -1;
    for (let i = 0; i < scores.length; i++) {
      if (chosen.includes(i)) continue;
      if (best < 0 || (scores[i] as number) > (scores[best] as number)) best = i;
    }
    chosen.push(best);
  }
  return chosen;
}

/** VZ-3.1: places among the R tokens left over */
export function targetPlaces(R: number, M: number): number[] {
  if (M === 0) return []; // VZ-3.7
  const step = Math.max(1, Math.floor(R / M));
  const places: number[] = [];
  for (let place = 0; place < R; place += step) places.push(place);
  return places.slice(0, M);
}

/** VZ-3.3: [N][D] */
export function meanKeys(keys: Image['keys']): number[][] {
  const [first] = keys as [readonly Row[]];
  return first.map((row, n) =>
    Array.from(row, (_, d) => {
      let sum = 0;
      for (const head of keys) sum += (head[n] as Row)[d] as number;
      return sum / keys.length;
    }),
  );
}

/** VZ-3.3, VZ-3.8 */
export function cosine(a: Row = [], b: Row = []): number {
  let product = 0;
  let squaresA = 0;
  let squaresB = 0;
  for (let d = 0; d < a.length; d++) {
    product += (a[d] as number) * (b[d] as number);
    squaresA += (a[d] as number) ** 2;
    squaresB += (b[d] as number) ** 2;
  }
  if (squaresA === 0 || squaresB === 0) return 0;
  return product / Math.sqrt(squaresA) / Math.sqrt(squaresB);
}

/** VZ-3.4 */
function nearest(similarity: readonly number[]): number {
  let best = 0;
  for (let m = 1; m < similarity.length; m++) {
    if ((similarity[m] as number) > (similarity[best] as number)) best = m;
  }
  return best;
}

/** VZ-3.5, VZ-3.6: channel c of a target with its members */
function folded(
  own: Row,
  members: readonly Row[],
  c: number,
  merge: 'target-plus-mean' | 'paper-average',
  of: (value: number) => number,
): number {
  const target = of(own[c] as number);
  let sum = 0;
  for (const member of members) sum += of(member[c] as number);
  if (merge === 'paper-average') return (target + sum) / (members.length + 1);
  return members.length === 0 ? target : target + sum / members.length;
}
