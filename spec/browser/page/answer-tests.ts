// The tiny LLaVA's answers in a page, against golden/tiny-llava/cases.json. SPEC VZ-4.4.

import type { Llava } from '../../../src/models/index.ts';
import { dispose, type Tensor, tensor } from '../../../src/tensor/index.ts';
import type { VisionZipInput } from '../../../src/visionzip/index.ts';
import { type GoldenGroup, real } from '../../support/golden.ts';
import { encodeTold, judgeTold, readTold, type ToldPicture } from '../../support/told-answers.ts';
import { fetchBytes } from './fetch-bytes.ts';
import type { PageTest } from './page-test.ts';

/**
 * One question each: the first JPEG from the file on, the first PNG at all budgets from the golden encoding, the others so
 * at the smallest, since the encoder and the longest prompts take most of the time on SwiftShader.
 */
export async function answerTests(llava: Llava, embedded: GoldenGroup): Promise<PageTest[]> {
  const pictures = (await readTold(fetchBytes)).map((picture) => ({
    ...picture,
    questions: picture.questions.slice(0, 1),
  }));
  const png = pictures.find(({ image }) => image.endsWith('.png'));
  const jpeg = pictures.find(({ image }) => image.endsWith('.jpg'));
  return pictures.map((picture) => {
    if (picture === jpeg) {
      return answerTest(llava, picture, [64, 192], 'file', () => encodeTold(llava, picture, fetchBytes));
    }
    const budgets = picture === png ? [64, 128, 192, 576] : [64];
    return answerTest(llava, picture, budgets, 'golden encoding', async () =>
      goldenEncoding(llava, embedded, picture),
    );
  });
}

function answerTest(
  llava: Llava,
  picture: ToldPicture,
  budgets: readonly number[],
  source: string,
  encode: () => Promise<VisionZipInput>,
): PageTest {
  return {
    title: `VZ-4.4 ${picture.image}, from the ${source}: sets, targets, logits and answer at ${budgets.join(', ')} are those of the authors`,
    run: async () => {
      const encoding = await encode();
      for (const visualTokens of budgets) {
        expectJudged(await judgeTold(llava, encoding, picture, visualTokens));
      }
      dispose(encoding);
    },
  };
}

function goldenEncoding({ gpu }: Llava, group: GoldenGroup, { image }: ToldPicture): VisionZipInput {
  const id = image.replace(/\.\w+$/, '');
  const upload = (stage: string): Tensor => {
    const { values, shape } = real(group, id, stage);
    return tensor(gpu, values, shape);
  };
  return {
    hiddenStates: upload('hiddenStates'),
    clsAttention: upload('clsAttention'),
    meanKeys: upload('meanKeys'),
  };
}

/** A page asks too few questions to let one go by. */
function expectJudged(open: readonly string[]): void {
  if (open.length > 0) throw new Error(`expected clear decisions, got ${open.join('; ')}`);
}
