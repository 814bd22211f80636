// Allocations beyond the budget: in each stage of an answer and in each operation the first new buffer is refused, then the second,
// and so on. GpuError, nothing more is held, and the same again with room gives the same. That a single allocation is refused
// before it is made: spec/tensor/memory.spec.ts; weights as a whole: SPEC M-2.31.

import { readFileSync } from 'node:fs';
import { drawer } from '../soak/asks.mjs';
import { BLOCKS, OPERATIONS, openBench, WAITING } from '../soak/operations.mjs';
import { errorOf, expectThat, MODEL, PICTURE, partsOf, watchedFiles } from './checks.mjs';

const BUDGET = { dominantCount: 54, contextualCount: 10 };
const CUTS = 40;
const SHARES = [0.02, 0.3, 0.6, 0.9]; // of the weights, which are uploaded by then

export async function memory({ check, isWanted }, library) {
  const fault = 'beyond the budget in';
  if (![...STAGES, 'operations'].some((name) => isWanted(`${fault} ${name}`))) return;
  const gpu = await library.openGpu();
  try {
    await stages(check, library, gpu, fault);
    if (isWanted(`${fault} operations`)) await operations(check, library, gpu, `${fault} operations`);
  } finally {
    gpu.close();
  }
}

const STAGES = [
  'loading',
  'encode',
  'zip',
  'project',
  'splice',
  'prefill',
  'decoding, greedy',
  'decoding, sampled',
  'the first token, with the check of the scores',
  'a whole answer',
  'a conversation',
];

async function stages(check, library, gpu, fault) {
  const { dispose, encodeImage, prefill, project, read, splice, tidy, visionZip } = library;
  const files = library.modelDirectory(MODEL);
  const { image } = await library.decodeImage(readFileSync(PICTURE), PICTURE);

  await check(`${fault} loading`, async () => {
    // What does not fit as a whole is refused at once (M-2.31); here room goes while tensors are being uploaded.
    for (const share of SHARES) {
      const shrinking = watchedFiles(files, (offset, _, size) => {
        if (offset > share * size) gpu.memory.budgetBytes = inUse(gpu);
      });
      await withBudget(gpu, gpu.memory.budgetBytes, async () => {
        await errorOf(() => library.loadLlava(gpu, shrinking), 'GpuError', /expected at most .+ got/);
      });
      expectThat(gpu.memory.live.size === 0, `${gpu.memory.live.size} tensors are still held`);
    }
    dispose(await library.loadLlava(gpu, files));
    return `${SHARES.length} places, GpuError each, nothing held; with room it loads`;
  });

  const llava = await library.loadLlava(gpu, files);
  const pixels = library.preprocessPad(image, llava.preprocessor);
  const prompt = library.encodeQuestion(llava.tokenizer, 'Describe the image.', llava.template);
  const encoding = encodeImage(llava, pixels);
  const zip = visionZip(encoding, BUDGET);
  const projected = project(llava, zip.tokens);
  const embeds = splice(llava, prompt, projected);
  const options = { maxNewTokens: 8 };
  const all = async (answer) => (await partsOf(answer)).join();
  const told = async (result, pick) => {
    try {
      return (await read(pick(result))).join();
    } finally {
      dispose(result);
    }
  };
  const work = {
    encode: beginningAtOnce(() => told(encodeImage(llava, pixels), ({ keys }) => keys)),
    zip: beginningAtOnce(() => told(visionZip(encoding, BUDGET), ({ tokens }) => tokens)),
    project: beginningAtOnce(() => told(project(llava, zip.tokens), (x) => x)),
    splice: beginningAtOnce(() => told(splice(llava, prompt, projected), (x) => x)),
    prefill: beginningAtOnce(() => told(prefill(llava, embeds, options), ({ step }) => step.logits)),
    'decoding, greedy': async (begin) => {
      const start = prefill(llava, embeds, options);
      begin();
      return all(library.decode(llava, start));
    },
    'decoding, sampled': async (begin) => {
      const start = prefill(llava, embeds, {
        ...options,
        sample: library.sampler({ temperature: 1, seed: 5 }),
      });
      begin();
      return all(library.decode(llava, start));
    },
    'the first token, with the check of the scores': async (begin) => {
      const start = tidy(gpu, () => ({
        ...prefill(llava, embeds, options),
        check: library.checkScores(zip.scores),
      }));
      begin();
      return all(library.decode(llava, start));
    },
    'a whole answer': beginningAtOnce(() =>
      all(library.answerZipped(llava, pixels, 'How many objects are there?', BUDGET)),
    ),
    'a conversation': beginningAtOnce(async () => {
      const conversation = library.converse(llava, zip.tokens);
      try {
        return (
          (await all(conversation.ask('How many objects are there?'))) +
          (await all(conversation.ask('What color?')))
        );
      } finally {
        conversation.end();
      }
    }),
  };
  for (const name of STAGES.slice(1)) {
    const body = work[name];
    await check(`${fault} ${name}`, async () => {
      const refused = await cutEverywhere(library, gpu, body, CUTS);
      expectThat(refused > 0, 'nothing was refused');
      return `${refused} places, GpuError each, nothing held; with room the same as before`;
    });
  }
  dispose(llava, encoding, zip, projected, embeds);
}

async function operations(check, library, gpu, fault) {
  const bench = await openBench(library, gpu, drawer(1));
  const failures = [];
  let [places, kinds] = [0, 0];
  const tidied = [...OPERATIONS, ...BLOCKS].map(([name, run]) => [
    name,
    (b) => library.tidy(gpu, () => run(b)),
  ]);
  for (const [name, run] of [...tidied, ...WAITING]) {
    const body = async (begin) => {
      bench.draw = drawer(7);
      begin(); // inputs come from an upload each, so some of the refusals fall there
      library.dispose(await run(bench));
      return '';
    };
    try {
      places += await cutEverywhere(library, gpu, body, CUTS);
      kinds++;
    } catch (error) {
      failures.push(`${name}: ${error.message}`);
    }
  }
  bench.close();
  await check(fault, async () => {
    expectThat(failures.length === 0, failures.join('; '));
    return `${kinds} kinds, ${places} places, GpuError each, nothing held`;
  });
}

/**
 * Runs `body` once with room, and then so that the first new buffer is refused, the second, and so on; with room again at the
 * end. `body` is handed a function that it calls where the refusals may begin.
 */
async function cutEverywhere(library, gpu, body, most) {
  let made = 0;
  const count = () => {
    emptyPool(library, gpu);
    made = gpu.memory.buffersMade;
  };
  const expected = await body(count);
  const needed = gpu.memory.buffersMade - made;
  const held = gpu.memory.live.size;
  const step = Math.max(1, needed / most);
  let refused = 0;
  for (let cut = 0; cut < needed; cut += step) {
    const left = Math.floor(cut);
    const begin = () => refuseBehind(library, gpu, left);
    const error = await body(begin)
      .then(
        () => null,
        (thrown) => thrown,
      )
      .finally(() => allowAll(gpu));
    expectThat(error !== null, `with ${left} of ${needed} buffers there was no error`);
    const isTyped = error.name === 'GpuError' && /expected (to need )?at most .+, got /.test(error.message);
    expectThat(isTyped, `with ${left} of ${needed} buffers ${error.name}: ${error.message}`);
    refused++;
    const more = gpu.memory.live.size - held;
    expectThat(more === 0, `with ${left} of ${needed} buffers ${more} tensors are still held`);
  }
  const again = await body(() => {});
  expectThat(again === expected, 'with room again the result is another');
  return refused;
}

/** From now on `left` more buffers are made; then the budget is used up. The budget is a plain field of a record. */
function refuseBehind(library, gpu, left) {
  emptyPool(library, gpu);
  const { memory } = gpu;
  const { budgetBytes, buffersMade } = memory;
  Object.defineProperty(memory, 'budgetBytes', {
    configurable: true,
    get: () => (memory.buffersMade - buffersMade >= left ? 0 : budgetBytes),
  });
  memory.budgetBefore = budgetBytes;
}

function allowAll({ memory }) {
  const { budgetBefore } = memory;
  Object.defineProperty(memory, 'budgetBytes', { configurable: true, writable: true, value: budgetBefore });
}

async function withBudget(gpu, bytes, body) {
  const { budgetBytes } = gpu.memory;
  gpu.memory.budgetBytes = bytes; // a plain record; the type alone says that it stays
  try {
    return await body();
  } finally {
    gpu.memory.budgetBytes = budgetBytes;
  }
}

/** `work`, whose refusals may begin where it does. */
function beginningAtOnce(work) {
  return async (begin) => {
    begin();
    return work();
  };
}

const inUse = ({ memory }) => memory.allocatedBytes - memory.pooledBytes;

/** What is pooled would serve requests that the budget refuses; a refused request gives it back. */
function emptyPool(library, gpu) {
  const { budgetBytes } = gpu.memory;
  gpu.memory.budgetBytes = 0;
  try {
    for (let i = 0; i < 4096 && gpu.memory.pooledBytes > 0; i++) {
      library.dispose(library.tensor(gpu, new Float32Array(2 ** 20 + 64 * i), [2 ** 20 + 64 * i]));
    }
  } catch {
    // Refused, as it should be.
  } finally {
    gpu.memory.budgetBytes = budgetBytes;
  }
}
