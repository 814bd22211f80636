// Judges stages that a golden holds whole, as some rows and the length of every row, or as the mean over heads. SPEC G-1.7.

import type { GoldenCase } from './golden.ts';
import type { Judge } from './golden-judge.ts';
import type { Stages } from './golden-runs.ts';
import type { Host } from './recipe.ts';

/** Every stage that the case has, in whichever of its forms; `rows` are those that it lists. */
export function judgeStages(
  judge: Judge,
  { expected, params }: GoldenCase,
  stages: Stages,
  rows: readonly number[] = params.rows as number[],
  suffix = '',
): void {
  for (const [stage, host] of Object.entries(stages)) {
    if (`${stage}${suffix}` in expected) judge.real(`${stage}${suffix}`, host);
    if (`${stage}.rows${suffix}` in expected) judgeRows(judge, stage, host, rows, suffix);
    if (stage === 'keys' && 'meanKeys' in expected) judge.real('meanKeys', meanOverHeads(host));
  }
}

/** Some rows of the second-to-last axis of [..., N, C], and the length of every row. */
function judgeRows(
  judge: Judge,
  stage: string,
  { values, shape }: Host<Float32Array>,
  rows: readonly number[],
  suffix: string,
): void {
  const outer = shape.slice(0, -2);
  const [N, C] = shape.slice(-2) as [number, number];
  const row = (n: number): Float32Array => values.subarray(n * C, (n + 1) * C);
  const count = values.length / C;
  const chosen = Float32Array.from(
    Array.from({ length: count / N }, (_, head) => rows.map((n) => Array.from(row(head * N + n)))).flat(2),
  );
  judge.real(`${stage}.rows${suffix}`, { shape: [...outer, rows.length, C], values: chosen });
  const lengths = Float32Array.from({ length: count }, (_, n) =>
    Math.sqrt(row(n).reduce((sum, x) => sum + x * x, 0)),
  );
  judge.real(`${stage}.lengths${suffix}`, { shape: [...outer, N], values: lengths });
}

/** [B, H, N, D] → [B, N, D] */
function meanOverHeads({ values, shape }: Host<Float32Array>): Host<Float32Array> {
  const [B, H, N, D] = shape as [number, number, number, number];
  const mean = new Float32Array(B * N * D);
  for (let b = 0; b < B; b++) {
    for (let i = 0; i < N * D; i++) {
      let sum = 0;
      for (let h = 0; h < H; h++) sum += values[(b * H + h) * N * D + i] as number;
      mean[b * N * D + i] = sum / H;
    }
  }
  return { shape: [B, N, D], values: mean };
}

/** The rows from `begin` on of the middle axis of [B, L, C]. */
export function rowsFrom({ values, shape }: Host<Float32Array>, begin: number): Host<Float32Array> {
  const [B, L, C] = shape as [number, number, number];
  const rows = Array.from({ length: B }, (_, b) => values.subarray((b * L + begin) * C, (b + 1) * L * C));
  return { shape: [B, L - begin, C], values: Float32Array.from(rows.flatMap((row) => Array.from(row))) };
}
