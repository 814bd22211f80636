// Goldens of the authors' code in a page: selection and merge, and of the embedded model what is cheap on SwiftShader.

import { encodeQuestion, type Llava, type PromptTemplate } from '../../../src/models/index.ts';
import type { Gpu } from '../../../src/tensor/index.ts';
import { type GoldenCase, type GoldenGroup, indices, readGroup, real } from '../../support/golden.ts';
import { goldenPixels, goldenTokens, runAnswer } from '../../support/golden-answers.ts';
import { judgeCase, toleranceOf } from '../../support/golden-judge.ts';
import { judgeStages } from '../../support/golden-stages.ts';
import { contested, judgePlans, towerPlans, type ZipPlan } from '../../support/golden-zips.ts';
import { fetchBytes } from './fetch-bytes.ts';
import type { PageTest } from './page-test.ts';

interface QuestionParams {
  readonly picture: string;
  readonly budget: string;
  readonly template: PromptTemplate;
  readonly question: string;
}

export async function selectMergeTests(gpu: Gpu): Promise<PageTest[]> {
  const group = await readGroup('select-merge', fetchBytes);
  const { cases } = group.manifest;
  return [
    {
      title: `G-1.7 select-merge: of ${cases.length} cases, scores, sets, targets, assignments and tokens are those of the authors`,
      run: async () => {
        await judgePlans(
          gpu,
          cases.map((one) => selectPlan(group, one)),
          'in a page',
        );
        // G-1.6, as in Node.
        const few = contested.kept < 0.2 * contested.plans && contested.assignment < 0.1 * contested.plans;
        if (!few)
          throw new Error(`expected few open decisions to fall otherwise, got ${JSON.stringify(contested)}`);
      },
    },
  ];
}

function selectPlan(group: GoldenGroup, one: GoldenCase): ZipPlan {
  const { dominantCount, contextualCount } = one.params as Readonly<Record<string, number>>;
  const input = {
    hiddenStates: real(group, one.id, 'hiddenStates'),
    clsAttention: real(group, one.id, 'clsAttention'),
    keys: real(group, one.id, 'keys'),
  };
  return { group, one, suffix: '', input, K: dominantCount as number, M: contextualCount as number };
}

export function embeddedTests(llava: Llava, group: GoldenGroup): PageTest[] {
  const { cases } = group.manifest;
  const pictures = cases.filter(({ params }) => params.kind === 'picture');
  const asked = cases.filter(({ params }) => params.kind === 'question' && params.budget === '54+10');
  return [
    ...pictures.map((one) => ({
      title: `G-1.9 ${one.id}: pixels to the bit, and selection and merge at each budget, are those of the authors`,
      run: async () => {
        await goldenPixels(llava, group, one, fetchBytes);
        await judgePlans(llava.gpu, towerPlans(group, one), 'in a page, from the golden encoding');
      },
    })),
    ...asked.slice(0, 1).map((one) => ({
      title: `G-1.9 ${one.id}: prompt, decoder, logits and answer are those of the authors`,
      run: () => judgeQuestion(llava, group, one),
    })),
  ];
}

/** Prompt, inputEmbeds, what the golden holds of the cache, logits, and the choice of each step. */
async function judgeQuestion(llava: Llava, group: GoldenGroup, one: GoldenCase): Promise<void> {
  const { picture, budget, template, question } = one.params as unknown as QuestionParams;
  const judge = judgeCase(group, one, 'in a page, from the golden tokens');
  const prompt = encodeQuestion(llava.tokenizer, question, template);
  for (const side of ['before', 'after'] as const) {
    judge.index(`prompt.${side}`, {
      shape: [1, prompt[side].length],
      values: Uint32Array.from(prompt[side]),
    });
  }
  const golden = indices(group, one.id, 'greedyIds');
  const { stages, ids } = await runAnswer(llava, prompt, goldenTokens(group, picture, budget), {
    golden,
    wanted: (stage) => stage in one.expected || `${stage}.rows` in one.expected,
  });
  judgeStages(judge, one, stages);
  const logits = real(group, one.id, 'greedyLogits');
  judge.argmax('greedyIds', ids, logits, toleranceOf(group, 'greedyLogits', logits.values)(0));
  judge.finish();
}
