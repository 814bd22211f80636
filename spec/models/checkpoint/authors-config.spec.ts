import { describe, expect, it } from 'vitest';
import { isAuthorsConfig, readAuthorsConfig } from '../../../src/models/checkpoint/authors-config.ts';
import { type LlavaConfig, readClipConfig } from '../../../src/models/checkpoint/config.ts';
import { FileError } from '../../../src/tensor/errors.ts';
import { memoryFiles } from './memory-files.ts';

/** The keys that llava-v1.5-7b has, those that training alone uses left out. */
const base = {
  architectures: ['LlavaLlamaForCausalLM'],
  bos_token_id: 1,
  eos_token_id: 2,
  freeze_mm_mlp_adapter: false,
  hidden_act: 'silu',
  hidden_size: 4096,
  image_aspect_ratio: 'pad',
  intermediate_size: 11_008,
  max_length: 4096,
  max_position_embeddings: 4096,
  mm_hidden_size: 1024,
  mm_projector_type: 'mlp2x_gelu',
  mm_use_im_patch_token: false,
  mm_use_im_start_end: false,
  mm_vision_select_feature: 'patch',
  mm_vision_select_layer: -2,
  mm_vision_tower: 'openai/clip-vit-large-patch14-336',
  model_type: 'llava',
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 32,
  pad_token_id: 0,
  pretraining_tp: 1,
  rms_norm_eps: 1e-5,
  rope_scaling: null,
  tie_word_embeddings: false,
  torch_dtype: 'float16',
  use_cache: true,
  vocab_size: 32_000,
};

async function read(change: object = {}, generation?: object): Promise<LlavaConfig> {
  const files = memoryFiles(generation === undefined ? {} : { 'generation_config.json': generation });
  return (await readAuthorsConfig(files, { ...base, ...change })).with(readClipConfig('tower'));
}

describe('M-2.25 whose layout it is', () => {
  it('M-2.25 is told from the type, the architecture, or the name of a tower', () => {
    expect(isAuthorsConfig(base)).toBe(true);
    expect(isAuthorsConfig({ model_type: 'llava_llama' })).toBe(true);
    expect(isAuthorsConfig({ model_type: 'llava', mm_vision_tower: 'x' })).toBe(true);
    expect(isAuthorsConfig({ model_type: 'llava' })).toBe(false);
    expect(isAuthorsConfig({ model_type: 'llava', architectures: ['LlavaForConditionalGeneration'] })).toBe(
      false,
    );
    expect(isAuthorsConfig({ model_type: 'llava', architectures: ['x'], mm_vision_tower: 'x' })).toBe(false);
    for (const json of [null, 3, 'x', []]) expect(isAuthorsConfig(json)).toBe(false);
  });
});

describe('M-2.26 the configuration', () => {
  it('M-2.26 the keys of llava-v1.5-7b give that model', async () => {
    const config = await read();
    expect(config.text).toMatchObject({ hiddenSize: 4096, layerCount: 32, headSize: 128, vocabSize: 32_000 });
    expect(config.text).toMatchObject({ normEps: 1e-5, maxPositions: 4096, ropeTheta: 10_000 });
    expect(config).toMatchObject({
      visionFeatureLayer: -2,
      imageTokenIndex: null,
      bosTokenId: 1,
      padTokenId: 0,
    });
    expect(config.vision).toMatchObject({ hiddenSize: 1024, layerCount: 24, imageSize: 336 });
    expect(await read({ model_type: 'llava_llama' })).toEqual(config);
  });

  it('M-2.17 end tokens come from generation_config.json first', async () => {
    expect((await read()).eosTokenIds).toEqual([2]);
    expect((await read({ eos_token_id: [2, 7] })).eosTokenIds).toEqual([2, 7]);
    expect(await read({}, { eos_token_id: 5, bos_token_id: 4 })).toMatchObject({
      eosTokenIds: [5],
      bosTokenId: 4,
    });
  });

  const refused: readonly (readonly [string, object, RegExp])[] = [
    [
      'a linear projector',
      { mm_projector_type: 'linear' },
      /mm_projector_type: expected "mlp2x_gelu", got "linear"/,
    ],
    ['a projector that is not named', { mm_projector_type: undefined }, /mm_projector_type/],
    ['a deeper projector', { mm_projector_type: 'mlp3x_gelu' }, /mm_projector_type/],
    ['tokens with CLS', { mm_vision_select_feature: 'cls_patch' }, /mm_vision_select_feature/],
    [
      'marks around the picture',
      { mm_use_im_start_end: true },
      /mm_use_im_start_end: expected false, got true/,
    ],
    ['tiles', { image_aspect_ratio: 'anyres' }, /image_aspect_ratio/],
    ['tiles put together', { mm_patch_merge_type: 'spatial_unpad' }, /mm_patch_merge_type/],
    ['several scales', { s2: true }, /s2/],
    ['no tower', { mm_vision_tower: undefined }, /mm_vision_tower/],
    ['a tower without a name', { mm_vision_tower: '' }, /mm_vision_tower/],
    ['a tower of another width', { mm_hidden_size: 768 }, /mm_hidden_size: expected 1024.*got 768/],
    ['no layer', { mm_vision_select_layer: undefined }, /mm_vision_select_layer/],
    [
      'a layer beyond the tower',
      { mm_vision_select_layer: -26 },
      /mm_vision_select_layer: expected an integer of -25 to 24/,
    ],
    ['half a layer', { mm_vision_select_layer: -1.5 }, /mm_vision_select_layer/],
    ['another language model', { model_type: 'llava_mistral' }, /model_type/],
    ['a size of text', { hidden_size: '4096' }, /hidden_size/],
    [
      'a RoPE scaled otherwise than linearly',
      { rope_scaling: { type: 'dynamic', factor: 2 } },
      /config\.json rope_scaling\.type: expected .*"linear".*, got "dynamic"/,
    ],
    ['BOS beyond the vocabulary', { bos_token_id: 32_000 }, /bos_token_id/],
    ['EOS beyond the vocabulary', { eos_token_id: 32_000 }, /eos_token_id: expected less than 32000/],
    ['half a padding token', { pad_token_id: 0.5 }, /pad_token_id/],
    ['an end of text', { eos_token_id: '2' }, /eos_token_id/],
  ];
  it.each(refused)('M-2.26 %s is refused, naming the field', async (_, change, message) => {
    await expect(read()).resolves.toBeDefined();
    await expect(read(change)).rejects.toThrow(FileError);
    await expect(read(change)).rejects.toThrow(message);
    await expect(read(change)).rejects.toThrow(/^memory\/config\.json/);
  });
});
