// A conversation about one picture. SPEC M-8.5 to M-8.9.
//
//     USER: <image>\nQUESTION ASSISTANT: ANSWER</s>USER: QUESTION ASSISTANT: ANSWER</s>USER: ...
//
// What was said is a sequence of ids, the transcript. The key-value cache between turns holds its beginning; a turn
// appends what is not in it yet: the end of the answer before, EOS, and the next question. The form above is that of the
// template `hf`; behind a chat template's answers stands what that template writes there (M-3.20).
//
//   V visual tokens   C channels of the encoder   E channels of the decoder   T new positions

import { dispose, indexTensor, lookup, reshape, type Tensor, tidy } from '../../tensor/index.ts';
import type { DecoderStep, KeyValueCache } from '../llama/decoder.ts';
import { encodeNextQuestion } from '../tokenizer/next-question.ts';
import { encodeQuestion, type PromptIds } from '../tokenizer/prompt.ts';
import { streamText } from '../tokenizer/tokenizer.ts';
import { continueDecoding, type DecodeOptions, type Prefill, prefill } from './decode.ts';
import { type Llava, project, splice } from './llava.ts';

export interface Turn {
  readonly question: string;
  readonly answer: string;
  readonly tokenIds: readonly number[]; // of the answer as it was decoded, without EOS
  /** By EOS, by maxNewTokens, or by the listener. However it ended, EOS stands behind it in the transcript. */
  readonly ended: 'eos' | 'length' | 'stopped';
}

export interface Conversation {
  /** What was said so far. An answer counts when it is over. */
  readonly turns: readonly Turn[];
  /**
   * Asks, and yields the answer as it grows; a listener may stop early. Throws RangeError, and leaves the conversation as
   * it was, for a question without text, for more positions than the model was made for, while another answer is being
   * given, and after the end.
   */
  ask(question: string, options?: DecodeOptions): AsyncGenerator<string, void, undefined>;
  /** Frees what the conversation holds on the device. */
  end(): void;
}

/**
 * Begins a conversation about a picture of which `tokens` [1, V, C] are the visual tokens, all of them or those that
 * VisionZip kept. With `turns` of another one it goes on from there, as if they had been said about these tokens. Throws
 * RangeError if those turns alone are more than the model was made for.
 */
export function converse(llava: Llava, tokens: Tensor, turns: readonly Turn[] = []): Conversation {
  checkLength(llava, positionsOf(transcript(llava, turns), tokens));
  const said = [...turns];
  const projectedTokens = project(llava, tokens); // [1, V, E]
  let cache: KeyValueCache | null = null;
  let answering = false;
  let over = false;

  const release = (): void => {
    dispose(projectedTokens);
    if (cache !== null) dispose(cache);
    cache = null;
  };

  const begin = (question: string, options: DecodeOptions): Prefill => {
    if (over || answering) {
      const got = over ? 'one that is over' : 'one that is answering';
      throw new RangeError(`ask: expected a conversation that waits for a question, got ${got}`);
    }
    const ids = transcript(llava, said, question);
    checkLength(llava, positionsOf(ids, projectedTokens) + (options.maxNewTokens ?? 64));
    const start = append(llava, ids, projectedTokens, cache, options);
    if (cache !== null) dispose(cache);
    cache = null;
    answering = true;
    return start;
  };

  async function* ask(
    question: string,
    options: DecodeOptions = {},
  ): AsyncGenerator<string, void, undefined> {
    const start = begin(question, options);
    const running: Answering = { step: start.step, tokenIds: [], ended: 'stopped' };
    try {
      yield* answerText(llava, start, running);
    } catch (error) {
      running.ended = 'failed';
      throw error;
    } finally {
      const { step, tokenIds, ended } = running;
      answering = false;
      if (ended === 'failed') dispose(step);
      else {
        dispose(step.logits);
        cache = step.cache;
        said.push({ question, answer: llava.tokenizer.decode(tokenIds).trim(), tokenIds, ended });
      }
      if (over) release();
    }
  }

  return {
    turns: said,
    ask,
    end(): void {
      over = true;
      if (!answering) release(); // otherwise the answer does, when it ends
    },
  };
}

interface Answering {
  step: DecoderStep;
  readonly tokenIds: number[];
  ended: Turn['ended'] | 'failed';
}

/** The answer as it grows. `running` tells how far it came, also to a caller that stops it. */
async function* answerText(
  llava: Llava,
  start: Prefill,
  running: Answering,
): AsyncGenerator<string, void, undefined> {
  const text = streamText(llava.tokenizer);
  for await (const tokenId of continueDecoding(llava, running, start)) {
    running.tokenIds.push(tokenId);
    const part = text.push(tokenId);
    if (part !== '') yield part;
  }
  running.ended = running.tokenIds.length === start.maxNewTokens ? 'length' : 'eos';
  const rest = text.flush();
  if (rest !== '') yield rest;
}

/** All that was said, and the next question, as the ids on both sides of the picture. SPEC M-8.5. */
function transcript({ tokenizer, template }: Llava, turns: readonly Turn[], question?: string): PromptIds {
  const questions = [...turns.map((turn) => turn.question), ...(question === undefined ? [] : [question])];
  const [first, ...others] = questions;
  if (first === undefined) return { before: [], after: [] };
  const { before, after } = encodeQuestion(tokenizer, first, template);
  const ids = [...after];
  others.forEach((next, i) => {
    ids.push(...(turns[i] as Turn).tokenIds, ...encodeNextQuestion(tokenizer, next, template));
  });
  if (question === undefined) ids.push(...(turns.at(-1) as Turn).tokenIds);
  return { before, after: ids };
}

function positionsOf({ before, after }: PromptIds, tokens: Tensor): number {
  return before.length + (tokens.shape[1] ?? 0) + after.length;
}

function checkLength({ config }: Llava, needed: number): void {
  const { maxPositions } = config.text;
  if (needed <= maxPositions) return;
  throw new RangeError(
    `conversation: expected at most ${maxPositions} positions, picture, turns and next answer together, got ${needed}`,
  );
}

/** Runs the decoder over what the cache does not hold yet. */
function append(
  llava: Llava,
  { before, after }: PromptIds,
  projectedTokens: Tensor,
  cache: KeyValueCache | null,
  options: DecodeOptions,
): Prefill {
  const { gpu, language } = llava;
  return tidy(gpu, () => {
    if (cache === null) return prefill(llava, splice(llava, { before, after }, projectedTokens), options);
    const held = cache.length - before.length - (projectedTokens.shape[1] ?? 0);
    const fresh = Uint32Array.from(after.slice(held));
    const embeds = lookup(language.tokenEmbedding, indexTensor(gpu, fresh, [fresh.length])); // [T, E]
    const inputEmbeds = reshape(embeds, [1, fresh.length, language.config.hiddenSize]); //      [1, T, E]
    return prefill(llava, inputEmbeds, options, cache);
  });
}
