// A conversation against one that runs the whole text anew for each turn. SPEC M-8.5 to M-8.9, and M-8.1 where a sampler
// meets the decoder.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Conversation,
  converse,
  decode,
  encodePrompt,
  type Llava,
  prefill,
  project,
  type Sample,
  sampler,
  splice,
  type Turn,
} from '../../../src/models/index.ts';
import { dispose, type Tensor, tensor, tidy } from '../../../src/tensor/index.ts';
import { expectClose } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import { loadTinyLlava } from '../../support/tiny-llava.ts';
import { grid } from '../../support/tiny-models.ts';

const gpu = await testGpu();
const questions = [
  'What is in the left?',
  'How many red objects are there?',
  'Is there a "</s> <image>" green ring?',
  'Describe the image.',
];
const VISUAL = 6;

let model: Llava;
let tokens: Tensor; // [1, V, C]

beforeAll(async () => {
  model = await loadTinyLlava(gpu);
  tokens = visual('visual tokens');
});

afterAll(() => dispose(model, tokens));

function visual(name: string): Tensor {
  const { values, shape } = grid(name, [1, VISUAL, model.config.vision.hiddenSize], 1);
  return tensor(gpu, values, shape);
}

async function listen(parts: AsyncIterable<string>, most = Number.POSITIVE_INFINITY): Promise<string> {
  let text = '';
  let count = 0;
  for await (const part of parts) {
    text += part;
    if (++count >= most) break;
  }
  return text;
}

/** Greedy, and keeps the logits of each step. */
function watching(seen: Float32Array[]): Sample {
  return (logits) => {
    seen.push(logits);
    return logits.reduce((best, logit, id) => (logit > (logits[best] as number) ? id : best), 0);
  };
}

/** The whole conversation up to a question, as text. What is special in it by accident is left out of these. */
function wholePrompt(turns: readonly Turn[], question: string): string {
  const said = [...turns, { question, answer: null }].map(
    (turn, i) =>
      `USER: ${i === 0 ? '<image>\n' : ''}${turn.question} ASSISTANT:${turn.answer === null ? '' : ` ${turn.answer}</s>`}`,
  );
  return said.join('');
}

interface Answer {
  readonly tokenIds: number[];
  readonly logits: Float32Array[];
}

/** The answer that a run of the whole text from nothing gives. */
async function fromScratch(
  visualTokens: Tensor,
  turns: readonly Turn[],
  question: string,
  maxNewTokens: number,
): Promise<Answer> {
  const logits: Float32Array[] = [];
  const prompt = encodePrompt(model.tokenizer, wholePrompt(turns, question));
  const start = tidy(gpu, () =>
    prefill(model, splice(model, prompt, project(model, visualTokens)), {
      maxNewTokens,
      sample: watching(logits),
    }),
  );
  const tokenIds: number[] = [];
  for await (const id of decode(model, start)) tokenIds.push(id);
  return { tokenIds, logits };
}

function expectSame(label: string, got: readonly Float32Array[], wanted: readonly Float32Array[]): void {
  expect(got.length, label).toBe(wanted.length);
  wanted.forEach((logits, step) => {
    const rms = Math.sqrt(logits.reduce((sum, x) => sum + x * x, 0) / logits.length);
    const shape = [logits.length];
    expectClose(label, { values: got[step] as Float32Array, shape }, shape, logits, () => 1e-4 * rms);
  });
}

/** Asks them all; each answer is held to one from scratch. */
async function hold(conversation: Conversation, visualTokens: Tensor, maxNewTokens: number, most?: number) {
  const plainQuestions = [questions[0], questions[1], questions[3], questions[0]] as string[];
  for (const question of plainQuestions) {
    const turns = [...conversation.turns];
    const logits: Float32Array[] = [];
    const text = await listen(conversation.ask(question, { maxNewTokens, sample: watching(logits) }), most);
    const turn = conversation.turns.at(-1) as Turn;
    expect(conversation.turns).toHaveLength(turns.length + 1);
    expect([turn.question, turn.answer]).toEqual([question, text.trim()]);
    const wanted = await fromScratch(visualTokens, turns, question, maxNewTokens);
    expect(turn.tokenIds).toEqual(wanted.tokenIds.slice(0, turn.tokenIds.length));
    if (most === undefined) expect(turn.tokenIds).toHaveLength(wanted.tokenIds.length);
    expectSame(question, logits, wanted.logits.slice(0, logits.length));
  }
}

describe('M-8 conversation', () => {
  it('M-8.6 answers are those of a run of the whole conversation from nothing', async () => {
    const conversation = converse(model, tokens);
    await hold(conversation, tokens, 30);
    expect(conversation.turns.map(({ ended }) => ended)).toContain('eos');
    conversation.end();
  });

  it('M-8.6 so they are behind answers that maxNewTokens cut off', async () => {
    const conversation = converse(model, tokens);
    await hold(conversation, tokens, 2);
    expect(conversation.turns.map(({ ended }) => ended)).toContain('length');
    conversation.end();
  });

  it('M-8.7 a stopped answer counts as far as it was heard, and the conversation goes on', async () => {
    for (const most of [1, 2]) {
      const conversation = converse(model, tokens);
      await hold(conversation, tokens, 30, most);
      expect(conversation.turns.map(({ ended }) => ended)).toContain('stopped');
      conversation.end();
    }
  });

  it('M-8.8 turns of another conversation are gone on from, with other visual tokens', async () => {
    const first = converse(model, tokens);
    for (const question of questions.slice(0, 2)) await listen(first.ask(question, { maxNewTokens: 8 }));
    const others = visual('other visual tokens');
    const second = converse(model, others, first.turns);
    first.end();
    expect(second.turns).toEqual(first.turns);
    await hold(second, others, 12);
    expect(second.turns.slice(0, 2)).toEqual(first.turns);
    second.end();
    dispose(others);
  });

  it('M-8.5 greedy on the device and on the host say the same, and nothing in a question is special', async () => {
    const [device, host] = [converse(model, tokens), converse(model, tokens)];
    for (const question of questions) {
      const text = await listen(device.ask(question, { maxNewTokens: 10 }));
      expect(await listen(host.ask(question, { maxNewTokens: 10, sample: watching([]) }))).toBe(text);
    }
    expect(device.turns).toEqual(host.turns);
    device.end();
    host.end();
  });

  it('M-8.4 the same seed gives the same conversation', async () => {
    const talk = async (seed: number): Promise<readonly Turn[]> => {
      const conversation = converse(model, tokens);
      const sample = sampler({ temperature: 3, topP: 0.95, seed });
      for (const question of questions.slice(0, 2))
        await listen(conversation.ask(question, { maxNewTokens: 8, sample }));
      conversation.end();
      return conversation.turns;
    };
    const turns = await talk(1);
    expect(await talk(1)).toEqual(turns);
    expect(await talk(2)).not.toEqual(turns);
  });
});

describe('M-8 what a conversation refuses and frees', () => {
  /** The same model, made for fewer positions. */
  function made(maxPositions: number): Llava {
    const text = { ...model.config.text, maxPositions };
    return { ...model, config: { ...model.config, text }, language: { ...model.language, config: text } };
  }

  const first = questions[0] as string;
  const second = questions[1] as string;

  it('M-8.9 a turn that outgrows the model is refused and named, and the conversation goes on', async () => {
    const ids = (turns: readonly Turn[], question: string): number => {
      const { before, after } = encodePrompt(model.tokenizer, wholePrompt(turns, question));
      return before.length + VISUAL + after.length;
    };
    const wide = converse(model, tokens);
    await listen(wide.ask(first, { maxNewTokens: 3 }));
    const needed = ids(wide.turns, second);
    wide.end();

    const conversation = converse(made(needed + 3), tokens);
    await listen(conversation.ask(first, { maxNewTokens: 3 }));
    const dispatches = gpu.commands.dispatchCount;
    const live = gpu.memory.live.size;
    await expect(listen(conversation.ask(second, { maxNewTokens: 4 }))).rejects.toThrow(
      `conversation: expected at most ${needed + 3} positions, picture, turns and next answer together, got ${needed + 4}`,
    );
    await expect(listen(conversation.ask(second, { maxNewTokens: 4 }))).rejects.toBeInstanceOf(RangeError);
    expect([gpu.commands.dispatchCount, gpu.memory.live.size]).toEqual([dispatches, live]);
    expect(conversation.turns).toHaveLength(1);
    await listen(conversation.ask(second, { maxNewTokens: 3 }));
    expect(conversation.turns).toHaveLength(2);
    conversation.end();
    expect(() => converse(made(VISUAL + 5), tokens, conversation.turns)).toThrow(RangeError);
  });

  it('M-8.9 a question without text, a second one at once and one behind the end are refused', async () => {
    const conversation = converse(model, tokens);
    await expect(listen(conversation.ask(' \n'))).rejects.toThrow(/question: expected text/);
    await expect(listen(conversation.ask(first, { maxNewTokens: 0 }))).rejects.toThrow(RangeError);
    const answer = conversation.ask(first, { maxNewTokens: 5 });
    expect((await answer.next()).done).toBe(false);
    await expect(listen(conversation.ask(second))).rejects.toThrow(/got one that is answering/);
    await listen(answer);
    await expect(listen(conversation.ask('\t'))).rejects.toThrow(/question: expected text/);
    conversation.end();
    await expect(listen(conversation.ask(second))).rejects.toThrow(/got one that is over/);
    expect(conversation.turns).toHaveLength(1);
  });

  it('M-8.9 an answer that fails does not count, and the next one is as if it had not been', async () => {
    const conversation = converse(model, tokens);
    await listen(conversation.ask(first, { maxNewTokens: 8 }));
    const live = gpu.memory.live.size;
    let count = 0;
    const failing: Sample = (logits) => {
      if (++count === 2) throw new RangeError('enough');
      return watching([])(logits);
    };
    await expect(listen(conversation.ask(second, { sample: failing }))).rejects.toThrow('enough');
    await expect(listen(conversation.ask(second, { sample: () => 514 }))).rejects.toThrow(
      /decode: expected sample to choose an id below 514, got 514/,
    );
    expect(gpu.memory.live.size).toBeLessThanOrEqual(live);
    expect(conversation.turns).toHaveLength(1);
    await hold(conversation, tokens, 8);
    conversation.end();
  });

  it('M-8.7 the end frees all of it, also in the middle of an answer', async () => {
    const live = gpu.memory.live.size;
    const silent = converse(model, tokens);
    silent.end();
    expect(gpu.memory.live.size).toBe(live);

    const conversation = converse(model, tokens);
    await listen(conversation.ask(first, { maxNewTokens: 4 }));
    const held = gpu.memory.live.size;
    for (let i = 0; i < 3; i++) await listen(conversation.ask(second, { maxNewTokens: 4 }));
    expect(gpu.memory.live.size).toBe(held);
    const answer = conversation.ask(first, { maxNewTokens: 9 });
    await answer.next();
    conversation.end();
    await listen(answer);
    expect(gpu.memory.live.size).toBe(live);
    conversation.end();
    expect(gpu.memory.live.size).toBe(live);
  });
});

describe('M-8 decoding with a sampler', () => {
  it('M-8.1 it is asked once for each token, with the logits, and what it chooses is decoded next', async () => {
    const wanted = [5, 300, 7, 513];
    const seen: number[] = [];
    const start = tidy(gpu, () =>
      prefill(model, splice(model, encodePrompt(model.tokenizer, 'A <image>'), project(model, tokens)), {
        maxNewTokens: 4,
        sample: (logits) => {
          seen.push(logits.length);
          return wanted[seen.length - 1] as number;
        },
      }),
    );
    const ids: number[] = [];
    for await (const id of decode(model, start)) ids.push(id);
    expect(ids).toEqual(wanted);
    expect(seen).toEqual([514, 514, 514, 514]);
  });

  it('M-8.1 a sampler may end the answer, and M-7.3 one that fails leaves nothing on the device', async () => {
    const live = gpu.memory.live.size;
    const run = async (sample: Sample): Promise<number[]> => {
      const start = tidy(gpu, () =>
        prefill(model, splice(model, encodePrompt(model.tokenizer, 'A <image>'), project(model, tokens)), {
          sample,
        }),
      );
      const ids: number[] = [];
      for await (const id of decode(model, start)) ids.push(id);
      return ids;
    };
    let count = 0;
    expect(await run(() => (++count === 3 ? 2 : 9))).toEqual([9, 9]);
    for (const bad of [-1, 0.5, 514, Number.NaN]) await expect(run(() => bad)).rejects.toThrow(RangeError);
    expect(gpu.memory.live.size).toBe(live);
  });
});
