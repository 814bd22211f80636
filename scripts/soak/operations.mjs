// Operations of every kind, drawn from a seed: each function of src/tensor/ops that is exported, what the models are built of,
// reading, and calls that are refused. The library is handed in: dist, or src in a spec.

const MOST_SHELVED = 48; // results that are kept for a while and taken as inputs by others

/**
 * What a run of operations works on: small random tensors, a shelf of earlier results, and two models of random weights.
 * `close` gives all of it back.
 */
export async function openBench(library, gpu, draw) {
  const models = [
    await library.randomLlava(gpu, TINY, { dtype: 'f32', seed: 1 }),
    await library.randomLlava(gpu, TINY, { dtype: 'f16', seed: 2 }),
  ];
  const bench = {
    library,
    gpu,
    draw,
    shelf: [],
    models,
    between: (low, high) => low + bench.draw(high - low + 1),
    /** [..., C] of one to four axes. */
    shape(C = bench.between(1, 40)) {
      return [...Array.from({ length: bench.draw(4) }, () => bench.between(1, 6)), C];
    },
    floats: (shape) =>
      library.tensor(
        gpu,
        Float32Array.from({ length: product(shape) }, () => (bench.draw(2001) - 1000) / 1000),
        shape,
      ),
    indices: (shape, below) =>
      library.indexTensor(
        gpu,
        Uint32Array.from({ length: product(shape) }, () => bench.draw(below)),
        shape,
      ),
    matrix(rows, columns, dtype = bench.pick(columns % 4 === 0 ? ['f32', 'f16'] : ['f32'])) {
      return library.randomMatrix(gpu, dtype, [rows, columns], { seed: bench.draw(2 ** 31), deviation: 0.1 });
    },
    pick: (list) => list[bench.draw(list.length)],
    /** A tensor of any shape: an earlier result, or a new one. */
    any() {
      const shelved = bench.shelf.filter(
        ({ dtype, shape }) => dtype === 'f32' && shape.length > 0 && product(shape) > 0,
      );
      return shelved.length > 0 && bench.draw(2) === 0 ? bench.pick(shelved) : bench.floats(bench.shape());
    },
    close() {
      library.dispose(bench.shelf, models);
    },
  };
  return bench;
}

/** One operation, drawn; its results are read, kept for later or freed. Returns its name. */
export async function operateOnce(bench) {
  const { library, gpu, draw, shelf } = bench;
  const kind = draw(16);
  if (kind === 0) return refuseOnce(bench);
  if (kind === 1) return waitOnce(bench);
  const [name, run] = bench.pick(kind < 5 ? BLOCKS : OPERATIONS);
  const results = library.tidy(gpu, () => run(bench));
  const tensors = tensorsIn(results);
  if (draw(6) === 0) await readBack(bench, name, tensors);
  // What shares memory with an input on the shelf is a tensor of its own, and is freed by itself.
  if (draw(3) === 0 && tensors.every(({ shape }) => product(shape) < 4096)) shelf.push(...tensors);
  else library.dispose(results);
  while (shelf.length > MOST_SHELVED) library.dispose(...shelf.splice(draw(shelf.length), 1));
  return name;
}

async function readBack({ library, gpu }, name, tensors) {
  const values = await library.readAll(gpu, tensors);
  for (const [i, { shape }] of tensors.entries()) {
    if (values[i].length !== product(shape))
      throw new Error(`${name}: read ${values[i].length} for [${shape}]`);
    const place = values[i].findIndex((value) => !Number.isFinite(value));
    if (place >= 0) throw new Error(`${name}: ${values[i][place]} at place ${place} of [${shape}]`);
  }
}

/** A call that cannot be: it throws the error that it should, and holds nothing. */
function refuseOnce(bench) {
  const { gpu } = bench;
  const [name, expected, call] = bench.pick(REFUSED);
  const before = gpu.memory.live.size;
  const inputs = bench.floats([2, 3, 4]);
  try {
    call(bench, inputs);
    throw new Error('nothing');
  } catch (error) {
    if (error.name !== expected) throw new Error(`${name}: expected ${expected}, got ${error}`);
  } finally {
    bench.library.dispose(inputs);
  }
  if (gpu.memory.live.size !== before) throw new Error(`${name}: a refused call holds tensors`);
  return `refused ${name}`;
}

/** What waits by itself. */
async function waitOnce(bench) {
  const { library } = bench;
  const [name, run] = bench.pick(WAITING);
  const results = await run(bench);
  library.dispose(results);
  return name;
}

const EPS = 1e-5;

/** Name and call: each function of src/tensor/ops that is exported is the name of one. */
export const OPERATIONS = [
  ['gelu', (b) => b.library.gelu(b.any())],
  ['quickGelu', (b) => b.library.quickGelu(b.any())],
  ['silu', (b) => b.library.silu(b.any())],
  ['gatedSilu', (b) => withTwin(b, b.library.gatedSilu)],
  ['add', (b) => withTwin(b, b.library.add)],
  ['multiply', (b) => withFresh(b, b.library.multiply)], // squares of squares would overflow
  ['scale', (b) => b.library.scale(b.any(), (b.draw(2001) - 1000) / 1000)],
  [
    'addRows',
    (b) => {
      const x = b.any();
      return b.library.addRows(x, b.floats(x.shape.slice(b.draw(x.shape.length + 1))));
    },
  ],
  [
    'attention',
    (b) => {
      const { queries, keys, values, options } = attentionInputs(b);
      return b.library.attention(queries, keys, values, options);
    },
  ],
  [
    'attentionProbs',
    (b) => {
      const { queries, keys, options } = attentionInputs(b);
      return b.library.attentionProbs(queries, keys, options);
    },
  ],
  [
    'streamingAttention',
    (b) => {
      const { queries, keys, values, options } = attentionInputs(b);
      return b.library.streamingAttention(queries, keys, values, options);
    },
  ],
  [
    'attentionRow',
    (b) => {
      const { queries, keys, values, options } = attentionInputs(b);
      const { logSumExp } = b.library.streamingAttention(queries, keys, values, options);
      return b.library.attentionRow(queries, keys, logSumExp, b.draw(queries.shape[2]), options);
    },
  ],
  [
    'attentionColumnMean',
    (b) => {
      const { queries, keys, values, options } = attentionInputs(b);
      const { logSumExp } = b.library.streamingAttention(queries, keys, values, options);
      return b.library.attentionColumnMean(queries, keys, logSumExp, options);
    },
  ],
  ['checkFinite', (b) => b.library.checkFinite(b.any(), 'soak', String).found],
  [
    'gatherRows',
    (b) => {
      const [B, N, C] = [b.between(1, 3), b.between(1, 20), b.between(1, 24)];
      return b.library.gatherRows(b.floats([B, N, C]), b.indices([B, b.between(1, 12)], N));
    },
  ],
  [
    'gatherIndices',
    (b) => {
      const [B, N] = [b.between(1, 3), b.between(1, 20)];
      return b.library.gatherIndices(b.indices([B, N], 1000), b.indices([B, b.between(1, 12)], N));
    },
  ],
  [
    'lookup',
    (b) => {
      const rows = b.between(1, 60);
      return b.library.lookup(b.matrix(rows, b.between(1, 40)), b.indices([b.between(1, 9)], rows));
    },
  ],
  [
    'groupMean',
    (b) => {
      const [B, S, groups] = [b.between(1, 3), b.between(1, 20), b.between(1, 6)];
      return b.library.groupMean(b.floats([B, S, b.between(1, 24)]), b.indices([B, S], groups), groups);
    },
  ],
  ['growingRows', (b) => b.library.rowsOf(grow(b, b.library.growingRows(b.gpu, [2, b.between(1, 8), 8])))],
  [
    'growingRowsOf',
    (b) => b.library.rowsOf(grow(b, b.library.growingRowsOf(b.floats([2, b.between(1, 8), 8])))),
  ],
  ['appendRows', (b) => b.library.rowsOf(grow(b, grow(b, b.library.growingRows(b.gpu, [2, 1, 8]))))],
  ['rowsOf', (b) => b.library.rowsOf(b.library.growingRowsOf(b.floats([b.between(1, 9), 4]), 1))],
  [
    'complement',
    (b) => {
      const N = b.between(8, 40);
      return b.library.complement(ascending(b, b.between(1, 8), N), N);
    },
  ],
  ['countMembers', (b) => b.library.countMembers(b.indices([b.between(1, 3), b.between(1, 30)], 5), 5)],
  ['gridPositions', (b) => b.library.gridPositions(b.indices([2, b.between(1, 30)], 576), b.between(1, 24))],
  ['shiftIndices', (b) => b.library.shiftIndices(b.indices(b.shape(), 576), b.draw(9))],
  [
    'concat',
    (b) => {
      const shape = b.shape();
      const axis = b.draw(shape.length);
      const parts = Array.from({ length: b.between(1, 4) }, () =>
        b.floats(shape.with(axis, b.between(1, 6))),
      );
      return b.library.concat(parts, axis);
    },
  ],
  [
    'permute',
    (b) => {
      const x = b.floats(b.shape());
      const order = x.shape.map((_, axis) => axis);
      for (let i = order.length - 1; i > 0; i--) {
        const j = b.draw(i + 1);
        [order[i], order[j]] = [order[j], order[i]];
      }
      return b.library.permute(x, order);
    },
  ],
  ['repeatRows', (b) => b.library.repeatRows(b.floats(b.shape()), b.between(1, 4))],
  [
    'slice',
    (b) => {
      const x = b.any();
      const axis = b.draw(x.shape.length);
      const begin = b.draw(x.shape[axis]);
      return b.library.slice(x, axis, begin, b.between(begin, x.shape[axis]));
    },
  ],
  [
    'linear',
    (b) => {
      const [rows, N, K] = [b.between(1, 70), b.between(1, 70), b.between(1, 70)];
      const weights = { weight: b.matrix(N, K), ...(b.draw(2) === 0 && { bias: b.floats([N]) }) };
      const residual = b.draw(2) === 0 ? b.floats([rows, N]) : undefined;
      return b.library.linear(b.floats([rows, K]), weights, residual);
    },
  ],
  [
    'matmul',
    (b) => {
      const [B, T, L, D] = [b.between(1, 3), b.between(1, 70), b.between(1, 70), b.between(1, 40)];
      return b.library.matmul(b.floats([B, T, L]), b.floats([B, L, D]));
    },
  ],
  [
    'matmulTransposed',
    (b) => {
      const [B, T, L, D] = [b.between(1, 3), b.between(1, 70), b.between(1, 70), b.between(1, 40)];
      return b.library.matmulTransposed(b.floats([B, T, D]), b.floats([B, L, D]));
    },
  ],
  [
    'layerNorm',
    (b) => {
      const C = b.between(1, 80);
      const norm = { weight: b.floats([C]), bias: b.floats([C]) };
      return b.library.layerNorm(b.floats(b.shape(C)), norm, EPS);
    },
  ],
  [
    'rmsNorm',
    (b) => {
      const C = b.between(1, 80);
      return b.library.rmsNorm(b.floats(b.shape(C)), b.floats([C]), EPS);
    },
  ],
  ['normalizeRows', (b) => b.library.normalizeRows(b.any())],
  [
    'patches',
    (b) => {
      const size = b.between(1, 5);
      return b.library.patches(
        b.floats([b.between(1, 2), 3, size * b.between(1, 4), size * b.between(1, 4)]),
        size,
      );
    },
  ],
  [
    'patchConvolution',
    (b) => {
      const size = b.between(1, 5);
      const weights = { weight: b.matrix(b.between(1, 24), 3 * size * size), bias: undefined };
      return b.library.patchConvolution(b.floats([1, 3, 2 * size, 3 * size]), weights, size);
    },
  ],
  ['randomMatrix', (b) => void b.matrix(b.between(1, 60), b.between(1, 60)) ?? []],
  ['argmax', (b) => b.library.argmax(b.any())],
  ['topTwoGap', (b) => b.library.topTwoGap(b.floats(b.shape(b.between(2, 40))))],
  ['meanAxis', (b) => alongAxis(b, b.library.meanAxis)],
  ['sumAxis', (b) => alongAxis(b, b.library.sumAxis)],
  [
    'rope',
    (b) => {
      const [T, D] = [b.between(1, 12), 2 * b.between(1, 16)];
      const table = b.library.ropeTable(b.gpu, 2 * T, D, 10_000);
      return b.library.rope(b.floats([1, b.between(1, 4), T, D]), table, b.draw(T + 1));
    },
  ],
  [
    'ropeTable',
    (b) => b.library.ropeTable(b.gpu, b.between(1, 40), 2 * b.between(1, 16), 10_000, b.between(1, 4)),
  ],
  ['softmax', (b) => b.library.softmax(b.any())],
  [
    'causalSoftmax',
    (b) => {
      const T = b.between(1, 20);
      return b.library.causalSoftmax(b.floats([b.between(1, 3), T, b.between(T, 40)]));
    },
  ],
  [
    'topKIndices',
    (b) => {
      const L = b.between(1, 80);
      const scores = b.floats([b.between(1, 3), L]);
      return b.library.topKIndices(scores, b.draw(L + 1), b.pick(['score', 'position']));
    },
  ],
  [
    'reshape',
    (b) => {
      const x = b.any();
      return b.library.reshape(x, [1, product(x.shape)]);
    },
  ],
];

/** What the models are built of, on random weights. */
export const BLOCKS = [
  [
    'clipLayer',
    (b) => {
      const { vision } = b.pick(b.models);
      const states = b.floats([b.between(1, 2), b.between(1, 20), TINY.vision.hiddenSize]);
      return b.library.clipLayer(states, vision.layers[0], vision.config).hiddenStates;
    },
  ],
  [
    'encodeClip',
    (b) => b.library.encodeClip(b.pick(b.models).vision, b.floats([b.between(1, 2), 3, 16, 16])),
  ],
  [
    'project',
    (b) => b.library.project(b.pick(b.models), b.floats([1, b.between(1, 20), TINY.vision.hiddenSize])),
  ],
  [
    'splice',
    (b) => {
      const ids = (most) => Array.from({ length: b.between(1, most) }, () => b.draw(TINY.text.vocabSize));
      const picture = b.floats([1, b.between(1, 20), TINY.text.hiddenSize]);
      return b.library.splice(b.pick(b.models), { before: ids(4), after: ids(9) }, picture);
    },
  ],
  [
    'decoderStep',
    (b) => {
      const { language } = b.pick(b.models);
      const cache = b.library.emptyCache(b.gpu, language, 40);
      const first = b.library.decoderStep(language, embeds(b, b.between(1, 24)), cache);
      return b.library.decoderStep(language, embeds(b, b.between(1, 3)), first.cache).logits;
    },
  ],
  ['prefill', (b) => b.library.prefill(b.pick(b.models), embeds(b, b.between(1, 24))).step.logits],
  ['visionZip', (b) => zipped(b, 'target-plus-mean')],
  ['visionZip, merged as the paper says', (b) => zipped(b, 'paper-average')],
];

/** What waits for the device by itself: returns what is to be freed. */
export const WAITING = [
  [
    'matrixFromChunks',
    async (b) => {
      const [rows, columns] = [b.between(1, 20), 4 * b.between(1, 9)];
      const dtype = b.pick(['f32', 'f16']);
      const Values = dtype === 'f32' ? Float32Array : Uint16Array;
      async function* chunks() {
        for (let row = 0; row < rows; row++) yield new Values(columns);
      }
      return b.library.matrixFromChunks(b.gpu, dtype, [rows, columns], chunks());
    },
  ],
  [
    'expectFinite',
    async (b) => {
      const x = b.floats(b.shape());
      await b.library.expectFinite(x, 'soak', String).finally(() => b.library.dispose(x));
      return [];
    },
  ],
  [
    'finish',
    async (b) => {
      const x = b.library.tidy(b.gpu, () => b.library.gelu(b.floats(b.shape())));
      await b.library.finish(b.gpu);
      return x;
    },
  ],
  [
    'decode',
    async (b) => {
      const model = b.pick(b.models);
      const maxNewTokens = b.between(1, 4);
      const start = b.library.tidy(b.gpu, () => b.library.prefill(model, embeds(b, 5), { maxNewTokens }));
      for await (const _ of b.library.decode(model, start)) if (b.draw(4) === 0) break;
      return [];
    },
  ],
];

/** Name, the error, and the call: a new tensor [2, 3, 4] is its input. */
export const REFUSED = [
  ['tensor', 'ShapeError', (b) => b.library.tensor(b.gpu, new Float32Array(3), [4])],
  ['reshape', 'ShapeError', (b, x) => b.library.reshape(x, [5, 5])],
  ['add', 'ShapeError', (b, x) => b.library.tidy(b.gpu, () => b.library.add(x, b.floats([2, 3, 5])))],
  ['matmul', 'ShapeError', (b, x) => b.library.matmul(x, x)],
  [
    'linear',
    'ShapeError',
    (b, x) => b.library.tidy(b.gpu, () => b.library.linear(x, { weight: b.matrix(4, 5) })),
  ],
  ['layerNorm', 'ShapeError', (b, x) => b.library.layerNorm(x, { weight: x, bias: x }, EPS)],
  ['meanAxis', 'ShapeError', (b, x) => b.library.meanAxis(x, 3)],
  [
    'concat',
    'ShapeError',
    (b, x) => b.library.tidy(b.gpu, () => b.library.concat([x, b.floats([2, 3, 5])], 1)),
  ],
  ['slice', 'RangeError', (b, x) => b.library.slice(x, 1, 2, 5)],
  ['permute', 'RangeError', (b, x) => b.library.permute(x, [0, 1, 1])],
  ['patches', 'RangeError', (b) => b.library.tidy(b.gpu, () => b.library.patches(b.floats([1, 3, 4, 4]), 5))],
  [
    'topKIndices',
    'RangeError',
    (b) => b.library.tidy(b.gpu, () => b.library.topKIndices(b.floats([1, 4]), 5, 'score')),
  ],
  [
    'visionZip',
    'RangeError',
    (b) =>
      b.library.tidy(b.gpu, () => zipped(b, 'target-plus-mean', { dominantCount: 99, contextualCount: 1 })),
  ],
  ['repeatRows, beyond a binding', 'GpuError', (b, x) => b.library.repeatRows(x, 2 ** 27)],
  [
    'repeatRows, beyond the budget',
    'GpuError',
    (b, x) => beyondBudget(b, () => b.library.repeatRows(x, 2 ** 16)),
  ],
  [
    'gelu of a disposed tensor',
    'GpuError',
    (b, x) => {
      b.library.dispose(x);
      b.library.gelu(x);
    },
  ],
];

/** The device is told for the time of one call that it has no more room than it needs now. */
function beyondBudget({ gpu }, call) {
  const { budgetBytes } = gpu.memory;
  gpu.memory.budgetBytes = 1; // a plain record; the type alone says that it stays
  try {
    call();
  } finally {
    gpu.memory.budgetBytes = budgetBytes;
  }
}

const TINY = {
  vision: {
    hiddenSize: 32,
    intermediateSize: 64,
    layerCount: 3,
    headCount: 4,
    imageSize: 16,
    patchSize: 4,
    normEps: EPS,
    activation: 'quick_gelu',
  },
  text: {
    hiddenSize: 32,
    intermediateSize: 48,
    layerCount: 2,
    headCount: 4,
    keyValueHeadCount: 2,
    headSize: 8,
    vocabSize: 64,
    normEps: EPS,
    ropeTheta: 10_000,
    ropeFactor: 1,
    maxPositions: 128,
    tieWordEmbeddings: false,
  },
  visionFeatureLayer: -2,
  imageTokenIndex: null,
  projectorActivation: 'gelu',
  bosTokenId: 1,
  eosTokenIds: [2],
  padTokenId: null,
};

function withTwin(b, operation) {
  const x = b.any();
  return operation(x, b.draw(2) === 0 ? x : b.floats(x.shape));
}

function withFresh(b, operation) {
  const x = b.any();
  return operation(x, b.floats(x.shape));
}

function alongAxis(b, operation) {
  const x = b.any();
  return operation(x, b.draw(x.shape.length));
}

function attentionInputs(b) {
  const [G, D, L] = [b.between(1, 2), 4 * b.between(1, 8), b.between(1, 40)];
  const keyCount = b.between(1, L);
  const causal = b.draw(2) === 0;
  const T = b.between(1, causal ? keyCount : 40);
  const keys = b.floats([1, G, L, D]); // [B, G, L, D]
  return {
    queries: b.floats([1, G * b.between(1, 2), T, D]), // [B, H, T, D]
    keys,
    values: b.floats([1, G, L, D]),
    options: { causal, keyCount },
  };
}

function grow(b, past) {
  return b.library.appendRows(past, b.floats([2, b.between(1, 5), 8]), b.between(0, 12));
}

/** K ascending indices below N: [1, K]. */
function ascending(b, K, N) {
  const held = new Set();
  while (held.size < K) held.add(b.draw(N));
  return b.library.indexTensor(b.gpu, Uint32Array.from([...held].sort((x, y) => x - y)), [1, K]);
}

function embeds(b, T) {
  return b.floats([1, T, TINY.text.hiddenSize]);
}

function zipped(b, merge, budget) {
  const [B, H, N, C, D] = [b.between(1, 2), b.between(1, 4), b.between(12, 40), 8, 4];
  const probs = b.library.softmax(b.floats([B, H, N])); // [B, H, N]
  const input = { hiddenStates: b.floats([B, N, C]), clsAttention: probs, keys: b.floats([B, H, N, D]) };
  const dominantCount = b.between(1, 6);
  const counts = budget ?? { dominantCount, contextualCount: b.between(1, 5) };
  return b.library.visionZip(input, { ...counts, merge }).tokens;
}

function tensorsIn(value) {
  if (typeof value !== 'object' || value === null) return [];
  if ('storage' in value) return [value];
  return Object.values(value).flatMap(tensorsIn);
}

function product(shape) {
  return shape.reduce((count, length) => count * length, 1);
}
