// Decoding: greedy, or by a sampler. SPEC M-7, M-8.
//
// Greedy, the next token is chosen, and embedded for the step that follows, on the device: a token costs one reading of
// twelve bytes and no upload, and the device is at work on the step that follows while it is read. A sampler is handed the
// logits of each step. Whether they are finite is read with them.

import {
  argmax,
  checkFinite,
  dispose,
  type FiniteCheck,
  type Gpu,
  type IndexTensor,
  indexTensor,
  lookup,
  readAll,
  reshape,
  submit,
  type Tensor,
  throwIfNonFinite,
  tidy,
} from '../../tensor/index.ts';
import {
  type DecoderStep,
  decoderStep,
  emptyCache,
  extendCache,
  type KeyValueCache,
  releaseStep,
} from '../llama/decoder.ts';
import { prefillInParts } from '../llama/prefill.ts';
import { encodeQuestion } from '../tokenizer/prompt.ts';
import { streamText } from '../tokenizer/tokenizer.ts';
import { type Llava, type LlavaModel, project, splice } from './llava.ts';
import type { Sample } from './sampling.ts';

export interface DecodeOptions {
  /** How many tokens to make at most, EOS not counted; at least 1. By default 64. */
  readonly maxNewTokens?: number;
  /** Chooses each token; without it, the most likely one is taken. SPEC M-8.1. */
  readonly sample?: Sample;
}

/** The state of one answer between the prompt and its first token. */
export interface Prefill {
  readonly step: DecoderStep; // logits [1, V] of the prompt's last position, and the cache
  readonly maxNewTokens: number;
  readonly sample?: Sample | undefined;
  /** Of what came before the prompt: read with the first token, and throws in its place. */
  readonly check?: FiniteCheck | undefined;
}

/**
 * Runs the decoder over a prompt, inputEmbeds [1, T, E], or over what is appended to a `past`, which the caller still owns.
 * Nothing is read back. Throws RangeError if prompt and answer together are longer than the model allows, or maxNewTokens
 * is not at least 1.
 */
export function prefill(
  llava: LlavaModel,
  inputEmbeds: Tensor,
  { maxNewTokens = 64, sample }: DecodeOptions = {},
  past?: KeyValueCache,
): Prefill {
  if (!Number.isInteger(maxNewTokens) || maxNewTokens < 1) {
    throw new RangeError(
      `prefill: expected maxNewTokens to be an integer of at least 1, got ${maxNewTokens}`,
    );
  }
  const T = inputEmbeds.shape[1] ?? 0;
  return tidy(llava.gpu, () => {
    const positionCount = (past?.length ?? 0) + T + maxNewTokens;
    const cache =
      past === undefined
        ? emptyCache(llava.gpu, llava.language, positionCount)
        : extendCache(llava.gpu, llava.language, past, positionCount);
    return { step: prefillInParts(llava.language, inputEmbeds, cache), maxNewTokens, sample };
  });
}

/**
 * The tokens of an answer, one after the other, the most likely or those that `start.sample` chooses, until EOS (which is not
 * handed out) or maxNewTokens. Frees the prefill, also when the caller stops early. Throws RangeError for logits that are not
 * finite (M-7.4) and where `start.check` does.
 */
export function decode(llava: LlavaModel, start: Prefill): AsyncGenerator<number, void, undefined> {
  const tokens = decodeTokens(llava, start);
  // A generator that is stopped before it has begun runs nothing of its own, not even its finally.
  const stop = tokens.return.bind(tokens);
  tokens.return = (value) => stop(value).finally(() => dispose(start.step, start.check ?? {}));
  return tokens;
}

async function* decodeTokens(llava: LlavaModel, start: Prefill): AsyncGenerator<number, void, undefined> {
  const running = { step: start.step };
  try {
    yield* continueDecoding(llava, running, start);
  } finally {
    dispose(running.step, start.check ?? {});
  }
}

/**
 * Decodes as `decode` does, but keeps the cache: `running.step` is replaced at each step, and its cache holds the tokens
 * handed out so far, except perhaps the last of maxNewTokens. The caller owns it.
 */
export async function* continueDecoding(
  llava: LlavaModel,
  running: { step: DecoderStep },
  { maxNewTokens, sample, check }: Omit<Prefill, 'step'>,
): AsyncGenerator<number, void, undefined> {
  for (let count = 1; ; count++) {
    const earlier = count === 1 && check !== undefined ? [check] : [];
    const goesOn = count < maxNewTokens;
    const { tokenId, ahead } = await (sample === undefined
      ? chooseLikeliest(llava, running.step, earlier, goesOn)
      : chooseSampled(llava, running.step, earlier, goesOn, sample));
    if (ahead !== null) {
      releaseStep(running.step);
      running.step = ahead;
    }
    if (tokenId === null) return;
    yield tokenId;
    if (!goesOn) return;
  }
}

interface Choice {
  readonly tokenId: number | null; //     null: EOS
  readonly ahead: DecoderStep | null; // the step behind the token, if the answer goes on
}

/**
 * M-7.1. The step behind the token is encoded before the token is known here, so that the device has work while it is read;
 * behind EOS it was in vain.
 */
async function chooseLikeliest(
  llava: LlavaModel,
  step: DecoderStep,
  earlier: readonly FiniteCheck[],
  goesOn: boolean,
): Promise<Choice> {
  const { next, check } = tidy(llava.gpu, () => ({
    next: argmax(step.logits), // [1]
    check: finiteLogits(step),
  }));
  const reading = readChecked(llava.gpu, next, [...earlier, check]);
  let ahead: DecoderStep | null = null;
  try {
    if (goesOn) ahead = stepBehind(llava, next, step);
    submit(llava.gpu);
    const [tokenId] = await reading;
    if (!llava.config.eosTokenIds.includes(tokenId as number)) return { tokenId: tokenId as number, ahead };
  } catch (error) {
    await reading.catch(() => undefined); // `ahead` failed first: nothing may be pending when this throws
    if (ahead !== null) releaseStep(ahead);
    throw error;
  } finally {
    dispose(next);
  }
  if (ahead !== null) releaseStep(ahead);
  return { tokenId: null, ahead: null };
}

/** M-8.1. The sampler is handed the logits, so the step behind has to wait for it. */
async function chooseSampled(
  llava: LlavaModel,
  step: DecoderStep,
  earlier: readonly FiniteCheck[],
  goesOn: boolean,
  sample: Sample,
): Promise<Choice> {
  const { gpu, config } = llava;
  const tokenId = sample(await readChecked(gpu, step.logits, [...earlier, finiteLogits(step)]));
  const { vocabSize } = config.text;
  if (!Number.isInteger(tokenId) || tokenId < 0 || tokenId >= vocabSize) {
    throw new RangeError(`decode: expected sample to choose an id below ${vocabSize}, got ${tokenId}`);
  }
  if (config.eosTokenIds.includes(tokenId)) return { tokenId: null, ahead: null };
  const ahead = goesOn
    ? tidy(gpu, () => stepBehind(llava, indexTensor(gpu, Uint32Array.of(tokenId), [1]), step))
    : null;
  return { tokenId, ahead };
}

function finiteLogits({ logits }: DecoderStep): FiniteCheck {
  return checkFinite(logits, 'decode: expected finite logits', (id) => `token ${id}`);
}

/** The values of `x` and what the checks found, with one mapping. Frees the checks. */
async function readChecked<T extends Tensor | IndexTensor>(
  gpu: Gpu,
  x: T,
  checks: readonly FiniteCheck[],
): Promise<T extends Tensor ? Float32Array : Uint32Array> {
  try {
    const [values, ...found] = await readAll(gpu, [x, ...checks.map((check) => check.found)]);
    checks.forEach((check, i) => {
      throwIfNonFinite(check, found[i] as Uint32Array);
    });
    return values as T extends Tensor ? Float32Array : Uint32Array;
  } finally {
    dispose(checks);
  }
}

/** One more position: the token `next` [1], embedded and run. */
function stepBehind({ gpu, language }: LlavaModel, next: IndexTensor, { cache }: DecoderStep): DecoderStep {
  return tidy(gpu, () => {
    const embeds = lookup(language.tokenEmbedding, next); //                    [1, E]
    const inputEmbeds = reshape(embeds, [1, 1, language.config.hiddenSize]); // [1, 1, E]
    return decoderStep(language, inputEmbeds, cache);
  });
}

/**
 * Asks about a picture of which `tokens` [1, V, C] are the visual tokens, all of them or those that VisionZip kept, and
 * yields the answer as it grows. Each call is a conversation of its own. Throws RangeError for a question without text.
 */
export async function* ask(
  llava: Llava,
  tokens: Tensor,
  question: string,
  options: DecodeOptions = {},
): AsyncGenerator<string, void, undefined> {
  const prompt = encodeQuestion(llava.tokenizer, question, llava.template);
  const start = tidy(llava.gpu, () => prefill(llava, splice(llava, prompt, project(llava, tokens)), options));
  const stream = streamText(llava.tokenizer);
  for await (const tokenId of decode(llava, start)) {
    const text = stream.push(tokenId);
    if (text !== '') yield text;
  }
  const rest = stream.flush();
  if (rest !== '') yield rest;
}
