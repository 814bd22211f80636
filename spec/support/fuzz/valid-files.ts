// The valid files that are tampered with: small, and with what is unusual but allowed in them.

import type { Draw } from './draw.ts';
import { safetensorsFile } from './mutate-safetensors.ts';

/** A header in the order given, over zeros, so that every offset counts. */
export function safetensorsOf(
  tensors: Readonly<Record<string, readonly [dtype: string, shape: readonly number[], bytes: number]>>,
  fill: (index: number) => number = () => 0,
  extra: object = {},
): Uint8Array {
  let at = 0;
  const entries = Object.entries(tensors).map(([name, [dtype, shape, bytes]]) => {
    const entry = { dtype, shape, data_offsets: [at, at + bytes] };
    at += bytes;
    return [name, entry] as const;
  });
  const header = JSON.stringify({ ...extra, ...Object.fromEntries(entries) });
  return safetensorsFile(
    new TextEncoder().encode(header),
    Uint8Array.from({ length: at }, (_, i) => fill(i)),
  );
}

export const tensorsFile: Uint8Array = safetensorsOf(
  {
    weight: ['F32', [2, 3], 24],
    scalar: ['I32', [], 4],
    half: ['F16', [3], 6],
    odd: ['U8', [1], 1],
    unaligned: ['BF16', [2, 1], 4],
    packed: ['F4', [1, 2], 1],
    'name "with\\n': ['F64', [1], 8],
  },
  undefined,
  { __metadata__: { format: 'pt', ä: '' } },
);

const B = 2;
const H = 2;
const N = 5;
const tenths = (i: number): number => [0, 0, 0x80, 0x3e][i % 4] as number; // 0.25 as F32, 1 / 4 as BF16 with 0

/** Inputs of `zip --tensors`, each name twice in another form. */
export const zipInputs: readonly Uint8Array[] = [
  safetensorsOf(
    {
      hiddenStates: ['F32', [B, N, 3], 4 * B * N * 3],
      clsAttention: ['F32', [B, H, N], 4 * B * H * N],
      keys: ['F32', [B, H, N, 2], 4 * B * H * N * 2],
    },
    tenths,
  ),
  safetensorsOf({
    other: ['U8', [3], 3],
    meanKeys: ['BF16', [B, N, 1], 2 * B * N],
    attentionProbs: ['F16', [B, 1, N, N], 2 * B * N * N],
    hiddenStates: ['F16', [B, N, 1], 2 * B * N],
  }),
];

/** The same with axes of 0 to 3, any of the dtypes, and now and then a tensor whose axes are its own. */
export function drawnZipInput(draw: Draw): Uint8Array {
  const sizes = Array.from({ length: 5 }, () => draw.pick([0, 1, 1, 2, 2, 3]));
  const [b = 0, h = 0, n = 0, c = 0, d = 0] = sizes;
  const entry = (...shape: readonly number[]): readonly [string, readonly number[], number] => {
    const drawn = draw.oneIn(20) ? shape.with(draw.below(shape.length), draw.below(4)) : shape;
    const dtype = draw.pick(['F32', 'F32', 'F16', 'BF16', draw.pick(['F32', 'I32', 'U8'])]);
    const width = { F32: 4, I32: 4, F16: 2, BF16: 2, U8: 1 }[dtype] ?? 0;
    return [dtype, drawn, width * drawn.reduce((product, length) => product * length, 1)];
  };
  const attention = draw.oneIn(2) ? { clsAttention: entry(b, h, n) } : { attentionProbs: entry(b, h, n, n) };
  const keys = draw.oneIn(2) ? { keys: entry(b, h, n, d) } : { meanKeys: entry(b, n, d) };
  const tensors = { ...keys, hiddenStates: entry(b, n, c), ...attention };
  const bad = draw.oneIn(4) ? draw.below(16) : -1;
  return safetensorsOf(tensors, (i) => (i % 4 >= 2 && Math.floor(i / 4) === bad ? 0x7f + draw.below(2) : 0));
}

export const shardFiles: Readonly<Record<string, Uint8Array>> = {
  '1.safetensors': safetensorsOf({ a: ['F32', [2], 8], b: ['F16', [1], 2] }),
  '2.safetensors': safetensorsOf({ c: ['F32', [3], 12] }),
  'unlisted.safetensors': safetensorsOf({ a: ['F32', [2], 8] }),
  'cut.safetensors': safetensorsOf({ d: ['F32', [2], 8] }).slice(0, -1),
};
export const shardIndex: object = {
  metadata: { total_size: 22, other: [1, { deeper: '1.safetensors' }] },
  weight_map: { a: '1.safetensors', b: '1.safetensors', c: '2.safetensors' },
};

export const preprocessor: object = {
  size: { shortest_edge: 336 },
  crop_size: { height: 336, width: 336 },
  image_mean: [0.48, 0.46, 0.41],
  image_std: [0.27, 0.26, 0.28],
  rescale_factor: 1 / 255,
  resample: 3,
  do_resize: true,
  do_convert_rgb: true,
  image_processor_type: 'CLIPImageProcessor',
};

const added = (id: number, content: string) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});
const replace = (from: string, to: string) => ({ type: 'Replace', pattern: { String: from }, content: to });
const pieces = ['<unk>', '<s>', '</s>', '<0x0A>', '▁', 'a', 'b', 'ab', '▁ab'];

/** A tokenizer.json of nine pieces; merges as pairs, or as texts of two. */
export function tokenizerJson(merges: readonly unknown[]): object {
  return {
    version: '1.0',
    added_tokens: [added(0, '<unk>'), added(1, '<s>'), added(2, '</s>'), added(9, '<image>')],
    normalizer: { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, replace(' ', '▁')] },
    pre_tokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        replace('▁', ' '),
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<unk>',
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
      merges,
    },
  };
}

export const tokenizerConfig: object = {
  add_bos_token: true,
  add_eos_token: false,
  bos_token: '<s>',
  eos_token: { content: '</s>', lstrip: false },
  pad_token: null,
  clean_up_tokenization_spaces: false,
  legacy: true,
  model_max_length: 1e30,
  added_tokens_decoder: { 0: added(0, '<unk>'), 2: added(2, '</s>') },
};
