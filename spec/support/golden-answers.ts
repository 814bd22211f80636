// Runs LLaVA on the inputs of a golden: visual tokens, prompts, answers that go on with the golden ids, conversations.
// SPEC G-1.7, G-1.9.

import {
  converse,
  decodeImage,
  decoderStep,
  emptyCache,
  type Llava,
  type PixelValues,
  type PromptIds,
  type PromptTemplate,
  preprocessCrop,
  preprocessPad,
  project,
  splice,
} from '../../src/models/index.ts';
import {
  argmax,
  concat,
  dispose,
  indexTensor,
  lookup,
  readAll,
  reshape,
  type Tensor,
  tensor,
  tidy,
} from '../../src/tensor/index.ts';
import { cached } from './cached.ts';
import {
  type GoldenCase,
  type GoldenGroup,
  indices,
  type PictureInput,
  type ReadFile,
  real,
  tensorHash,
} from './golden.ts';
import { download, type Stages } from './golden-runs.ts';
import { rowsFrom } from './golden-stages.ts';
import type { Host } from './recipe.ts';

/** The pixels of a picture of a case. Throws unless they are to the bit those of the original. */
export async function goldenPixels(
  llava: Llava,
  group: GoldenGroup,
  one: GoldenCase,
  readFile: ReadFile,
): Promise<PixelValues> {
  const { picture, mode, sha256 } = one.inputs.pixelValues as PictureInput;
  const bytes = await readFile(`golden/${group.manifest.group}/${picture}`);
  const { image } = await decodeImage(bytes, picture);
  const preprocess = mode === 'pad' ? preprocessPad : preprocessCrop;
  const pixels = preprocess(image, llava.preprocessor);
  const hash = await tensorHash({ shape: pixels.shape, values: pixels.data });
  if (hash !== sha256) {
    throw new Error(
      `${group.manifest.group} ${one.id}: first divergence at pixelValues (wrong): expected ${sha256}, got ${hash}`,
    );
  }
  return pixels;
}

/** The golden visual tokens [1, V, C] of a picture at a budget such as `54+10`, or all patches. */
export function goldenTokens(group: GoldenGroup, picture: string, budget: string): Host<Float32Array> {
  const hiddenStates = real(group, picture, 'hiddenStates');
  if (!budget.includes('+')) return rowsFrom(hiddenStates, 1);
  const C = hiddenStates.shape[2] as number;
  const kept = indices(group, picture, `keptTokenIndices@${budget}`).values;
  const contextual = real(group, picture, `contextualTokens@${budget}`);
  const V = kept.length + (contextual.shape[1] as number);
  const values = new Float32Array(V * C);
  kept.forEach((token, i) => {
    values.set(hiddenStates.values.subarray(token * C, (token + 1) * C), i * C);
  });
  values.set(contextual.values, kept.length * C);
  return { shape: [1, V, C], values };
}

function upload({ gpu }: Llava, { values, shape }: Host<Float32Array>): Tensor {
  return tensor(gpu, values, shape);
}

export async function runProjector(llava: Llava, tokens: Host<Float32Array>): Promise<Stages> {
  const projectedTokens = tidy(llava.gpu, () => project(llava, upload(llava, tokens)));
  return download(llava.gpu, { projectedTokens });
}

interface AnswerRun {
  readonly stages: Stages; // of the prompt, and `greedyLogits`
  readonly ids: Host<Uint32Array>;
}

/**
 * A prompt around golden visual tokens, and behind it the golden ids: the `wanted` of what is computed, and what would be
 * chosen at each step.
 */
export async function runAnswer(
  llava: Llava,
  prompt: PromptIds,
  tokens: Host<Float32Array>,
  { golden, wanted }: { golden: Host<Uint32Array>; wanted: (stage: string) => boolean },
): Promise<AnswerRun> {
  const { gpu, language } = llava;
  const { hiddenSize, vocabSize } = language.config;
  const outputs = tidy(gpu, () => {
    const inputEmbeds = splice(llava, prompt, project(llava, upload(llava, tokens))); // [1, T, E]
    const positions = (inputEmbeds.shape[1] as number) + golden.values.length;
    let step = decoderStep(language, inputEmbeds, emptyCache(gpu, language, positions));
    const named = cached(step.cache).flatMap(({ keys, values }, i) => [
      [`layers.${i}.keys`, keys],
      [`layers.${i}.values`, values],
    ]);
    const logits = [step.logits];
    for (const id of golden.values.subarray(0, -1)) {
      const embeds = lookup(language.tokenEmbedding, indexTensor(gpu, Uint32Array.of(id), [1])); // [1, E]
      step = decoderStep(language, reshape(embeds, [1, 1, hiddenSize]), step.cache);
      logits.push(step.logits);
    }
    const rows = logits.map((x) => reshape(x, [1, 1, vocabSize])) as [Tensor, ...Tensor[]];
    const greedyLogits = concat(rows, 1); // [1, steps, V]
    const first = logits[0] as Tensor; //    [1, V]
    const stages = { inputEmbeds, ...Object.fromEntries(named), logits: first, greedyLogits };
    const kept = Object.entries<Tensor>(stages).filter(([stage]) => wanted(stage));
    return { stages: Object.fromEntries(kept), ids: argmax(greedyLogits) };
  });
  const [ids] = await readAll(gpu, [outputs.ids]);
  const stages = await download(gpu, outputs.stages);
  dispose(outputs.ids);
  return { stages, ids: { shape: golden.shape, values: ids } };
}

interface TurnRun {
  readonly logits: Host<Float32Array>; // [1, steps, V]
  readonly ids: Host<Uint32Array>; //     [1, steps]  the most likely ones
  readonly answer: string;
}

/** A conversation that answers with the golden ids: of each turn, what the model would have said. */
export async function runChat(
  llava: Llava,
  template: PromptTemplate,
  tokens: Host<Float32Array>,
  turns: readonly { readonly question: string; readonly ids: Host<Uint32Array> }[],
): Promise<TurnRun[]> {
  const visual = upload(llava, tokens);
  const conversation = converse({ ...llava, template }, visual);
  const runs: TurnRun[] = [];
  for (const { question, ids } of turns) {
    const seen: Float32Array[] = [];
    const sample = (logits: Float32Array): number => {
      seen.push(logits);
      return ids.values[seen.length - 1] as number;
    };
    for await (const _ of conversation.ask(question, { maxNewTokens: ids.values.length, sample }));
    const V = llava.language.config.vocabSize;
    runs.push({
      logits: {
        shape: [1, seen.length, V],
        values: Float32Array.from(seen.flatMap((row) => Array.from(row))),
      },
      ids: { shape: [1, seen.length], values: Uint32Array.from(seen, mostLikely) },
      answer: conversation.turns.at(-1)?.answer as string,
    });
  }
  conversation.end();
  dispose(visual);
  return runs;
}

function mostLikely(logits: Float32Array): number {
  return logits.indexOf(logits.reduce((most, logit) => Math.max(most, logit), Number.NEGATIVE_INFINITY));
}
