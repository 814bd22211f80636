// What another implementation computed, judged by the rules of the manifests: right and wrong ports, made from the goldens
// themselves. SPEC G-1.5, G-1.6.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { writeSafetensors } from '../../src/models/index.ts';
import {
  type GoldenCase,
  type GoldenGroup,
  indices,
  readGroup,
  real,
  ruleOf,
  type StageTolerance,
} from '../support/golden.ts';
import { toleranceOf } from '../support/golden-judge.ts';
import type { Host } from '../support/recipe.ts';

const folder = mkdtempSync(join(tmpdir(), 'visionzip-judge-'));
afterAll(() => rmSync(folder, { recursive: true }));

const llama = await readGroup('llama', readFile);
const zips = await readGroup('select-merge', readFile);
type Port = Record<string, Host<Float32Array | Int32Array>>;

/** A port that computed all stages of a case as the golden has them, except those given. */
function portOf({ tensors, manifest }: GoldenGroup, id: string, changed: Port = {}): Port {
  const { expected } = manifest.cases.find((one) => one.id === id) as GoldenCase;
  return Object.fromEntries(
    Object.keys(expected).map((stage) => [
      `${id}/${stage}`,
      changed[stage] ?? (tensors.get(`${id}/${stage}`) as Host<Float32Array | Int32Array>),
    ]),
  );
}

interface Ended {
  readonly status: number | null;
  readonly output: string;
}

function judge(group: string, port: Port | null, ...options: readonly string[]): Ended {
  const file = join(folder, 'port.safetensors');
  if (port !== null) {
    const tensors = Object.entries(port).map(([name, { shape, values: data }]) =>
      data instanceof Float32Array
        ? { name, dtype: 'F32' as const, shape, data }
        : { name, dtype: 'I32' as const, shape, data },
    );
    writeFileSync(file, writeSafetensors(tensors));
  }
  return run(group, ...(port === null ? [] : [file]), ...options);
}

function run(...args: readonly string[]): Ended {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/golden-judge.mjs', ...args], {
    encoding: 'utf8',
  });
  return { status, output: stdout + stderr };
}

const ID = llama.manifest.cases[0]?.id as string;

/** The logits of the first case, the first of them moved by so many tolerances. */
function moved(stage: string, tolerances: number): Host<Float32Array> {
  const golden = real(llama, ID, stage);
  const values = golden.values.slice();
  values[0] = (values[0] as number) + tolerances * toleranceOf(llama, stage, golden.values)(0);
  return { shape: golden.shape, values };
}

describe('G-1 golden-judge', () => {
  it('G-1.5 every group is what it is: all its stages have a rule that can be applied', async () => {
    const names = (await readdir('golden')).filter((name) =>
      existsSync(`golden/${name}/${name}.safetensors`),
    );
    expect(names.length).toBeGreaterThan(5);
    for (const name of names) {
      const { status, output } = run(name, `golden/${name}/${name}.safetensors`);
      expect(output).toMatch(
        new RegExp(`^${name}: (\\d+) of \\1 stages judged, in (\\d+) of \\2 cases; .* 0\\.000 of`),
      );
      expect(status).toBe(0);
    }
  });

  it('G-1.5 what is within its tolerance passes, whichever stages there are', () => {
    const one = portOf(llama, ID, { logits: moved('logits', 0.75) });
    const { status, output } = judge('llama', one);
    expect(output).toMatch(
      /^llama: 13 of \d+ stages judged, in 1 of 6 cases; the largest error that passes is 0\.7\d+ of/,
    );
    expect(output).toContain('at logits; 0 behind an open decision');
    expect(status).toBe(0);
  });

  it('G-1.5 the first stage of the pipeline that is off is named, with its place and how far it is off', () => {
    const changed = { 'layers.1.keys': moved('layers.1.keys', 4), logits: moved('logits', 8) };
    const { status, output } = judge('llama', portOf(llama, ID, changed));
    expect(output).toMatch(
      new RegExp(
        `${ID}: first divergence at layers\\.1\\.keys \\((4\\.0|3\\.9)\\d tolerances\\): at \\[0, 0, 0, 0\\] expected .+; then logits`,
      ),
    );
    expect(status).toBe(1);
  });

  it('G-1.5 NaN, another shape, another type, and a tensor that is no stage are wrong', () => {
    const logits = real(llama, ID, 'logits');
    const ids = indices(llama, ID, 'greedyIds');
    const changed = {
      'layers.0.keys': { ...moved('layers.0.keys', Number.NaN) },
      logits: { shape: [...logits.shape, 1], values: logits.values },
      greedyIds: { shape: ids.shape, values: Float32Array.from(ids.values) },
    };
    const { status, output } = judge('llama', { ...portOf(llama, ID, changed), 'nobody/logits': logits });
    expect(output).toMatch(
      /first divergence at layers\.0\.keys \(wrong\): .*got NaN; then logits, greedyIds/,
    );
    expect(output).toContain('nobody/logits: expected a stage of llama, got none');
    expect(status).toBe(1);
  });

  it('G-1.6 a choice is open where scores within the tolerance allow it, and what follows is not judged', () => {
    const tied = zips.manifest.cases.find(({ flags }) => flags.includes('TieAtCut')) as GoldenCase;
    const clear = zips.manifest.cases.find(
      ({ flags, margins }) => flags.length === 0 && Number((margins.cut as number[])[0]) > 0.01,
    ) as GoldenCase;
    const ports = [tied, clear].map(({ id }) => {
      const tokens = real(zips, id, 'tokens');
      const changed = {
        keptTokenIndices: weakestReplaced(id),
        tokens: { shape: tokens.shape, values: tokens.values.map((value) => -value) },
      };
      return portOf(zips, id, changed);
    }) as [Port, Port];
    const open = judge('select-merge', ports[0]);
    expect(open.output).toContain('2 of 3906 stages judged, in 1 of 558 cases');
    expect(open.output).toContain('5 behind an open decision that fell otherwise');
    expect(open.status).toBe(0);
    const wrong = judge('select-merge', ports[1]);
    expect(wrong.output).toMatch(
      /first divergence at keptTokenIndices \(wrong\): image 0: expected the largest scores/,
    );
    expect(wrong.status).toBe(1);
  });

  it('G-1.5 what stores float16 is judged by the tolerances of float16', () => {
    const { value, f16 } = ruleOf(llama, 'logits').tolerance as Required<StageTolerance>;
    const half = portOf(llama, ID, { logits: moved('logits', (0.75 * f16.value) / value) });
    expect(judge('llama', half).status).toBe(1);
    expect(judge('llama', half, '--precision', 'f16')).toMatchObject({
      status: 0,
      output: expect.stringMatching(/largest error that passes is 0\.7\d+ of its tolerance, at logits/),
    });
    const wrong = portOf(llama, ID, { logits: moved('logits', (2 * f16.value) / value) });
    expect(judge('llama', wrong, '--precision', 'f16').output).toMatch(/at logits \((2\.0|1\.9)/);
    expect(judge('llama', half, '--precision', 'f8')).toMatchObject({
      status: 2,
      output: expect.stringContaining('expected --precision f32 or f16, got f8'),
    });
  });

  it('G-1.5 nothing to judge is no success', () => {
    expect(judge('llama', {})).toMatchObject({ status: 1, output: expect.stringContaining('got none') });
    expect(judge('lama', {})).toMatchObject({
      status: 2,
      output: expect.stringContaining('expected a group'),
    });
    expect(judge('llama', null).status).toBe(2);
  });
});

/** The golden set of image 0 with its weakest patch replaced by the strongest one that is left out. */
function weakestReplaced(id: string): Host<Int32Array> {
  const scores = real(zips, id, 'scores');
  const kept = indices(zips, id, 'keptTokenIndices');
  const [P, K] = [scores.shape[1] as number, kept.shape[1] as number];
  const score = (token: number): number => scores.values[token - 1] as number;
  const first = Array.from(kept.values.subarray(0, K));
  const others = Array.from({ length: P }, (_, i) => i + 1).filter((token) => !first.includes(token));
  const weakest = first.slice(1).reduce((a, b) => (score(b) < score(a) ? b : a));
  const strongest = others.reduce((a, b) => (score(b) > score(a) ? b : a));
  const changed = first.map((token) => (token === weakest ? strongest : token)).sort((a, b) => a - b);
  const values = Int32Array.from(kept.values);
  values.set(changed);
  return { shape: kept.shape, values };
}
