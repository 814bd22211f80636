// One small LLaVA of the authors' code, from a checkpoint in either layout, against the one golden. SPEC M-2.29, G-1.7.

import { readFile } from 'node:fs/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { loadLlava, type ModelFiles } from '../../../src/models/index.ts';
import { dispose } from '../../../src/tensor/index.ts';
import {
  fill,
  formulaInput,
  type GoldenCase,
  indices,
  readGroup,
  real,
  tensorHash,
} from '../../support/golden.ts';
import { runAnswer } from '../../support/golden-answers.ts';
import { compared, headroom, judgeCase, toleranceOf } from '../../support/golden-judge.ts';
import { layoutForms, promptOf, runLayout } from '../../support/golden-layouts.ts';
import { expectFromEnsemble } from '../../support/golden-tolerances.ts';
import { testGpu } from '../../support/gpu.ts';
import { weights as held } from '../../support/ways.ts';

const gpu = await testGpu();
const group = await readGroup('llava-layouts', readFile);
const { cases, stages: rules, weights } = group.manifest;
const forms = layoutForms(group);

afterAll(() => {
  const { ratio, stage } = headroom.get('llava-layouts') ?? { ratio: 0, stage: 'nothing' };
  console.log(`golden llava-layouts: the largest error is ${ratio.toFixed(3)} of its tolerance, at ${stage}`);
});

it("G-1.4 the weights and pictures of llava-layouts are the exporter's, to the bit", async () => {
  let checked = 0;
  for (const [model, { tensors }] of Object.entries(weights)) {
    for (const [name, formula] of Object.entries(tensors)) {
      const values = fill(`${model}:${name}`, formula);
      expect(await tensorHash({ shape: formula.shape, values }), name).toBe(formula.sha256);
      checked++;
    }
  }
  for (const one of cases) {
    const { sha256 } = one.inputs.pixelValues as { sha256: string };
    expect(await tensorHash(formulaInput(one, 'pixelValues')), one.id).toBe(sha256);
  }
  expect(checked).toBe(96);
});

it('G-1.5 the tolerances of llava-layouts are 4 times what the ensemble of the original needs', () => {
  for (const [stage, { kind, tolerance }] of Object.entries(rules)) {
    expect(tolerance === undefined, stage).toBe(kind !== 'real');
    if (tolerance === undefined) continue;
    expectFromEnsemble(stage, tolerance);
    expect(tolerance.value, stage).toBeLessThan(5e-5);
  }
});

describe('M-2.29 one model in either layout', () => {
  for (const [form, { files, tower }] of Object.entries(forms)) {
    it(`M-2.29 M-2.34 G-1.7 ${form}: visual tokens to greedy ids are those of the authors' code`, async () => {
      const visionTower = async (): Promise<ModelFiles> =>
        tower ?? expect.fail('expected no search for a tower');
      const llava = await loadLlava(gpu, files, { visionTower, weights: held });
      try {
        expect(llava.config.text).toMatchObject({ ropeFactor: 2.5, maxPositions: 160 });
        for (const one of cases) await judge(llava, one, form);
      } finally {
        dispose(llava);
      }
    });
  }
});

async function judge(
  llava: Awaited<ReturnType<typeof loadLlava>>,
  one: GoldenCase,
  form: string,
): Promise<void> {
  compared.clear();
  const verdict = judgeCase(group, one, form);
  const { stages, decisions } = await runLayout(llava, group, one);
  for (const [stage, host] of Object.entries(decisions)) verdict.index(stage, host);
  for (const [stage, host] of Object.entries(stages)) verdict.real(stage, host);
  const golden = indices(group, one.id, 'greedyIds');
  const answer = await runAnswer(llava, promptOf(group, one), real(group, one.id, 'visualTokens'), {
    golden,
    wanted: (stage) => stage === 'logits' || stage === 'greedyLogits',
  });
  for (const [stage, host] of Object.entries(answer.stages)) verdict.real(stage, host);
  const logits = real(group, one.id, 'greedyLogits');
  verdict.argmax('greedyIds', answer.ids, logits, toleranceOf(group, 'greedyLogits', logits.values)(0));
  verdict.finish();
  expect(
    Object.keys(one.expected).filter((stage) => !compared.has(`llava-layouts ${one.id} ${stage}`)),
  ).toEqual([]);
}
