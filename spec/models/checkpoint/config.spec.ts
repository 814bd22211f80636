import { describe, expect, it } from 'vitest';
import { type LlavaConfig, readLlavaConfig } from '../../../src/models/checkpoint/config.ts';
import { modelDirectory } from '../../../src/models/checkpoint/model-directory.ts';
import { FileError } from '../../../src/tensor/errors.ts';
import { memoryFiles } from './memory-files.ts';

const base = { model_type: 'llava', architectures: ['LlavaForConditionalGeneration'] };
const read = (config: unknown, generation?: unknown): Promise<LlavaConfig> =>
  readLlavaConfig(
    memoryFiles({
      'config.json': config,
      ...(generation === undefined ? {} : { 'generation_config.json': generation }),
    }),
  );
const withText = (text: object): Promise<LlavaConfig> => read({ ...base, text_config: text });

describe('defaults', () => {
  it('M-2.14 an empty text_config and vision_config take the defaults of their classes', async () => {
    const { text, vision } = await read({ ...base, text_config: {}, vision_config: {} });
    expect(text).toEqual({
      hiddenSize: 4096,
      intermediateSize: 11_008,
      layerCount: 32,
      headCount: 32,
      keyValueHeadCount: 32,
      headSize: 128,
      vocabSize: 32_000,
      normEps: 1e-6,
      ropeTheta: 10_000,
      ropeFactor: 1,
      maxPositions: 2048,
      tieWordEmbeddings: false,
    });
    expect(vision).toEqual({
      hiddenSize: 768,
      intermediateSize: 3072,
      layerCount: 12,
      headCount: 12,
      imageSize: 224,
      patchSize: 32,
      normEps: 1e-5,
      activation: 'quick_gelu',
    });
  });

  it('M-2.14 a config without parts is LLaVA-1.5 7B on CLIP ViT-L/14 at 336 pixels', async () => {
    const config = await read(base);
    expect(config.vision).toMatchObject({ hiddenSize: 1024, layerCount: 24, headCount: 16, imageSize: 336 });
    expect(config.vision).toMatchObject({ intermediateSize: 4096, patchSize: 14 });
    expect(config.text).toMatchObject({ hiddenSize: 4096, layerCount: 32 });
    expect(config).toMatchObject({
      visionFeatureLayer: -2,
      imageTokenIndex: 32_000,
      projectorActivation: 'gelu',
      bosTokenId: 1,
      eosTokenIds: [2],
      padTokenId: null,
    });
  });

  it('M-2.14 the keys that llava-1.5-7b-hf has give that model', async () => {
    const config = await read({
      ...base,
      image_token_index: 32_000,
      pad_token_id: 32_001,
      text_config: {
        max_position_embeddings: 4096,
        model_type: 'llama',
        rms_norm_eps: 1e-5,
        vocab_size: 32_064,
      },
    });
    expect(config.text).toMatchObject({
      vocabSize: 32_064,
      normEps: 1e-5,
      maxPositions: 4096,
      headSize: 128,
    });
    expect(config.padTokenId).toBe(32_001);
  });

  it('M-2.14 the embedded model is read as it was trained', async () => {
    const { text, vision } = await readLlavaConfig(modelDirectory('golden/tiny-llava'));
    expect(text).toMatchObject({
      hiddenSize: 128,
      layerCount: 4,
      headSize: 32,
      ropeTheta: 500_000,
      vocabSize: 514,
    });
    expect(vision).toMatchObject({ hiddenSize: 128, layerCount: 6, headCount: 4, imageSize: 336 });
  });
});

describe('variants', () => {
  it('M-2.15 grouped keys, another head size and tied embeddings are read', async () => {
    const { text } = await withText({ num_key_value_heads: 8, head_dim: 64, tie_word_embeddings: true });
    expect(text).toMatchObject({
      headCount: 32,
      keyValueHeadCount: 8,
      headSize: 64,
      tieWordEmbeddings: true,
    });
    expect((await read({ ...base, tie_word_embeddings: true })).text.tieWordEmbeddings).toBe(true);
  });

  it('M-2.16 the RoPE base is read in both spellings, null means plain', async () => {
    for (const text of [
      { rope_theta: 500_000, rope_scaling: null },
      { rope_parameters: { rope_type: 'default', rope_theta: 500_000 } },
      { rope_theta: 500_000, rope_scaling: { type: 'default' } },
      { rope_theta: 500_000, rope_parameters: { rope_theta: 500_000 } },
    ]) {
      expect((await withText(text)).text.ropeTheta).toBe(500_000);
    }
  });

  it('M-2.34 linear scaling is read in every spelling, and stretches the positions', async () => {
    const scaled = (text: object): Promise<LlavaConfig> =>
      withText({ max_position_embeddings: 4096, ...text });
    for (const text of [
      { rope_scaling: { type: 'linear', factor: 2.5 } },
      { rope_scaling: { rope_type: 'linear', factor: 2.5 } },
      { rope_scaling: { type: 'linear', rope_type: 'linear', factor: 2.5 } },
      { rope_parameters: { rope_type: 'linear', factor: 2.5, rope_theta: 10_000 } },
      {
        rope_scaling: { type: 'linear', factor: 2.5 },
        rope_parameters: { rope_type: 'linear', factor: 2.5 },
      },
    ]) {
      const { ropeFactor, maxPositions } = (await scaled(text)).text;
      expect({ ropeFactor, maxPositions }, JSON.stringify(text)).toEqual({
        ropeFactor: 2.5,
        maxPositions: 10_240,
      });
    }
    const odd = await scaled({ max_position_embeddings: 33, rope_scaling: { type: 'linear', factor: 1.5 } });
    expect(odd.text.maxPositions).toBe(49);
    for (const text of [
      {},
      { rope_scaling: { type: 'default' } },
      { rope_scaling: { type: 'default', factor: 8 } }, // which transformers leaves unread, too
      { rope_scaling: { type: 'linear', factor: 1 } },
    ]) {
      expect((await scaled(text)).text, JSON.stringify(text)).toMatchObject({
        ropeFactor: 1,
        maxPositions: 4096,
      });
    }
  });

  it('M-2.17 end tokens come from generation_config.json, then from config.json', async () => {
    const config = { ...base, text_config: { eos_token_id: [5, 6] } };
    expect((await read(config)).eosTokenIds).toEqual([5, 6]);
    expect((await read({ ...config, eos_token_id: 4 })).eosTokenIds).toEqual([4]);
    expect((await read(config, { eos_token_id: 7 })).eosTokenIds).toEqual([7]);
    expect((await read(config, { eos_token_id: [8, 9], bos_token_id: 3 })).bosTokenId).toBe(3);
    expect((await read(config, { eos_token_id: null })).eosTokenIds).toEqual([5, 6]);
  });

  it('M-2.18 the feature layer is one integer within the tower, a list of one included', async () => {
    const layer = (value: unknown): Promise<LlavaConfig> => read({ ...base, vision_feature_layer: value });
    expect((await layer([-2])).visionFeatureLayer).toBe(-2);
    expect((await layer(-25)).visionFeatureLayer).toBe(-25);
    expect((await layer(24)).visionFeatureLayer).toBe(24);
    for (const value of [-26, 25, 1.5, '-2', [-2, -5], [], null]) {
      await expect(layer(value)).rejects.toThrow(/vision_feature_layer/);
    }
  });

  it('M-2.14 both names of the image token are read', async () => {
    expect((await read({ ...base, image_token_id: 9 })).imageTokenIndex).toBe(9);
  });
});

describe('refusals', () => {
  const other = (change: object): unknown => ({ ...base, ...change });
  const text = (change: object): unknown => other({ text_config: change });
  const vision = (change: object): unknown => other({ vision_config: change });
  const refused: readonly (readonly [string, string, unknown, RegExp])[] = [
    [
      'M-2.19',
      'another model_type',
      { model_type: 'llava_next' },
      /model_type: expected "llava".*got "llava_next"/,
    ],
    ['M-2.19', 'no model_type', {}, /model_type/],
    ['M-2.19', 'a list', [], /config\.json/],
    [
      'M-2.19',
      "the authors' architecture",
      other({ architectures: ['LlavaLlamaForCausalLM'] }),
      /architectures/,
    ],
    ['M-2.19', 'another language model', text({ model_type: 'mistral' }), /text_config\.model_type.*"llama"/],
    [
      'M-2.19',
      'another vision tower',
      vision({ model_type: 'siglip_vision_model' }),
      /vision_config\.model_type/,
    ],
    ['M-2.19', 'a size of text', text({ hidden_size: '4096' }), /text_config\.hidden_size.*got "4096"/],
    ['M-2.19', 'a size of 0', text({ hidden_size: 0 }), /text_config\.hidden_size/],
    ['M-2.19', 'half a layer', text({ num_hidden_layers: 1.5 }), /text_config\.num_hidden_layers/],
    ['M-2.19', '10^9 layers', text({ num_hidden_layers: 1e9 }), /num_hidden_layers.*1 to 512/],
    ['M-2.19', '10^9 vision layers', vision({ num_hidden_layers: 1e9 }), /vision_config\.num_hidden_layers/],
    ['M-2.19', 'an eps of 0', text({ rms_norm_eps: 0 }), /rms_norm_eps/],
    ['M-2.19', 'a vocabulary of null', text({ vocab_size: null }), /vocab_size/],
    ['M-2.19', 'BOS beyond the vocabulary', text({ vocab_size: 10, bos_token_id: 10 }), /bos_token_id/],
    ['M-2.17', 'EOS beyond the vocabulary', text({ eos_token_id: [2, 32_000] }), /eos_token_id.*got 32000/],
    [
      'M-2.19',
      'a padding token of −2',
      text({ pad_token_id: -2 }),
      /pad_token_id: expected an integer of -1/,
    ],
    ['M-2.19', 'half a padding token', other({ pad_token_id: 0.5 }), /pad_token_id/],
    [
      'M-2.19',
      'a list as the text config',
      other({ text_config: [] }),
      /text_config: expected an object, got \[\]/,
    ],
    [
      'M-2.19',
      'a list as the vision config',
      other({ vision_config: [1] }),
      /vision_config: expected an object/,
    ],
    ['M-2.19', 'a list as the RoPE', text({ rope_parameters: [] }), /rope_parameters: expected an object/],
    [
      'M-2.19',
      'a size of 20,000 levels',
      JSON.stringify(text({ hidden_size: 'x' })).replace('"x"', `${'['.repeat(20_000)}${']'.repeat(20_000)}`),
      /hidden_size.*too many levels to show/,
    ],
    ['M-2.19', 'no end token in the list', text({ eos_token_id: [] }), /eos_token_id/],
    ['M-2.19', 'four channels', vision({ num_channels: 4 }), /num_channels/],
    ['M-2.19', 'an unknown activation', vision({ hidden_act: 'relu' }), /vision_config\.hidden_act/],
    ['M-2.19', 'another strategy', other({ vision_feature_select_strategy: 'cls' }), /select_strategy/],
    ['M-2.19', 'tokens with CLS', other({ vision_feature_select_strategy: 'full' }), /select_strategy/],
    ['M-2.15', 'heads that do not divide', text({ num_attention_heads: 3 }), /num_attention_heads.*divisor/],
    ['M-2.15', 'key heads that do not divide', text({ num_key_value_heads: 3 }), /num_key_value_heads/],
    ['M-2.15', 'an odd head size', text({ head_dim: 3 }), /even/],
    ['M-2.15', 'vision heads that do not divide', vision({ num_attention_heads: 5 }), /num_attention_heads/],
    ['M-2.15', 'patches that do not fit', vision({ image_size: 225 }), /patch_size/],
    ...['dynamic', 'yarn', 'llama3', 'longrope'].flatMap((type): typeof refused => [
      [
        'M-2.16',
        `${type} scaling`,
        text({ rope_scaling: { type, factor: 2 } }),
        new RegExp(`text_config\\.rope_scaling\\.type: expected .*"linear".*, got "${type}"`),
      ],
      [
        'M-2.16',
        `${type} scaling in the newer spelling`,
        text({ rope_parameters: { rope_type: type, factor: 2 } }),
        new RegExp(`text_config\\.rope_parameters\\.rope_type: expected .*"linear".*, got "${type}"`),
      ],
    ]),
    ...[undefined, null, 0.5, 0, -2, 4097, '2', true].map((factor): (typeof refused)[number] => [
      'M-2.34',
      `linear scaling by ${JSON.stringify(factor)}`,
      text({ rope_scaling: { type: 'linear', factor } }),
      /text_config.*rope_scaling\.factor: expected .*, got/,
    ]),
    [
      'M-2.34',
      'a factor of nothing',
      text({ rope_scaling: { factor: 2 } }),
      /rope_scaling\.rope_type: .*"linear"/,
    ],
    [
      'M-2.34',
      'two types',
      text({ rope_scaling: { type: 'linear', rope_type: 'default', factor: 2 } }),
      /rope_scaling\.rope_type: expected "linear", as in type, got "default"/,
    ],
    [
      'M-2.34',
      'two factors',
      text({
        rope_scaling: { type: 'linear', factor: 2 },
        rope_parameters: { rope_type: 'linear', factor: 3 },
      }),
      /rope_scaling: expected one scaling, got factors 2 and 3/,
    ],
    [
      'M-2.34',
      'scaling in one spelling and none in the other',
      text({ rope_scaling: { type: 'linear', factor: 2 }, rope_parameters: { rope_type: 'default' } }),
      /rope_scaling: expected one scaling, got factors 2 and 1/,
    ],
    ['M-2.16', 'a partial rotation', text({ rope_parameters: { partial_rotary_factor: 0.5 } }), /partial/],
    ['M-2.16', 'two bases', text({ rope_theta: 1, rope_parameters: { rope_theta: 2 } }), /rope_theta/],
    ['M-2.19', 'attention biases', text({ attention_bias: true }), /attention_bias: expected false/],
    ['M-2.19', 'MLP biases', text({ mlp_bias: true }), /mlp_bias/],
    ['M-2.19', 'a projector without biases', other({ multimodal_projector_bias: false }), /projector_bias/],
    ['M-2.19', 'another projector', other({ projector_hidden_act: 'relu' }), /projector_hidden_act/],
  ];
  it.each(refused)('%s %s is refused, naming the field', async (_, __, config, message) => {
    await expect(read(base)).resolves.toBeDefined();
    await expect(read(config)).rejects.toThrow(FileError);
    await expect(read(config)).rejects.toThrow(message);
    await expect(read(config)).rejects.toThrow(/^memory\/config\.json.*: expected .*, got /s);
  });

  it('M-2.2 a config that is missing, no JSON, not UTF-8 or too long is refused', async () => {
    await expect(readLlavaConfig(memoryFiles({}))).rejects.toThrow(FileError);
    await expect(read('{')).rejects.toThrow(/expected JSON/);
    await expect(read('{"model_type":"llava","x":NaN}')).rejects.toThrow(/expected JSON/);
    await expect(read(Uint8Array.of(0xff))).rejects.toThrow(/UTF-8/);
    const padded = JSON.stringify(base).padEnd(1_000_000, ' ');
    await expect(read(padded)).resolves.toBeDefined();
    await expect(read(`${padded} `)).rejects.toThrow(/at most 1000000 bytes/);
  });

  it('M-2.19 a broken generation_config.json is refused, naming it', async () => {
    for (const broken of [{ eos_token_id: 'x' }, { eos_token_id: 32_000 }, { eos_token_id: [2, 40_000] }]) {
      await expect(read(base, broken)).rejects.toThrow(/generation_config\.json eos_token_id/);
    }
    await expect(read(base, { bos_token_id: 32_000 })).rejects.toThrow(
      /generation_config\.json bos_token_id/,
    );
    await expect(read(base, [])).rejects.toThrow(/generation_config\.json: expected an object/);
  });
});
