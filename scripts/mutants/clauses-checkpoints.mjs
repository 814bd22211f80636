// Bugs in reading checkpoints and configurations, that the tests of clauses catch.

const authors = 'src/models/checkpoint/authors-config.ts';
const config = 'src/models/checkpoint/config.ts';
const floats = 'src/models/checkpoint/tensor-floats.ts';
const layout = 'src/models/checkpoint/layout.ts';
const preprocessor = 'src/models/checkpoint/preprocessor-config.ts';
const safetensors = 'src/models/checkpoint/safetensors.ts';
const shards = 'src/models/checkpoint/shard-index.ts';
const sources = 'src/models/checkpoint/llava-sources.ts';

export const checkpointClauseMutants = [
  {
    id: 2290,
    bug: 'of two chosen files of one name the last one counts',
    file: 'src/models/checkpoint/chosen-model.ts',
    edits: [['if (byName.has(file.name)) {', 'if (byName.has(file.name) && file.size < 0) {']],
    clauses: ['M-2.36'],
    spec: 'chosen-model',
  },
  {
    id: 2201,
    bug: 'a file that ends early is filled up with zeros',
    file: 'src/models/checkpoint/model-directory.ts',
    edits: [
      ['    if (bytesRead === 0) {', '    if (bytesRead === 0) return bytes;\n    if (bytesRead < 0) {'],
    ],
    clauses: ['M-2.1'],
    spec: 'model-directory',
  },
  {
    id: 2202,
    bug: 'a file name may begin with a dot',
    file: 'src/models/checkpoint/model-files.ts',
    edits: [['!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)', '!/^[A-Za-z0-9._-]+$/.test(name)']],
    clauses: ['M-2.2'],
    spec: 'model-directory',
  },
  {
    id: 2203,
    bug: 'the cap on headers counts their length twice over',
    file: safetensors,
    edits: [['if (length > BigInt(maxHeaderBytes)) {', 'if (length > 2n * BigInt(maxHeaderBytes)) {']],
    clauses: ['M-2.3'],
    tests: 'a header beyond 100 MB is refused before',
    spec: 'safetensors',
  },
  {
    id: 2204,
    bug: 'of two equal keys the last one counts',
    file: 'src/models/checkpoint/strict-json.ts',
    edits: [['if (members.has(key)) {', "if (members.has(key) && key === '') {"]],
    clauses: ['M-2.4'],
    tests: 'a name twice',
    spec: 'safetensors',
  },
  {
    id: 2205,
    bug: 'a tensor may have one axis more',
    file: safetensors,
    edits: [['if (shape.length > maxRank) {', 'if (shape.length > maxRank + 1) {']],
    clauses: ['M-2.5'],
    tests: '17 axes',
    spec: 'safetensors',
  },
  {
    id: 2206,
    bug: 'tensors may overlap',
    file: safetensors,
    edits: [['if (begin !== next) {', 'if (begin > next) {']],
    clauses: ['M-2.6'],
    tests: 'an overlap',
    spec: 'safetensors',
  },
  {
    id: 2207,
    bug: 'a name that begins with two underscores is taken for reserved',
    file: safetensors,
    edits: [
      ['else entries.set(name, readEntry(', "else if (!name.startsWith('__')) entries.set(name, readEntry("],
    ],
    clauses: ['M-2.7'],
    spec: 'safetensors',
  },
  {
    id: 2208,
    bug: 'subnormal halves become zero',
    quick: true,
    file: floats,
    edits: [
      [
        'return getFloat16(view, 0);',
        'const half = getFloat16(view, 0);\n      return Math.abs(half) < 2 ** -14 ? 0 : half;',
      ],
    ],
    clauses: ['M-2.8'],
    spec: 'tensor-floats',
  },
  {
    id: 2209,
    bug: 'a written header is not padded',
    file: 'src/models/checkpoint/write-safetensors.ts',
    edits: [['Math.ceil(header.length / 8) * 8', 'header.length']],
    clauses: ['M-2.9'],
    spec: 'tensor-floats',
  },
  {
    id: 2210,
    bug: 'total_size is demanded',
    file: shards,
    edits: [['if (totalSize !== undefined && totalSize !== byteCount) {', 'if (totalSize !== byteCount) {']],
    clauses: ['M-2.10'],
    spec: 'shard-index',
  },
  {
    id: 2211,
    bug: 'a tensor may lie in another shard than the index says',
    file: shards,
    edits: [['if (listed !== shardName) {', 'if (listed === undefined) {']],
    clauses: ['M-2.11'],
    spec: 'shard-index',
  },
  {
    id: 2212,
    bug: 'a pickle file is opened',
    file: shards,
    edits: [
      [
        '    if (await files.has(indexName)) return',
        "    const pickle = 'pytorch_model.bin';\n" +
          '    if (await files.has(pickle)) return checkpoint(files, await placesOf(files, pickle, shards), close);\n' +
          '    if (await files.has(indexName)) return',
      ],
    ],
    clauses: ['M-2.12'],
    spec: 'shard-index',
  },
  {
    id: 2213,
    bug: 'of a shape the number of elements is compared',
    file: shards,
    edits: [
      [
        'if (shape.length !== expectedShape.length || shape.some((n, axis) => n !== expectedShape[axis])) {',
        'const count = (lengths: readonly number[]) => lengths.reduce((product, n) => product * n, 1);\n' +
          '    if (count(shape) !== count(expectedShape)) {',
      ],
    ],
    clauses: ['M-2.13'],
    spec: 'shard-index',
  },
  {
    id: 2214,
    bug: 'the epsilon of the RMS norm is 1e-5 where none is given',
    file: config,
    edits: [
      [
        'rms_norm_eps: v.optional(positiveNumber(1), 1e-6)',
        'rms_norm_eps: v.optional(positiveNumber(1), 1e-5)',
      ],
    ],
    clauses: ['M-2.14'],
    spec: 'config',
  },
  {
    id: 2215,
    bug: 'key heads need not divide the query heads',
    file: config,
    edits: [
      [
        "  checkDivides(who, 'num_key_value_heads', keyValueHeadCount, 'num_attention_heads', headCount);\n",
        '',
      ],
    ],
    clauses: ['M-2.15'],
    spec: 'config',
  },
  {
    id: 2216,
    bug: 'the RoPE base of newer files is not read',
    quick: true,
    file: config,
    edits: [
      [
        'const given = [raw.rope_theta, raw.rope_parameters?.rope_theta, raw.rope_scaling?.rope_theta];',
        'const given = [raw.rope_theta];',
      ],
    ],
    clauses: ['M-2.16'],
    spec: 'config',
  },
  {
    id: 2217,
    bug: 'end tokens of config.json go before those of generation_config.json',
    file: config,
    edits: [
      ['generation.eos_token_id ?? config.eos_token_id', 'config.eos_token_id ?? generation.eos_token_id'],
    ],
    clauses: ['M-2.17'],
    spec: 'config',
  },
  {
    id: 2218,
    bug: 'the feature layer may not be the embedding, counted from the end',
    file: config,
    edits: [['layer < -layerCount - 1 ||', 'layer < -layerCount ||']],
    clauses: ['M-2.18'],
    spec: 'config',
  },
  {
    id: 2219,
    bug: 'biases that the decoder does not have are passed over',
    file: config,
    edits: [
      ['attention_bias: v.optional(only(false), false)', 'attention_bias: v.optional(v.boolean(), false)'],
    ],
    clauses: ['M-2.19'],
    spec: 'config',
  },
  {
    id: 2220,
    bug: 'the mean is 0.5 where none is given',
    file: preprocessor,
    edits: [['raw.image_mean ?? clipMean', 'raw.image_mean ?? ([0.5, 0.5, 0.5] as const)']],
    clauses: ['M-2.20'],
    spec: 'preprocessor-config',
  },
  {
    id: 2221,
    bug: 'of a crop the height alone is compared',
    file: preprocessor,
    edits: [
      ['if (crop.height !== imageSize || crop.width !== imageSize) {', 'if (crop.height !== imageSize) {'],
    ],
    clauses: ['M-2.21'],
    spec: 'preprocessor-config',
  },
  {
    id: 2222,
    bug: 'of two layouts that fit the first is taken',
    file: layout,
    edits: [['layout === undefined || fitting.length > 1 ||', 'layout === undefined ||']],
    clauses: ['M-2.22'],
    spec: 'shard-index',
  },
  {
    id: 2223,
    bug: 'a tied head is the embedding, though another one is stored',
    file: layout,
    edits: [['if (names.has(', 'if (!tieWordEmbeddings && names.has(']],
    clauses: ['M-2.23'],
    spec: 'shard-index',
  },
  {
    id: 2224,
    bug: 'the range and the size that the server names are not looked at',
    file: 'src/models/checkpoint/fetched-model.ts',
    edits: [['!== 206 || range !== ', '!== 206 || range === null || size < 0 && range !== ']],
    clauses: ['M-2.24'],
    spec: 'fetched-model',
  },
  {
    id: 2225,
    bug: 'the type llava_llama is unknown',
    file: authors,
    edits: [["  if (output.model_type === 'llava_llama') return true;\n", '']],
    clauses: ['M-2.25'],
    spec: 'authors-config',
  },
  {
    id: 2226,
    bug: 'a projector that is not named is taken for the usual one',
    file: authors,
    edits: [
      [
        "mm_projector_type: only('mlp2x_gelu'),",
        "mm_projector_type: v.optional(only('mlp2x_gelu'), 'mlp2x_gelu'),",
      ],
    ],
    clauses: ['M-2.26'],
    spec: 'authors-config',
  },
  {
    id: 2227,
    bug: 'the path of a tower may leave the folder that the model lies in',
    file: 'src/models/checkpoint/find-vision-tower.ts',
    edits: [
      ["fromParent !== '' && fromParent.split(sep)[0] !== '..' &&", "fromParent !== '' && sep !== '' &&"],
    ],
    clauses: ['M-2.27'],
    spec: 'find-vision-tower',
  },
  {
    id: 2228,
    bug: 'the weights of the folder go before those of the checkpoint',
    file: sources,
    edits: [
      [
        'tower: hasTower || towerFiles === undefined ? checkpoint',
        'tower: towerFiles === undefined ? checkpoint',
      ],
    ],
    clauses: ['M-2.28'],
    specs: ['spec/models/llava/checkpoint-forms.spec.ts'],
  },
  {
    id: 2229,
    bug: "the authors' feature layer is counted one too far",
    file: authors,
    edits: [
      [
        'const visionFeatureLayer = raw.mm_vision_select_layer;',
        'const visionFeatureLayer = raw.mm_vision_select_layer + 1;',
      ],
    ],
    clauses: ['M-2.29'],
    specs: ['spec/models/llava/checkpoint-forms.spec.ts'],
  },
  {
    id: 2230,
    bug: 'values that f16 cannot hold become infinite',
    file: floats,
    edits: [['if (Number.isFinite(value) && (view', 'if (Math.abs(value) > 3.4e38 && (view']],
    clauses: ['M-2.30'],
    spec: 'tensor-floats',
  },
  {
    id: 2231,
    bug: 'the budget is not looked at before weights are uploaded',
    file: 'src/models/llava/llava.ts',
    edits: [['checkBudget(gpu, neededBytes(', 'checkBudget(gpu, 0 * neededBytes(']],
    clauses: ['M-2.31'],
    specs: ['spec/visionzip/zipped-llava.spec.ts'],
  },
  {
    id: 2232,
    bug: 'pickle files in shards are not known',
    file: shards,
    edits: [["'pytorch_model.bin', 'pytorch_model.bin.index.json', 'py", "'pytorch_model.bin', 'py"]],
    clauses: ['M-2.32'],
    spec: 'shard-index',
  },
  {
    id: 2233,
    bug: 'pictures are padded where the checkpoint does not say how they become squares',
    file: authors,
    edits: [
      [
        "raw.image_aspect_ratio === 'pad' ? 'pad' : 'crop'",
        "raw.image_aspect_ratio === 'square' ? 'crop' : 'pad'",
      ],
    ],
    clauses: ['M-2.33'],
    specs: ['spec/models/llava/checkpoint-forms.spec.ts'],
  },
  {
    id: 2234,
    bug: 'linear scaling does not stretch the positions',
    file: config,
    edits: [
      [
        'maxPositions: Math.floor(raw.max_position_embeddings * ropeFactor)',
        'maxPositions: raw.max_position_embeddings',
      ],
    ],
    clauses: ['M-2.34'],
    spec: 'config',
  },
  {
    id: 2235,
    bug: 'what was read of a checkpoint is kept',
    file: floats,
    edits: [
      ['const chunkLength = 1 << 22;', 'const chunkLength = 1 << 22;\nconst kept: Uint8Array[] = [];'],
      [
        '    yield await file.read(begin, Math.min(chunkBytes, entry.end - begin));',
        '    kept.push(await file.read(begin, Math.min(chunkBytes, entry.end - begin)));\n    yield kept.at(-1) as Uint8Array;',
      ],
    ],
    clauses: ['M-2.35'],
    build: true,
    spec: 'loading-memory',
  },
].map(({ spec, ...mutant }) =>
  spec === undefined ? mutant : { ...mutant, specs: [`spec/models/checkpoint/${spec}.spec.ts`] },
);
