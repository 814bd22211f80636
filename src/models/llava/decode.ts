// Greedy decoding. SPEC M-7.
//
// The next token is chosen, and embedded for the step that follows, on the device: a token costs one reading of four
// bytes and no upload.

import {
  argmax,
  dispose,
  type IndexTensor,
  lookup,
  read,
  reshape,
  type Tensor,
  tidy,
} from '../../tensor/index.ts';
import { type DecoderStep, decoderStep, emptyCache } from '../llama/decoder.ts';
import { encodeQuestion, type PromptIds } from '../tokenizer/prompt.ts';
import { streamText } from '../tokenizer/tokenizer.ts';
import { type Llava, project, splice } from './llava.ts';

export interface DecodeOptions {
  /** How many tokens to make at most, EOS not counted; at least 1. By default 64. */
  readonly maxNewTokens?: number;
}

/** The state of one answer between the prompt and its first token. */
export interface Prefill {
  readonly step: DecoderStep; // logits [1, V] of the prompt's last position, and the cache
  readonly maxNewTokens: number;
}

/**
 * Runs the decoder over a prompt, inputEmbeds [1, T, E]. Nothing is read back. Throws RangeError if prompt and answer
 * together are longer than the model allows, or maxNewTokens is not at least 1.
 */
export function prefill(
  llava: Llava,
  inputEmbeds: Tensor,
  { maxNewTokens = 64 }: DecodeOptions = {},
): Prefill {
  if (!Number.isInteger(maxNewTokens) || maxNewTokens < 1) {
    throw new RangeError(
      `prefill: expected maxNewTokens to be an integer of at least 1, got ${maxNewTokens}`,
    );
  }
  const T = inputEmbeds.shape[1] ?? 0;
  return tidy(llava.gpu, () => {
    const cache = emptyCache(llava.gpu, llava.language, T + maxNewTokens);
    return { step: decoderStep(llava.language, inputEmbeds, cache), maxNewTokens };
  });
}

/**
 * The most likely tokens, one after the other, until EOS (which is not handed out) or maxNewTokens. Frees the prefill,
 * also when the caller stops early.
 */
export function decode(llava: Llava, start: Prefill): AsyncGenerator<number, void, undefined> {
  const tokens = decodeTokens(llava, start);
  // A generator that is stopped before it has begun runs nothing of its own, not even its finally.
  const stop = tokens.return.bind(tokens);
  tokens.return = (value) => stop(value).finally(() => dispose(start.step));
  return tokens;
}

async function* decodeTokens(
  llava: Llava,
  { step, maxNewTokens }: Prefill,
): AsyncGenerator<number, void, undefined> {
  let current = step;
  try {
    for (let count = 1; ; count++) {
      const next = argmax(current.logits); // [1]
      const [tokenId] = await readAndKeep(next);
      const ended = llava.config.eosTokenIds.includes(tokenId);
      if (!ended && count < maxNewTokens) current = advance(llava, current, next);
      dispose(next);
      if (ended) return;
      yield tokenId;
      if (count === maxNewTokens) return;
    }
  } finally {
    dispose(current);
  }
}

async function readAndKeep(next: IndexTensor): Promise<[number]> {
  try {
    const [tokenId] = await read(next);
    return [tokenId as number];
  } catch (error) {
    dispose(next);
    throw error;
  }
}

/** One more position: the token `next` [1], embedded and run. Frees what the step before held. */
function advance({ gpu, language }: Llava, before: DecoderStep, next: IndexTensor): DecoderStep {
  const after = tidy(gpu, () => {
    const embeds = lookup(language.tokenEmbedding, next); //                         [1, E]
    const inputEmbeds = reshape(embeds, [1, 1, language.config.hiddenSize]); //      [1, 1, E]
    return decoderStep(language, inputEmbeds, before.cache);
  });
  dispose(before.logits, before.cache.layers);
  return after;
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
  const prompt: PromptIds = encodeQuestion(llava.tokenizer, question);
  const start = tidy(llava.gpu, () => prefill(llava, splice(llava, prompt, project(llava, tokens)), options));
  const stream = streamText(llava.tokenizer);
  for await (const tokenId of decode(llava, start)) {
    const text = stream.push(tokenId);
    if (text !== '') yield text;
  }
  const rest = stream.flush();
  if (rest !== '') yield rest;
}
