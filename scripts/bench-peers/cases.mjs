// What is measured, and each case as an ONNX graph. Every side takes its inputs from the host and gives its output back to
// it; what is small is done several times in a row, so that this does not count.

import { biasOf, normOf, random, randomRows, transposed } from './random.mjs';

export const TOKENS = 577;
export const CHANNELS = 1024;
export const HEADS = 16;
export const HEAD_SIZE = 64;
export const MLP = 4096;
export const TOWER_LAYERS = 23; // LLaVA takes the output of the second-to-last layer of 24
export const SIDE = 336;
export const PATCH = 14;
export const NORM_EPS = 1e-5;
const NORMS = 16;
const SOFTMAXES = 4;

/** Ours alone where there is no graph. name: what the row is called; shapes: of the inputs; output: of the output; times: how often in a row. */
export const cases = {
  matmul: {
    name: 'matmul 577 x 1024 x 1024',
    inputs: [[TOKENS, CHANNELS]],
    output: [TOKENS, CHANNELS],
    times: 1,
    graph: (g, [x]) => dense(g, x, CHANNELS, CHANNELS, 1),
  },
  'matmul-wide': {
    name: 'matmul 577 x 1024 x 4096',
    inputs: [[TOKENS, CHANNELS]],
    output: [TOKENS, MLP],
    times: 1,
    graph: (g, [x]) => dense(g, x, MLP, CHANNELS, 1),
  },
  attention: {
    name: 'attention 577 x 16 x 64',
    inputs: [0, 1, 2].map(() => [1, HEADS, TOKENS, HEAD_SIZE]),
    output: [1, HEADS, TOKENS, HEAD_SIZE],
    times: 1,
    graph: (g, [q, k, v]) => attend(g, q, k, v),
  },
  'layer-norm': {
    name: 'layer norm 577 x 1024',
    inputs: [[TOKENS, CHANNELS]],
    output: [TOKENS, CHANNELS],
    times: NORMS,
    graph: (g, [x]) => Array.from({ length: NORMS }).reduce((y) => norm(g, y, NORM_SEED), x),
  },
  softmax: {
    name: 'softmax 16 x 577 x 577',
    inputs: [[HEADS, TOKENS, TOKENS]],
    output: [HEADS, TOKENS, TOKENS],
    times: SOFTMAXES,
    graph: (g, [x]) =>
      Array.from({ length: SOFTMAXES }).reduce((y) => g.node('Softmax', [y], { axis: -1 }), x),
  },
  layer: {
    name: 'CLIP-L/336 layer',
    inputs: [[1, TOKENS, CHANNELS]],
    output: [1, TOKENS, CHANNELS],
    times: 1,
    graph: (g, [x]) => layer(g, x, 0),
  },
  tower: {
    name: `CLIP-L/336 tower, ${TOWER_LAYERS} layers`,
    inputs: [[1, 3, SIDE, SIDE]],
    output: [1, TOKENS, CHANNELS],
    times: 1,
    graph: tower,
  },
  dispatches: {
    name: 'a dispatch, of 10,000',
    inputs: [[4]],
    output: [4],
    times: 1,
    dispatches: 10_000,
  },
};

/** The inputs of a case. Scores need some spread, so the inputs of attention are larger. */
export function inputsOf(name) {
  return cases[name].inputs.map((shape, i) =>
    random(
      shape.reduce((a, b) => a * b),
      900 + i,
      name === 'attention' && i < 2 ? 0.4 : 1,
    ),
  );
}

/** The seeds of a layer's weights, in the order in which every side makes them. */
export const seedsOf = (layerIndex) => {
  const first = 100 + 10 * layerIndex;
  const [query, key, value, output, mlpIn, mlpOut, attentionNorm, mlpNorm] = Array.from(
    { length: 8 },
    (_, i) => first + i,
  );
  return { query, key, value, output, mlpIn, mlpOut, attentionNorm, mlpNorm };
};

export const EMBEDDING_SEEDS = { patch: 10, cls: 11, position: 12, norm: 13 };
export const NORM_SEED = 20;

function dense(g, x, N, K, seed) {
  return g.node('MatMul', [x, g.weight(transposed(randomRows(N, K, seed), N, K), [K, N])]);
}

function biased(g, x, N, K, seed) {
  return g.node('Add', [dense(g, x, N, K, seed), g.weight(biasOf(N, seed), [N])]);
}

function norm(g, x, seed) {
  const drawn = normOf(CHANNELS, seed);
  const [weight, bias] = [drawn.weight, drawn.bias].map((values) => g.weight(values, [CHANNELS]));
  return g.node('LayerNormalization', [x, weight, bias], { axis: -1, epsilon: { float: NORM_EPS } });
}

/** q, k, v [B, H, N, D]; the queries come scaled. */
function attend(g, q, k, v) {
  const scores = g.node('MatMul', [q, g.node('Transpose', [k], { perm: [0, 1, 3, 2] })]);
  return g.node('MatMul', [g.node('Softmax', [scores], { axis: -1 }), v]);
}

function heads(g, x) {
  const split = g.node('Reshape', [x, g.integers([1, TOKENS, HEADS, HEAD_SIZE])]);
  return g.node('Transpose', [split], { perm: [0, 2, 1, 3] });
}

function layer(g, x, layerIndex) {
  const seeds = seedsOf(layerIndex);
  const square = (from, seed) => biased(g, from, CHANNELS, CHANNELS, seed);
  const attentionIn = norm(g, x, seeds.attentionNorm);
  const scale = g.weight(Float32Array.of(HEAD_SIZE ** -0.5), [1]);
  const q = heads(g, g.node('Mul', [square(attentionIn, seeds.query), scale]));
  const k = heads(g, square(attentionIn, seeds.key));
  const v = heads(g, square(attentionIn, seeds.value));
  const joined = g.node('Transpose', [attend(g, q, k, v)], { perm: [0, 2, 1, 3] });
  const context = g.node('Reshape', [joined, g.integers([1, TOKENS, CHANNELS])]);
  const attended = g.node('Add', [x, square(context, seeds.output)]);

  const mlpIn = biased(g, norm(g, attended, seeds.mlpNorm), MLP, CHANNELS, seeds.mlpIn);
  const slope = g.weight(Float32Array.of(1.702), [1]);
  const gate = g.node('Sigmoid', [g.node('Mul', [mlpIn, slope])]);
  const hidden = g.node('Mul', [mlpIn, gate]);
  return g.node('Add', [attended, biased(g, hidden, CHANNELS, MLP, seeds.mlpOut)]);
}

function tower(g, [pixels]) {
  const { patch, cls, position, norm: normSeed } = EMBEDDING_SEEDS;
  const K = 3 * PATCH * PATCH;
  const kernel = g.weight(randomRows(CHANNELS, K, patch), [CHANNELS, 3, PATCH, PATCH]);
  const grid = g.node('Conv', [pixels, kernel], { strides: [PATCH, PATCH], kernel_shape: [PATCH, PATCH] });
  const flat = g.node('Reshape', [grid, g.integers([1, CHANNELS, TOKENS - 1])]);
  const patches = g.node('Transpose', [flat], { perm: [0, 2, 1] });
  const first = g.weight(random(CHANNELS, cls, 0.03), [1, 1, CHANNELS]);
  const tokens = g.node('Concat', [first, patches], { axis: 1 });
  const places = g.weight(random(TOKENS * CHANNELS, position, 0.03), [TOKENS, CHANNELS]);
  let x = norm(g, g.node('Add', [tokens, places]), normSeed);
  for (let i = 0; i < TOWER_LAYERS; i++) x = layer(g, x, i);
  return x;
}
