// Judges VisionZip against a golden: where it decided otherwise, and rightly so, what follows is judged from the golden
// inputs and that decision. SPEC G-1.6, G-1.7.

import type { Gpu } from '../../src/tensor/index.ts';
import * as oracle from '../oracle/vision-zip.ts';
import { type GoldenCase, type GoldenGroup, indices, real, ruleOf } from './golden.ts';
import { type Judge, judgeCase } from './golden-judge.ts';
import { restOf, runMerge, runZips, type ZipHost, type ZipRun } from './golden-runs.ts';
import { rowsFrom } from './golden-stages.ts';
import type { Host } from './recipe.ts';
import { imagesOf } from './zip-cases.ts';

export interface ZipPlan {
  readonly group: GoldenGroup;
  readonly one: GoldenCase;
  readonly suffix: string; // '' or `@54+10`
  readonly input: ZipHost;
  readonly K: number;
  readonly M: number;
}

/** How often a decision was open and fell otherwise than in the golden. */
export const contested: { kept: number; assignment: number; plans: number } = {
  kept: 0,
  assignment: 0,
  plans: 0,
};

/** All plans of a tower's case, from the golden encoding. */
export function towerPlans(group: GoldenGroup, one: GoldenCase): ZipPlan[] {
  const stored = (name: string): Host<Float32Array> => real(group, one.id, name);
  const keys = 'keys' in one.expected ? { keys: stored('keys') } : { meanKeys: stored('meanKeys') };
  const input = { hiddenStates: stored('hiddenStates'), clsAttention: stored('clsAttention'), ...keys };
  const budgets = one.params.budgets as [number, number][];
  return budgets.map(([K, M]) => ({ group, one, suffix: `@${K}+${M}`, input, K, M }));
}

export async function judgePlans(gpu: Gpu, plans: readonly ZipPlan[], label: string): Promise<void> {
  const jobs = plans.map(({ input, K, M }) => ({ input, dominantCount: K, contextualCount: M }));
  const runs = await runZips(gpu, jobs);
  for (const [i, plan] of plans.entries()) {
    const judge = judgeCase(plan.group, plan.one, label);
    await judgeZip(gpu, judge, plan, runs[i] as ZipRun);
    judge.finish();
  }
}

async function judgeZip(gpu: Gpu, judge: Judge, plan: ZipPlan, run: ZipRun): Promise<void> {
  const { group, one, suffix, input, K, M } = plan;
  contested.plans++;
  const scores = `scores${suffix}` in one.expected ? `scores${suffix}` : 'scores';
  judge.real(scores, run.scores);
  const kept = `keptTokenIndices${suffix}`;
  const sameSet = judge.topkSet(kept, run.keptTokenIndices, real(group, one.id, scores));
  if (!sameSet) contested.kept++;
  const merged = sameSet
    ? {
        targets: run.targetTokenIndices,
        assignment: run.assignment,
        contextual: rowsFrom(run.tokens, K),
      }
    : await mergeOfGolden(gpu, plan);
  judge.index(`targetTokenIndices${suffix}`, merged.targets);
  const bound = ruleOf(group, 'similarity').tolerance?.value as number;
  const similarity = real(group, one.id, `similarity${suffix}`);
  const sameChoices = judge.argmax(`assignment${suffix}`, merged.assignment, similarity, bound);
  if (!sameChoices) contested.assignment++;
  if (sameSet && sameChoices) judge.index(`counts${suffix}`, run.counts);

  const name = `tokens${suffix}` in one.expected ? `tokens${suffix}` : `contextualTokens${suffix}`;
  const stored = real(group, one.id, name);
  const golden = name.startsWith('tokens') ? rowsFrom(stored, K) : stored;
  const sets = indices(group, one.id, kept);
  const expected = sameChoices ? golden : forcedTokens(input, { K, M }, sets, merged.assignment);
  if (name.startsWith('tokens') && sameSet && sameChoices) judge.real(name, run.tokens);
  else judge.real(name, merged.contextual, expected);
}

/** The merge alone, of the tokens that the golden leaves over. */
async function mergeOfGolden(gpu: Gpu, { group, one, suffix, input, M }: ZipPlan) {
  const N = input.hiddenStates.shape[1] as number;
  const rest = restOf(group, one.id, `keptTokenIndices${suffix}`, N);
  const alone = await runMerge(gpu, input, rest, M);
  const R = rest.shape[1] as number;
  const toTokens = (place: number, i: number): number => rest.values[Math.floor(i / M) * R + place] as number;
  const targets = { ...alone.targetRestIndices, values: alone.targetRestIndices.values.map(toTokens) };
  return { targets, assignment: alone.assignment, contextual: alone.contextualTokens };
}

/** Contextual tokens for other, equally good assignments: in f64, from the golden inputs. */
function forcedTokens(
  input: ZipHost,
  params: { readonly K: number; readonly M: number },
  kept: Host<Uint32Array>,
  assignment: Host<Uint32Array>,
): Host<Float32Array> {
  const keys = input.keys ?? headed(input.meanKeys as Host<Float32Array>);
  const images = imagesOf({ hiddenStates: input.hiddenStates, clsAttention: input.clsAttention, keys });
  const S = assignment.shape[1] as number;
  const rows = images.map((image, b) => {
    const decisions = {
      kept: Array.from(kept.values.subarray(b * params.K, (b + 1) * params.K)),
      assignment: Array.from(assignment.values.subarray(b * S, (b + 1) * S)),
    };
    return oracle.zip(image, params, decisions).tokens.slice(params.K).flat();
  });
  const C = input.hiddenStates.shape[2] as number;
  return { shape: [images.length, params.M, C], values: Float32Array.from(rows.flat()) };
}

/** Mean keys as those of one head. */
function headed({ values, shape }: Host<Float32Array>): Host<Float32Array> {
  const [B, N, D] = shape as [number, number, number];
  return { shape: [B, 1, N, D], values };
}
