// A device that goes away in every stage of an answer. What is asked next throws GpuError, nothing stays on the device, and a new
// device in the same process gives the right answer. That a read and `finish` throw: spec/tensor/gpu.spec.ts.

import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { errorOf, expectThat, MODEL, PICTURE, partsOf, watchedFiles } from './checks.mjs';

const LOST = /the device was lost/;
const BUDGET = { dominantCount: 54, contextualCount: 10 };
const HEADER_BYTES = 65_536; // tensors begin behind

export async function deviceLoss({ check }, library) {
  const { dispose, encodeImage, openGpu, prefill, project, read, readAll, splice, tidy, visionZip } = library;
  const { cases } = JSON.parse(readFileSync(join(MODEL, 'cases.json'), 'utf8'));
  const { question, answers } = cases.find(({ image }) => image === basename(PICTURE)).questions[0];
  const right = answers['64'].text;
  const files = library.modelDirectory(MODEL);
  const { image } = await library.decodeImage(readFileSync(PICTURE), PICTURE);

  /** Opens a device and a model, lets `body` lose the device, and then asks a new device the question. */
  async function lose(body) {
    const gpu = await openGpu();
    const llava = await library.loadLlava(gpu, files);
    const pixels = library.preprocessPad(image, llava.preprocessor);
    const weights = gpu.memory.live.size;
    const error = await body({ gpu, llava, pixels });
    const held = gpu.memory.live.size - weights;
    gpu.close();
    expectThat(held === 0, `${held} tensors are still held`);
    return `${error.name}, ${error.message}; ${await answerAnew()}`;
  }

  async function answerAnew() {
    const gpu = await openGpu();
    try {
      const llava = await library.loadLlava(gpu, files);
      const pixels = library.preprocessPad(image, llava.preprocessor);
      const ids = await partsOf(library.answerZipped(llava, pixels, question, BUDGET));
      const text = llava.tokenizer.decode(ids);
      expectThat(text === right, `a new device answers ${JSON.stringify(text)}, not ${right}`);
      return 'a new device answers';
    } finally {
      gpu.close();
    }
  }

  for (const part of ['the first', 'the last']) {
    await check(`device lost while loading, at ${part} tensor`, async () => {
      const gpu = await openGpu();
      const losing = watchedFiles(files, (offset, length, size) => {
        const isReached = part === 'the last' ? offset + length === size : offset >= HEADER_BYTES;
        if (isReached) gpu.device.destroy();
      });
      const error = await errorOf(() => library.loadLlava(gpu, losing), 'GpuError', LOST);
      const held = gpu.memory.live.size;
      gpu.close();
      expectThat(held === 0, `${held} tensors are still held`);
      return `${error.name}, ${error.message}; ${await answerAnew()}`;
    });
  }

  // Each stage is begun on a device that is there, and lost before the next.
  const stages = {
    encode: ({ llava, pixels }) => ({ encoding: encodeImage(llava, pixels) }),
    zip: (_, { encoding }) => ({ zip: visionZip(encoding, BUDGET) }),
    project: ({ llava }, { zip }) => ({ projected: project(llava, zip.tokens) }),
    splice: ({ llava }, { projected }) => ({
      embeds: splice(llava, library.encodeQuestion(llava.tokenizer, question, llava.template), projected),
    }),
    prefill: ({ llava }, { embeds }) => ({ start: prefill(llava, embeds) }),
  };
  const names = Object.keys(stages);
  for (const [lostAt, name] of names.entries()) {
    for (const moment of ['before', 'behind']) {
      await check(`device lost ${moment} ${name}`, () =>
        lose(async (context) => {
          const made = {};
          for (const [i, stage] of names.entries()) {
            if (i === lostAt && moment === 'before') await loseNow(context.gpu);
            Object.assign(
              made,
              tidy(context.gpu, () => stages[stage](context, made)),
            );
            if (i === lostAt && moment === 'behind') await loseNow(context.gpu);
          }
          const error = await errorOf(() => read(made.start.step.logits), 'GpuError', LOST);
          dispose(made);
          return error;
        }),
      );
    }
  }

  await check('device lost while it works on an encoding that is being read', () =>
    lose(async ({ gpu, llava, pixels }) => {
      const encoding = encodeImage(llava, pixels);
      const reading = readAll(gpu, [encoding.hiddenStates, encoding.keys]);
      gpu.device.destroy();
      const error = await errorOf(() => reading, 'GpuError', LOST);
      dispose(encoding);
      return error;
    }),
  );

  const sampling = { greedy: undefined, sampled: library.sampler({ temperature: 1, seed: 3 }) };
  for (const [how, sample] of Object.entries(sampling)) {
    for (const moment of ['between two tokens', 'while a token is read']) {
      await check(`device lost ${moment}, ${how}`, () =>
        lose(async ({ gpu, llava, pixels }) => {
          const options = { maxNewTokens: 8, sample };
          const answer = library.answerZipped(llava, pixels, 'Describe the image.', BUDGET, options);
          await answer.next();
          if (moment === 'between two tokens') await loseNow(gpu);
          const next = answer.next();
          gpu.device.destroy();
          const error = await errorOf(() => next, 'GpuError', LOST);
          expectThat((await answer.next()).done, 'the answer goes on behind its error');
          return error;
        }),
      );
    }
  }

  await check('device lost in a conversation', () =>
    lose(async ({ gpu, llava, pixels }) => {
      const tokens = tidy(gpu, () => visionZip(encodeImage(llava, pixels), BUDGET).tokens);
      const conversation = library.converse(llava, tokens);
      await partsOf(conversation.ask(question));
      await loseNow(gpu);
      const error = await errorOf(() => partsOf(conversation.ask(question)), 'GpuError', LOST);
      await errorOf(() => partsOf(conversation.ask(question)), 'GpuError', LOST);
      expectThat(conversation.turns.length === 1, `${conversation.turns.length} turns were noted`);
      conversation.end();
      dispose(tokens);
      return error;
    }),
  );

  await check('one device lost, another at work', async () => {
    const [one, other] = [await openGpu(), await openGpu()];
    try {
      const llava = await library.loadLlava(other, files);
      const pixels = library.preprocessPad(image, llava.preprocessor);
      const ids = [];
      for await (const id of library.answerZipped(llava, pixels, question, BUDGET)) {
        one.device.destroy();
        ids.push(id);
      }
      expectThat(llava.tokenizer.decode(ids) === right, 'the other device answers something else');
      return 'the other goes on';
    } finally {
      one.close();
      other.close();
    }
  });
}

async function loseNow(gpu) {
  gpu.device.destroy();
  await gpu.device.lost;
}
