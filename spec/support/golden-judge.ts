// Compares what this library computes with a golden, stage by stage. SPEC G-1.5 to G-1.7.

import { placeOf } from './closeness.ts';
import { type GoldenCase, type GoldenGroup, indices, real, ruleOf } from './golden.ts';
import type { Host } from './recipe.ts';
import { rms } from './relative.ts';

type Numbers = ArrayLike<number>;

/** Largest error of a passing stage, in tolerances, by group and stage. */
export const headroom: Map<string, { ratio: number; stage: string }> = new Map();

/** All that was compared, as `group case stage`. */
export const compared: Set<string> = new Set();

interface Divergence {
  readonly stage: string;
  readonly factor: number; // in tolerances; Infinity for an integer that is wrong
  readonly text: string;
}

export interface Judge {
  /** A real stage; `expected` if it is not stored under its own name. */
  real(stage: string, got: Host<Float32Array>, expected?: Host<Float32Array>): void;
  /** A stage that shows only in another one, which is real and stored. */
  shownIn(stage: string, shown: string, got: Host<Float32Array>): void;
  /** Integers that leave no choice. */
  index(stage: string, got: Host<Uint32Array>): void;
  /** Chosen by score from [B, P]; `kept` [B, K] counts tokens. True if the sets are the golden ones. */
  topkSet(stage: string, kept: Host<Uint32Array>, scores: Host<Float32Array>): boolean;
  /** Chosen by similarity from [B, S, M]. True if the choices are the golden ones. */
  argmax(stage: string, got: Host<Uint32Array>, similarity: Host<Float32Array>, bound: number): boolean;
  /** Throws, naming the first stage of the pipeline that diverges; otherwise the headroom is noted. */
  finish(): void;
}

/** `run` says which way the values were computed, for the message. */
export function judgeCase(group: GoldenGroup, { id, expected }: GoldenCase, run: string): Judge {
  const order = Object.keys(expected);
  const divergences: Divergence[] = [];
  const name = group.manifest.group;
  const place = (stage: string): number => {
    const found = order.findIndex((one) => one === stage || one.startsWith(`${stage}.`));
    return found < 0 ? order.length : found;
  };
  const note = (stage: string): void => {
    compared.add(`${name} ${id} ${stage}`);
  };
  const diverged = (stage: string, factor: number, text: string): void => {
    divergences.push({ stage, factor, text });
  };
  const sameShape = (stage: string, got: Host<Numbers>, golden: Host<Numbers>): boolean => {
    const same = `${got.shape}` === `${golden.shape}` && got.values.length === golden.values.length;
    if (!same) diverged(stage, Number.POSITIVE_INFINITY, `expected [${golden.shape}], got [${got.shape}]`);
    return same;
  };
  const sameIntegers = (got: Host<Uint32Array>, golden: Host<Uint32Array>): boolean =>
    got.values.every((value, i) => value === golden.values[i]);

  const close = (stage: string, shown: string, got: Host<Float32Array>, golden: Host<Float32Array>): void => {
    note(stage);
    if (!sameShape(stage, got, golden)) return;
    const worst = worstElement(got.values, golden.values, toleranceOf(group, shown, golden.values));
    if (worst.ratio <= 1) {
      noteHeadroom(name, shown, worst.ratio);
      return;
    }
    const where = `${stage === shown ? '' : `${shown} `}at ${placeOf(worst.at, golden.shape)}`;
    diverged(stage, worst.ratio, `${where} expected ${golden.values[worst.at]}, got ${got.values[worst.at]}`);
  };

  return {
    real: (stage, got, golden) => close(stage, stage, got, golden ?? real(group, id, stage)),
    shownIn: (stage, shown, got) => close(stage, shown, got, real(group, id, shown)),
    index(stage, got) {
      note(stage);
      const golden = indices(group, id, stage);
      if (!sameShape(stage, got, golden) || sameIntegers(got, golden)) return;
      diverged(stage, Number.POSITIVE_INFINITY, `expected ${golden.values}, got ${got.values}`);
    },
    topkSet(stage, kept, scores) {
      note(stage);
      const golden = indices(group, id, stage);
      if (!sameShape(stage, kept, golden)) return false;
      const bound = ruleOf(group, 'scores').tolerance?.value as number;
      const wrong = inadmissibleSet(kept, scores, bound);
      if (wrong !== null) diverged(stage, Number.POSITIVE_INFINITY, wrong);
      return sameIntegers(kept, golden);
    },
    argmax(stage, got, similarity, bound) {
      note(stage);
      const golden = indices(group, id, stage);
      if (!sameShape(stage, got, golden)) return false;
      const wrong = inadmissibleChoice(got, similarity, bound);
      if (wrong !== null) diverged(stage, Number.POSITIVE_INFINITY, wrong);
      return sameIntegers(got, golden);
    },
    finish() {
      divergences.sort((a, b) => place(a.stage) - place(b.stage));
      const [first, ...others] = divergences;
      if (first === undefined) return;
      const factor =
        first.factor === Number.POSITIVE_INFINITY ? 'wrong' : `${first.factor.toPrecision(3)} tolerances`;
      const after = others.length === 0 ? '' : `; then ${others.map(({ stage }) => stage).join(', ')}`;
      throw new Error(
        `${name} ${id}, ${run}: first divergence at ${first.stage} (${factor}): ${first.text}${after}`,
      );
    },
  };
}

function noteHeadroom(group: string, stage: string, ratio: number): void {
  const before = headroom.get(group);
  if (before === undefined || ratio > before.ratio) headroom.set(group, { ratio, stage });
}

/** G-1.5: of each element of a stage. */
export function toleranceOf(group: GoldenGroup, stage: string, golden: Numbers): (i: number) => number {
  const { tolerance } = ruleOf(group, stage);
  if (tolerance === undefined) return () => 0;
  const { relativeTo, value } = tolerance;
  if (relativeTo === 'element') return (i) => value * Math.abs(golden[i] as number);
  const bound = value * (relativeTo === 'rms' ? rms(golden) : 1);
  return () => bound;
}

function worstElement(
  got: Numbers,
  golden: Numbers,
  tolerance: (i: number) => number,
): { ratio: number; at: number } {
  let worst = { ratio: 0, at: 0 };
  for (let i = 0; i < golden.length; i++) {
    const error = Math.abs((got[i] as number) - (golden[i] as number));
    const ratio = error === 0 ? 0 : error / tolerance(i);
    if (!(ratio <= worst.ratio))
      worst = { ratio: Number.isNaN(ratio) ? Number.POSITIVE_INFINITY : ratio, at: i };
  }
  return worst;
}

/** G-1.6: a set is admissible if some scores within the bounds have it as their largest. Null if it is. */
export function inadmissibleSet(
  kept: Host<Uint32Array>,
  scores: Host<Float32Array>,
  bound: number,
): string | null {
  const [B, P] = scores.shape as [number, number];
  const K = kept.shape[1] as number;
  for (let b = 0; b < B; b++) {
    const row = kept.values.subarray(b * K, (b + 1) * K);
    if (row[0] !== 0) return `image ${b}: expected CLS first, got token ${row[0]}`;
    if (row.some((token, i) => i > 0 && token <= (row[i - 1] as number)) || (row.at(-1) as number) > P) {
      return `image ${b}: expected ascending tokens, got ${row}`;
    }
    const score = (token: number): number => scores.values[b * P + token - 1] as number;
    let weakest = Number.POSITIVE_INFINITY;
    let strongest = Number.NEGATIVE_INFINITY;
    for (let token = 1; token <= P; token++) {
      const margin = bound * Math.abs(score(token));
      if (row.includes(token)) weakest = Math.min(weakest, score(token) + margin);
      else strongest = Math.max(strongest, score(token) - margin);
    }
    if (weakest < strongest) return `image ${b}: kept a score of ${weakest} but not one of ${strongest}`;
  }
  return null;
}

/** G-1.6: a choice is admissible if no other is better by more than both bounds. Null if all are. */
export function inadmissibleChoice(
  chosen: Host<Uint32Array>,
  similarity: Host<Float32Array>,
  bound: number,
): string | null {
  const M = similarity.shape.at(-1) as number;
  for (const [row, choice] of chosen.values.entries()) {
    const values = similarity.values.subarray(row * M, (row + 1) * M);
    const own = values[choice];
    const best = Math.max(...values);
    if (own === undefined || own + bound < best - bound) {
      return `row ${row}: expected target ${values.indexOf(best)} (${best}), got ${choice} (${own})`;
    }
  }
  return null;
}
