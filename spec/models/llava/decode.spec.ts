import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ask,
  decode,
  encodeQuestion,
  type Llava,
  type Prefill,
  prefill,
  project,
  type Sample,
  splice,
} from '../../../src/models/index.ts';
import {
  checkFinite,
  dispose,
  GpuError,
  read,
  ShapeError,
  type Tensor,
  tensor,
  tidy,
} from '../../../src/tensor/index.ts';
import { trim } from '../../../src/tensor/memory.ts';
import * as oracle from '../../oracle/llama.ts';
import { testGpu } from '../../support/gpu.ts';
import { expand, type Host, recipes } from '../../support/recipe.ts';
import { expectRejected } from '../../support/rejections.ts';
import {
  type HostLlava,
  llavaOnDevice,
  loadTinyLlava,
  textConfig,
  tinyLlava,
} from '../../support/tiny-llava.ts';
import { grid, plain } from '../../support/tiny-models.ts';

const gpu = await testGpu();
const E = textConfig.hiddenSize;
const V = textConfig.vocabSize;

let model: Llava;

beforeAll(async () => {
  model = await loadTinyLlava(gpu);
});

afterAll(() => dispose(model));

/** Runs `use` with a model of which only the language part is on the device, and frees it. */
async function withLanguage(
  host: HostLlava,
  use: (llava: Llava) => Promise<void>,
  eosTokenIds: readonly number[] = [],
): Promise<void> {
  const llava = llavaOnDevice(model, host, eosTokenIds);
  try {
    await use(llava);
  } finally {
    dispose({ vision: llava.vision, projector: llava.projector, language: llava.language });
  }
}

function start(llava: Llava, { values, shape }: Host<Float32Array>, maxNewTokens?: number): Prefill {
  const options = maxNewTokens === undefined ? {} : { maxNewTokens };
  return tidy(gpu, () => prefill(llava, tensor(gpu, values, shape), options));
}

async function collect(ids: AsyncIterable<number>): Promise<number[]> {
  const collected: number[] = [];
  for await (const id of ids) collected.push(id);
  return collected;
}

const prompt = (name: string, T: number): Host<Float32Array> => grid(name, [1, T, E]);

describe('M-7 decoding', () => {
  it('M-7.1 each token is the most likely one behind the prompt and those before it', async () => {
    let [judged, different] = [0, 0];
    for (const name of ['a', 'b', 'c', 'd']) {
      const host = tinyLlava(name);
      await withLanguage(host, async (llava) => {
        for (const T of [1, 4, 9]) {
          const embeds = prompt(`${name} ${T}`, T);
          const { ids, leads } = oracle.greedy(plain(host.language), embeds.values, 9);
          const got = await collect(decode(llava, start(llava, embeds, 9)));
          const close = leads.findIndex((lead) => lead < 1e-3); // what follows may differ
          const count = close < 0 ? ids.length : close;
          expect(got.slice(0, count), `${name} behind ${T}`).toEqual(ids.slice(0, count));
          judged += count;
          different += new Set(ids.slice(0, count)).size;
        }
      });
    }
    expect(judged).toBeGreaterThan(80);
    expect(different).toBeGreaterThan(40);
  });

  it('M-7.1 of equally likely tokens the lowest id is taken', async () => {
    const host = tinyLlava('ties');
    const { values, shape } = host.language.head.weight;
    // Ids 0 to 5 are small; from 6 on each row stands three times.
    const third = Math.ceil((V - 6) / 3);
    const row = (v: number): number => (v < 6 ? v : 6 + ((v - 6) % third));
    const tied = values.map(
      (_, i) => (values[row(Math.floor(i / E)) * E + (i % E)] as number) * (i < 6 * E ? 2 ** -8 : 1),
    );
    const language = { ...host.language, head: { weight: { values: tied, shape } } };
    await withLanguage({ ...host, language }, async (llava) => {
      for (const T of [2, 3, 5]) {
        const embeds = prompt(`ties ${T}`, T);
        const got = await collect(decode(llava, start(llava, embeds, 8)));
        expect(got).toEqual(oracle.greedy(plain(language), embeds.values, 8).ids);
        for (const id of got) expect(id).toBeLessThan(6 + third);
      }
    });
    const silent = { ...language, head: { weight: { values: new Float32Array(V * E), shape } } };
    await withLanguage({ ...host, language: silent }, async (llava) => {
      expect(await collect(decode(llava, start(llava, prompt('silent', 2), 3)))).toEqual([0, 0, 0]);
    });
  });

  it('M-7.1 P-77 each token is the first largest of its own logits, and the same when decoded again', async () => {
    const drawn = fc.sample(
      fc.record({
        tripled: fc.boolean(), // rows of the head stand three times, so that the largest logit ties
        T: fc.integer({ min: 1, max: 5 }),
        count: fc.integer({ min: 1, max: 2 }),
        x: recipes(),
      }),
      { seed: Number(process.env.SPEC_SEED ?? 20240612), numRuns: 200 },
    );
    const host = tinyLlava('own logits');
    const { values, shape } = host.language.head.weight;
    const tripled = values.map((_, i) => values[i % (Math.ceil(V / 3) * E)] as number);
    const heads = [values, tripled].map((each) => tensor(gpu, each, shape));
    await withLanguage(host, async (llava) => {
      for (const one of drawn) {
        const language = { ...llava.language, head: { weight: heads[Number(one.tripled)] as Tensor } };
        const embeds = expand('embeds', one.x, [1, one.T, E]);
        const begin = (sample?: Sample): Prefill =>
          tidy(gpu, () =>
            prefill(
              { ...llava, language },
              tensor(gpu, embeds.values, embeds.shape),
              sample === undefined ? { maxNewTokens: one.count } : { maxNewTokens: one.count, sample },
            ),
          );
        const own: number[] = [];
        const watching: Sample = (logits) => {
          const largest = logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
          own.push(largest);
          return largest;
        };
        const again = await collect(decode({ ...llava, language }, begin(watching)));
        const got = await collect(decode({ ...llava, language }, begin()));
        expect(got, JSON.stringify(one)).toEqual(own);
        expect(again).toEqual(own);
        expect(got).toHaveLength(one.count);
      }
    });
    dispose(heads);
  });

  it('M-7.2 it ends at an EOS token, which is not handed out, or after maxNewTokens', async () => {
    const host = tinyLlava('a');
    const embeds = prompt('a 4', 4);
    let ids: number[] = [];
    await withLanguage(host, async (llava) => {
      ids = await collect(decode(llava, start(llava, embeds, 9)));
      expect(ids).toHaveLength(9);
      for (const count of [1, 2, 5]) {
        expect(await collect(decode(llava, start(llava, embeds, count)))).toEqual(ids.slice(0, count));
      }
    });
    const endings = [[ids[0]], [ids[4]], [ids[8], ids[2]], [V - 1, ids[5]]] as number[][];
    for (const eos of endings) {
      const end = ids.findIndex((id) => eos.includes(id));
      await withLanguage(
        host,
        async (llava) => {
          expect(await collect(decode(llava, start(llava, embeds, 9)))).toEqual(ids.slice(0, end));
        },
        eos,
      );
    }
    expect(new Set(ids).size).toBeGreaterThan(3);
  });

  it('M-7.2 without maxNewTokens it is 64 tokens', async () => {
    const host = tinyLlava('a');
    const long = { ...host, language: { ...host.language, config: { ...textConfig, maxPositions: 68 } } };
    await withLanguage(long, async (llava) => {
      expect(await collect(decode(llava, start(llava, prompt('a 4', 4))))).toHaveLength(64);
    });
  });

  it('M-7.2 a number of tokens that is not one, or more than the model has positions for, is rejected', async () => {
    await withLanguage(tinyLlava('a'), async (llava) => {
      const { maxPositions } = textConfig;
      expect(await collect(decode(llava, start(llava, prompt('a 4', 4), maxPositions - 4)))).toHaveLength(
        maxPositions - 4,
      );
      tidy(gpu, () => {
        const { values, shape } = prompt('a 4', 4);
        const embeds = tensor(gpu, values, shape);
        for (const maxNewTokens of [0, -1, 1.5, Number.NaN, maxPositions - 3]) {
          expectRejected(gpu, RangeError, () => prefill(llava, embeds, { maxNewTokens }));
        }
      });
    });
  });

  it('M-7.2 a prompt that is rejected leaves nothing on the device', async () => {
    await withLanguage(tinyLlava('a'), async (llava) => {
      const wrong = tensor(gpu, new Float32Array(3 * (E + 1)), [1, 3, E + 1]);
      const live = gpu.memory.live.size;
      expect(() => prefill(llava, wrong, { maxNewTokens: 2 })).toThrow(ShapeError);
      expect(gpu.memory.live.size).toBe(live);
      dispose(wrong);
    });
  });

  for (const when of ['at once', 'after one token', 'after three tokens', 'by an exception'] as const) {
    it(`M-7.3 a caller that stops ${when} leaves nothing on the device`, async () => {
      await withLanguage(tinyLlava('a'), async (llava) => {
        const live = gpu.memory.live.size;
        const ids = decode(llava, start(llava, prompt('a 4', 4), 9));
        if (when === 'at once') await ids.return();
        const stop = async (): Promise<void> => {
          let count = 0;
          for await (const _ of ids) {
            count++;
            if (when === 'by an exception') throw new RangeError('enough');
            if (count === (when === 'after one token' ? 1 : 3)) break;
          }
        };
        if (when === 'by an exception') await expect(stop()).rejects.toThrow('enough');
        else await stop();
        expect(gpu.memory.live.size).toBe(live);
        expect((await ids.next()).done).toBe(true);
      });
    });
  }

  it('M-7.3 T-4.4 a first token for which there is no room leaves nothing on the device', async () => {
    await withLanguage(tinyLlava('a'), async (llava) => {
      const { memory } = gpu;
      const { budgetBytes } = memory;
      const live = memory.live.size;
      for (const buffers of [0, 1]) {
        const { values, shape } = prompt('a 4', 4);
        const start = tidy(gpu, () => ({
          ...prefill(llava, tensor(gpu, values, shape), { maxNewTokens: 4 }),
          check: checkFinite(tensor(gpu, values, shape), 'prompt', String),
        }));
        trim(memory);
        // The first buffer is the token's, the second that of the check of its logits.
        Reflect.set(memory, 'budgetBytes', memory.allocatedBytes + 256 * buffers);
        try {
          await expect(collect(decode(llava, start))).rejects.toThrow(GpuError);
        } finally {
          Reflect.set(memory, 'budgetBytes', budgetBytes);
        }
        expect(memory.live.size, `with room for ${buffers} buffers`).toBe(live);
      }
    });
  });

  it('M-7.3 a decoding that came to its end leaves nothing on the device', async () => {
    await withLanguage(tinyLlava('a'), async (llava) => {
      const live = gpu.memory.live.size;
      await collect(decode(llava, start(llava, prompt('a 4', 4), 5)));
      expect(gpu.memory.live.size).toBe(live);
    });
  });
});

describe('M-7 asking', () => {
  const question = 'How many objects are there?';
  const visual = () => {
    const { values, shape } = grid('visual tokens', [1, 6, model.config.vision.hiddenSize], 1);
    return tensor(gpu, values, shape);
  };

  it('M-7.1 the parts of an answer are the text of the decoded tokens', async () => {
    const tokens = visual();
    const first = tidy(gpu, () => {
      const embeds = splice(model, encodeQuestion(model.tokenizer, question), project(model, tokens));
      return prefill(model, embeds, { maxNewTokens: 12 });
    });
    expect(await read(first.step.logits)).toHaveLength(model.config.text.vocabSize);
    const ids = await collect(decode(model, first));
    const parts: string[] = [];
    for await (const part of ask(model, tokens, question, { maxNewTokens: 12 })) parts.push(part);
    expect(ids.length).toBeGreaterThan(0);
    expect(parts.join('')).toBe(model.tokenizer.decode(ids));
    dispose(tokens);
  });

  it('M-7.3 a listener that leaves early, or asks nothing, leaves nothing on the device', async () => {
    const tokens = visual();
    const live = gpu.memory.live.size;
    for await (const part of ask(model, tokens, question)) {
      expect(part).not.toBe('');
      break;
    }
    expect(gpu.memory.live.size).toBe(live);
    await expect(ask(model, tokens, ' ').next()).rejects.toThrow(RangeError);
    expect(gpu.memory.live.size).toBe(live);
    dispose(tokens);
  });
});
