// The tiny LLaVA's answers in a page, against golden/tiny-llava/cases.json. SPEC VZ-4.4.

import type { Llava } from '../../../src/models/index.ts';
import { dispose, tensor } from '../../../src/tensor/index.ts';
import { type GoldenGroup, real } from '../../support/golden.ts';
import { encodeTold, judgeTold, readTold, type ToldPicture } from '../../support/told-answers.ts';
import { fetchBytes } from './fetch-bytes.ts';
import type { PageTest } from './page-test.ts';

/**
 * One question each: the first PNG from the file on at all budgets, the first JPEG at those that zip, and the others from the
 * golden encoding at the smallest, since the encoder and the longest prompts take most of the time on SwiftShader.
 */
export async function answerTests(llava: Llava, embedded: GoldenGroup): Promise<PageTest[]> {
  const pictures = (await readTold(fetchBytes)).map((picture) => ({
    ...picture,
    questions: picture.questions.slice(0, 1),
  }));
  const png = pictures.find(({ image }) => image.endsWith('.png'));
  const jpeg = pictures.find(({ image }) => image.endsWith('.jpg'));
  return pictures.map((picture) => {
    if (picture === png) return fromFile(llava, picture, [64, 128, 192, 576]);
    if (picture === jpeg) return fromFile(llava, picture, [64, 128, 192]);
    return fromEncoding(llava, embedded, picture);
  });
}

function fromFile(llava: Llava, picture: ToldPicture, budgets: readonly number[]): PageTest {
  return {
    title: `VZ-4.4 ${picture.image}, from the file on: sets, targets, logits and answers at ${budgets.join(', ')} are those of the authors`,
    run: async () => {
      const encoding = await encodeTold(llava, picture, fetchBytes);
      for (const visualTokens of budgets) {
        expectJudged(await judgeTold(llava, encoding, picture, visualTokens));
      }
      dispose(encoding);
    },
  };
}

function fromEncoding(llava: Llava, group: GoldenGroup, picture: ToldPicture): PageTest {
  const id = picture.image.replace(/\.\w+$/, '');
  return {
    title: `VZ-4.4 ${picture.image}, from the golden encoding: sets, targets, logits and answer at 64 are those of the authors`,
    run: async () => {
      const upload = (stage: string) => {
        const { values, shape } = real(group, id, stage);
        return tensor(llava.gpu, values, shape);
      };
      const encoding = {
        hiddenStates: upload('hiddenStates'),
        clsAttention: upload('clsAttention'),
        meanKeys: upload('meanKeys'),
      };
      expectJudged(await judgeTold(llava, encoding, picture, 64));
      dispose(encoding);
    },
  };
}

/** A page asks too few questions to let one go by. */
function expectJudged(open: readonly string[]): void {
  if (open.length > 0) throw new Error(`expected clear decisions, got ${open.join('; ')}`);
}
