// A decoder step in parts. SPEC M-5.9.

import { describe, expect, it } from 'vitest';
import { type DecoderStep, decoderStep, emptyCache, type LlamaConfig } from '../../../src/models/index.ts';
import { prefillInParts } from '../../../src/models/llama/prefill.ts';
import {
  dispose,
  finish,
  GpuError,
  openGpu,
  readAll,
  type Tensor,
  tensor,
  tidy,
} from '../../../src/tensor/index.ts';
import { cached } from '../../support/cached.ts';
import { expectClose } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import { expand } from '../../support/recipe.ts';
import { rms } from '../../support/relative.ts';
import { onDevice, tinyLlama } from '../../support/tiny-models.ts';

const gpu = await testGpu();
const config: LlamaConfig = {
  hiddenSize: 16,
  intermediateSize: 512,
  layerCount: 2,
  headCount: 4,
  keyValueHeadCount: 2,
  headSize: 4,
  vocabSize: 32,
  normEps: 1e-5,
  ropeTheta: 10_000,
  ropeFactor: 1,
  maxPositions: 600,
  tieWordEmbeddings: false,
};
const llama = tinyLlama('prefill', config);
const prompt = expand('x', { dist: 'grid', seed: 3, exp: 0 }, [2, 257, 16]);

/** The logits, and the keys and values of both layers. */
function state({ logits, cache }: DecoderStep): Tensor[] {
  return [logits, ...cached(cache).flatMap(({ keys, values }) => [keys, values])];
}

describe('M-5.9 prompts in parts', () => {
  it('M-5.9 parts of any length give the logits and the cache of the whole', async () => {
    const [whole, ...inParts] = tidy(gpu, () => {
      const weights = onDevice(gpu, llama);
      const x = tensor(gpu, prompt.values, prompt.shape);
      const cache = emptyCache(gpu, weights, 300);
      const parts = [256, 128, 100, 9].map((longest) => prefillInParts(weights, x, cache, longest));
      return [decoderStep(weights, x, cache), ...parts].map(state);
    }) as [Tensor[], ...Tensor[][]];
    const expected = await readAll(gpu, whole);
    for (const parts of inParts) {
      const got = await readAll(gpu, parts);
      got.forEach((values, i) => {
        const wanted = expected[i] as Float32Array;
        const { shape } = parts[i] as Tensor;
        expectClose('part', { values, shape }, shape, Float64Array.from(wanted), () => 1e-4 * rms(wanted));
      });
    }
    dispose(whole, inParts);
  });

  it('M-5.9 a prompt that does not fit in memory at once is run in parts, by itself', async () => {
    const small = await openGpu({ memoryBudgetBytes: 3 * 2 ** 20 });
    try {
      const run = (step: typeof decoderStep): number =>
        tidy(small, () => {
          const weights = onDevice(small, llama);
          const x = tensor(small, prompt.values, prompt.shape);
          return step(weights, x, emptyCache(small, weights, 300)).cache.length;
        });
      expect(() => run(decoderStep)).toThrow(GpuError);
      expect(run(prefillInParts)).toBe(257);
      await finish(small);
    } finally {
      small.close();
    }
  });
});
