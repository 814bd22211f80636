// Our side: the library as it is built in dist/.

import { clipLayer, encodeClip } from '../../dist/models.js';
import {
  attention,
  dispose,
  layerNorm,
  linear,
  openGpu,
  read,
  scale,
  softmax,
  tensor,
  tidy,
} from '../../dist/tensor.js';
import {
  CHANNELS,
  cases,
  EMBEDDING_SEEDS,
  HEADS,
  inputsOf,
  MLP,
  NORM_EPS,
  NORM_SEED,
  PATCH,
  SIDE,
  seedsOf,
  TOKENS,
  TOWER_LAYERS,
} from './cases.mjs';
import { biasOf, normOf, random, randomRows } from './random.mjs';
import { serve } from './side.mjs';

await serve(async () => {
  const gpu = await openGpu();
  const { description, device, vendor, software } = gpu.adapter;
  const made = new Map();
  const once = (name, make) => {
    if (!made.has(name)) made.set(name, make());
    return made.get(name);
  };
  return {
    about: { side: 'visionzip-webgpu', adapter: description || device || vendor, software },
    run(name) {
      const host = once(`inputs ${name}`, () => inputsOf(name));
      const weights = once(`weights ${name}`, () => weightsOf(gpu, name));
      const output = tidy(gpu, () => {
        const inputs = host.map((values, i) => tensor(gpu, values, cases[name].inputs[i]));
        return compute(name, inputs, weights);
      });
      return read(output).finally(() => dispose(output));
    },
    close: () => gpu.close(),
  };
});

function compute(name, [x, ...others], weights) {
  switch (name) {
    case 'dispatches':
      return manyDispatches(x, cases[name].dispatches);
    case 'matmul':
    case 'matmul-wide':
      return linear(x, weights);
    case 'attention':
      return attention(x, ...others, { causal: false });
    case 'layer-norm':
      return Array.from({ length: cases[name].times }).reduce((y) => layerNorm(y, weights, NORM_EPS), x);
    case 'softmax':
      return Array.from({ length: cases[name].times }).reduce((y) => softmax(y), x);
    case 'layer':
      return clipLayer(x, weights.layers[0], weights.config).hiddenStates;
    default:
      return encodeClip(weights, x).hiddenStates;
  }
}

/** Each reads what the one before wrote. */
function manyDispatches(x, count) {
  let value = x;
  for (let i = 0; i < count; i++) {
    const next = scale(value, 1);
    if (value !== x) dispose(value);
    value = next;
  }
  return value;
}

function weightsOf(gpu, name) {
  const matrix = (N, K, seed) => tensor(gpu, randomRows(N, K, seed), [N, K]);
  const biased = (N, K, seed) => ({
    weight: matrix(N, K, seed),
    bias: tensor(gpu, biasOf(N, seed), [N]),
  });
  const norm = (seed) => {
    const { weight, bias } = normOf(CHANNELS, seed);
    return { weight: tensor(gpu, weight, [CHANNELS]), bias: tensor(gpu, bias, [CHANNELS]) };
  };
  const layer = (_, index) => {
    const seeds = seedsOf(index);
    const square = (seed) => biased(CHANNELS, CHANNELS, seed);
    return {
      attentionNorm: norm(seeds.attentionNorm),
      attention: {
        query: square(seeds.query),
        key: square(seeds.key),
        value: square(seeds.value),
        output: square(seeds.output),
      },
      mlpNorm: norm(seeds.mlpNorm),
      mlpIn: biased(MLP, CHANNELS, seeds.mlpIn),
      mlpOut: biased(CHANNELS, MLP, seeds.mlpOut),
    };
  };
  if (name === 'matmul') return { weight: matrix(CHANNELS, CHANNELS, 1) };
  if (name === 'matmul-wide') return { weight: matrix(MLP, CHANNELS, 1) };
  if (name === 'layer-norm') return norm(NORM_SEED);
  if (name !== 'layer' && name !== 'tower') return null;
  return {
    config: {
      hiddenSize: CHANNELS,
      intermediateSize: MLP,
      layerCount: 24,
      headCount: HEADS,
      imageSize: SIDE,
      patchSize: PATCH,
      normEps: NORM_EPS,
      activation: 'quick_gelu',
    },
    patchEmbedding: { weight: matrix(CHANNELS, 3 * PATCH * PATCH, EMBEDDING_SEEDS.patch) },
    classEmbedding: tensor(gpu, random(CHANNELS, EMBEDDING_SEEDS.cls, 0.03), [1, CHANNELS]),
    positionEmbedding: tensor(gpu, random(TOKENS * CHANNELS, EMBEDDING_SEEDS.position, 0.03), [
      TOKENS,
      CHANNELS,
    ]),
    preNorm: norm(EMBEDDING_SEEDS.norm),
    layers: Array.from({ length: name === 'layer' ? 1 : TOWER_LAYERS }, layer),
  };
}
