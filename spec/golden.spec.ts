// Every committed golden of the authors' code, stage by stage. SPEC G-1; golden/README.md says what the files are.

import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { ClipWeights } from '../src/models/index.ts';
import { dispose } from '../src/tensor/index.ts';
import { visionZip } from '../src/visionzip/index.ts';
import {
  fill,
  formulaInput,
  type GoldenCase,
  type GoldenGroup,
  indices,
  readGroup,
  real,
  ruleOf,
  tensorHash,
} from './support/golden.ts';
import {
  headroom,
  inadmissibleChoice,
  inadmissibleSet,
  judgeCase,
  toleranceOf,
} from './support/golden-judge.ts';
import { goldenClip, goldenLlama } from './support/golden-models.ts';
import { runClipStages, runEncoder, runGreedy, runLlamaLayers } from './support/golden-runs.ts';
import { judgeStages } from './support/golden-stages.ts';
import { expectEnsemble, expectFromEnsemble } from './support/golden-tolerances.ts';
import { contested, judgePlans, towerPlans, type ZipPlan } from './support/golden-zips.ts';
import { testGpu } from './support/gpu.ts';
import { grid8 } from './support/grid8.ts';
import { checkProperty } from './support/property.ts';
import type { Host } from './support/recipe.ts';

const gpu = await testGpu();
const MINUTES = 1_800_000; // the whole tower, on a CPU that is busy with other things
const towers = ['clip-tiny', 'clip-large', ...(process.env.GOLDEN_FULL === undefined ? [] : ['clip-full'])];
const names = ['select-merge', ...towers, 'llama'];
const groups = new Map<string, GoldenGroup>();
for (const name of names) groups.set(name, await readGroup(name, readFile));

const groupOf = (name: string): GoldenGroup => groups.get(name) as GoldenGroup;

afterAll(() => {
  for (const [name, { ratio, stage }] of headroom) {
    console.log(`golden ${name}: the largest error is ${ratio.toFixed(3)} of its tolerance, at ${stage}`);
  }
});

interface SelectParams {
  readonly dominantCount: number;
  readonly contextualCount: number;
}

function selectPlan(one: GoldenCase): ZipPlan {
  const group = groupOf('select-merge');
  const { dominantCount: K, contextualCount: M } = one.params as unknown as SelectParams;
  const input = {
    hiddenStates: real(group, one.id, 'hiddenStates'),
    clsAttention: real(group, one.id, 'clsAttention'),
    keys: real(group, one.id, 'keys'),
  };
  return { group, one, suffix: '', input, K, M };
}

describe('G-1 the form of the goldens', () => {
  it('G-1.3 every tensor is finite, a case has the stages that its group has rules for, and there are as many as said', () => {
    for (const group of groups.values()) {
      expect(group.manifest.format).toBe('golden-v1');
      expect(group.manifest.cases.length).toBe(group.manifest.caseCount);
      for (const { values } of group.tensors.values()) expect(values.every(Number.isFinite)).toBe(true);
      for (const { id, expected } of group.manifest.cases) {
        for (const stage of Object.keys(expected)) {
          const isReal = ruleOf(group, stage).tolerance !== undefined;
          const { values } = group.tensors.get(`${id}/${stage}`) as Host<Float32Array | Int32Array>;
          expect(values instanceof Float32Array, `${id} ${stage}`).toBe(
            isReal || ruleOf(group, stage).kind === 'copy',
          );
        }
      }
    }
  });

  it('G-1.4 the formulas give the first values, and for small tensors the hash, that the exporter had', async () => {
    let checked = 0;
    for (const { manifest } of groups.values()) {
      for (const [model, { tensors }] of Object.entries(manifest.weights)) {
        for (const [name, formula] of Object.entries(tensors)) {
          const count = formula.shape.reduce((product, length) => product * length, 1);
          const stream = `${model}:${name}`;
          if (count > 1 << 16) {
            const head = fill(stream, { ...formula, shape: [5] });
            expect(Array.from(head), stream).toEqual(formula.check);
            continue;
          }
          const values = fill(stream, formula);
          expect(Array.from(values.subarray(0, 5)), stream).toEqual(formula.check);
          expect(await tensorHash({ shape: formula.shape, values }), stream).toBe(formula.sha256);
          checked++;
        }
      }
      for (const one of manifest.cases) {
        for (const [name, input] of Object.entries(one.inputs)) {
          if (typeof input === 'string') continue;
          expect(await tensorHash(formulaInput(one, name)), `${one.id} ${name}`).toBe(input.sha256);
        }
      }
    }
    expect(checked).toBeGreaterThan(300);
  });

  it('G-1.5 a tolerance is 4 times what the ensemble of the original needs, and at least 2^-20', () => {
    for (const { manifest } of groups.values()) {
      expectEnsemble(manifest);
      for (const [stage, { kind, tolerance }] of Object.entries(manifest.stages)) {
        expect(tolerance === undefined, stage).toBe(kind !== 'real');
        if (tolerance === undefined) continue;
        expectFromEnsemble(stage, tolerance);
        expect(tolerance.value, stage).toBeLessThan(2e-4);
      }
    }
  });

  it('G-1.6 a set or choice passes exactly if scores within the bounds allow it', () => {
    const scores = { shape: [1, 4], values: Float32Array.of(4, 3, 2.9, 1) };
    const kept = (...tokens: number[]) => ({ shape: [1, tokens.length], values: Uint32Array.from(tokens) });
    expect(inadmissibleSet(kept(0, 1, 2), scores, 0)).toBeNull();
    expect(inadmissibleSet(kept(0, 1, 3), scores, 0.01)).not.toBeNull();
    expect(inadmissibleSet(kept(0, 1, 3), scores, 0.02)).toBeNull();
    expect(inadmissibleSet(kept(0, 2, 1), scores, 0)).not.toBeNull(); // not ascending
    expect(inadmissibleSet(kept(1, 2, 3), scores, 0)).not.toBeNull(); // without CLS
    const similarity = { shape: [1, 1, 3], values: Float32Array.of(0.5, 0.75, 0.625) };
    expect(inadmissibleChoice(kept(1), similarity, 0)).toBeNull();
    expect(inadmissibleChoice(kept(2), similarity, 0.06)).not.toBeNull();
    expect(inadmissibleChoice(kept(2), similarity, 0.07)).toBeNull();
  });

  it('G-1.7 the first stage of the pipeline that diverges is named, with its factor', () => {
    const group = groupOf('select-merge');
    const plan = selectPlan(group.manifest.cases[0] as GoldenCase);
    const golden = real(group, plan.one.id, 'tokens');
    const scores = real(group, plan.one.id, 'scores');
    const within = { ...golden, values: golden.values.map((value) => value * (1 + 2 ** -23)) };
    const passing = judgeCase(group, plan.one, 'a test');
    passing.real('tokens', within);
    passing.finish();
    const failing = judgeCase(group, plan.one, 'a test');
    failing.real('tokens', { ...golden, values: golden.values.map((value) => value + 1) });
    failing.real('scores', { ...scores, values: scores.values.map((value) => value * (1 + 2 ** -19)) });
    expect(() => failing.finish()).toThrow(/first divergence at scores \(2\.00 tolerances\).*; then tokens/);
    const notNumbers = judgeCase(group, plan.one, 'a test');
    notNumbers.real('scores', { ...scores, values: scores.values.map(() => Number.NaN) });
    expect(() => notNumbers.finish()).toThrow(/first divergence at scores/);
  });
});

describe('G-1.7 select-merge', () => {
  const { cases } = groupOf('select-merge').manifest;

  it('G-1.7 every case: scores, sets, targets, assignments and tokens are those of the authors', async () => {
    expect(cases.length).toBeGreaterThan(500);
    await judgePlans(gpu, cases.map(selectPlan), 'stage by stage');
    expect(contested.kept).toBeLessThan(0.2 * contested.plans);
    expect(contested.assignment).toBeLessThan(0.1 * contested.plans);
  });
});

interface Disguise {
  readonly index: number;
  readonly hiddenExponent: number;
  readonly keySeed: number;
  readonly rotation: number;
}

/** The inputs of a case with its hidden states and the keys of each token scaled, and its heads turned around. */
function disguised({ index, hiddenExponent, keySeed, rotation }: Disguise): DisguisedInputs {
  const group = groupOf('select-merge');
  const { input } = selectPlan(group.manifest.cases[index] as GoldenCase);
  const keys = input.keys as Host<Float32Array>;
  const [, H, N] = keys.shape as [number, number, number];
  const exponents = grid8(`${keySeed}:keys`, N);
  const scaledKeys = keys.values.map((value, i) => {
    const n = Math.floor(i / (keys.shape[3] as number)) % N;
    return value * 2 ** ((exponents[n] as number) % 7);
  });
  const turn = (host: Host<Float32Array>): Host<Float32Array> => {
    const size = host.shape.slice(2).reduce((product, length) => product * length, 1);
    const values = host.values.map((_, i) => {
      const head = Math.floor(i / size);
      const from = Math.floor(head / H) * H + (((head % H) + rotation) % H);
      return host.values[from * size + (i % size)] as number;
    });
    return { shape: host.shape, values };
  };
  return {
    hiddenStates: {
      ...input.hiddenStates,
      values: input.hiddenStates.values.map((value) => value * 2 ** hiddenExponent),
    },
    clsAttention: turn(input.clsAttention),
    keys: turn({ ...keys, values: scaledKeys }),
  };
}

type DisguisedInputs = Readonly<Record<'hiddenStates' | 'clsAttention' | 'keys', Host<Float32Array>>>;

describe('G-1.7 properties over the goldens', () => {
  const group = groupOf('select-merge');
  const { cases } = group.manifest;

  it('G-1.7 with scaled hidden states, scaled keys and turned heads a case decides as the authors did', async () => {
    await checkProperty(gpu, {
      cases: fc.record({
        index: fc.nat({ max: cases.length - 1 }),
        hiddenExponent: fc.integer({ min: -8, max: 8 }),
        keySeed: fc.nat({ max: 999 }),
        rotation: fc.nat({ max: 3 }),
      }),
      count: 240,
      data: disguised,
      run: (inputs, { index }) => {
        const { K, M } = selectPlan(cases[index] as GoldenCase);
        const result = visionZip(inputs, { dominantCount: K, contextualCount: M });
        const { scores, keptTokenIndices, targetTokenIndices, assignment, tokens } = result;
        return [scores, keptTokenIndices, targetTokenIndices, assignment, tokens] as const;
      },
      judge: ([scores, kept, targets, assignment, tokens], _, { index, hiddenExponent }) => {
        const { one } = selectPlan(cases[index] as GoldenCase);
        const judge = judgeCase(group, one, 'disguised');
        judge.real('scores', scores);
        if (judge.topkSet('keptTokenIndices', kept, real(group, one.id, 'scores'))) {
          judge.index('targetTokenIndices', targets);
          const bound = ruleOf(group, 'similarity').tolerance?.value as number;
          const same = judge.argmax('assignment', assignment, real(group, one.id, 'similarity'), bound);
          const golden = real(group, one.id, 'tokens');
          const scaled = { ...golden, values: golden.values.map((value) => value * 2 ** hiddenExponent) };
          if (same) judge.real('tokens', tokens, scaled);
        }
        judge.finish();
      },
    });
  });
});

for (const name of towers) {
  describe(`G-1.7 ${name}`, () => {
    const group = groupOf(name);
    for (const one of group.manifest.cases) {
      it(
        `G-1.7 ${one.id}: every stage from pixels to tokens is that of the authors`,
        async () => {
          const pixels = formulaInput(one, 'pixelValues');
          const weights: ClipWeights = await goldenClip(gpu, group, one.id);
          const layers = judgeCase(group, one, 'stage by stage');
          judgeStages(layers, one, await runClipStages(gpu, group, one, weights, pixels));
          layers.finish();
          const encoder = judgeCase(group, one, 'from pixels');
          judgeStages(encoder, one, await runEncoder(gpu, weights, pixels));
          encoder.finish();
          dispose(weights);
          await judgePlans(gpu, towerPlans(group, one), 'from the golden encoding');
        },
        MINUTES,
      );
    }
  });
}

describe('G-1.7 llama', () => {
  const group = groupOf('llama');
  for (const one of group.manifest.cases) {
    it(`G-1.7 ${one.id}: embeddings, layers, logits and greedy ids are those of the original`, async () => {
      const weights = await goldenLlama(gpu, group, one.id);
      const judge = judgeCase(group, one, 'stage by stage');
      const golden = indices(group, one.id, 'greedyIds');
      const greedy = await runGreedy(gpu, weights, indices(group, one.id, 'tokenIds'), golden);
      judge.real('inputEmbeds', greedy.inputEmbeds);
      const layers = await runLlamaLayers(gpu, group, one.id, weights);
      layers.forEach(({ keys, values, logits }, i) => {
        judge.real(`layers.${i}.keys`, keys[0] as Host<Float32Array>);
        judge.real(`layers.${i}.values`, values[0] as Host<Float32Array>);
        const next = keys[1];
        if (next === undefined) judge.real('logits', logits);
        else judge.shownIn(`layers.${i}.hiddenStates`, `layers.${i + 1}.keys`, next);
      });
      judge.real('greedyLogits', greedy.logits);
      const logits = real(group, one.id, 'greedyLogits');
      const bound = toleranceOf(group, 'greedyLogits', logits.values)(0);
      judge.argmax('greedyIds', greedy.ids, logits, bound);
      judge.finish();
      dispose(weights);
    });
  }
});
