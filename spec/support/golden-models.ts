// Models of the goldens: their weights from formulas, through the library's own map of names. SPEC G-1.4.

import { Float16Array } from '@petamoriken/float16';
import { type Upload, uploadOf } from '../../src/models/checkpoint/upload.ts';
import { loadClipWeights } from '../../src/models/clip/weights.ts';
import type {
  ClipVisionConfig,
  ClipWeights,
  LlamaConfig,
  LlamaWeights,
  LlavaConfig,
} from '../../src/models/index.ts';
import { loadLlamaWeights } from '../../src/models/llama/weights.ts';
import { encoderLayerCount } from '../../src/models/llava/llava.ts';
import { dispose, type Gpu, type Matrix, matrixFromChunks, tensor } from '../../src/tensor/index.ts';
import { fill, type GoldenGroup } from './golden.ts';
import { weights } from './ways.ts';

type Config = Readonly<Record<string, unknown>>;

export function clipConfig(raw: Config): ClipVisionConfig {
  return {
    hiddenSize: raw.hidden_size as number,
    intermediateSize: raw.intermediate_size as number,
    layerCount: raw.num_hidden_layers as number,
    headCount: raw.num_attention_heads as number,
    imageSize: raw.image_size as number,
    patchSize: raw.patch_size as number,
    normEps: raw.layer_norm_eps as number,
    activation: raw.hidden_act as ClipVisionConfig['activation'],
  };
}

export function llamaConfig(raw: Config): LlamaConfig {
  const headCount = raw.num_attention_heads as number;
  const hiddenSize = raw.hidden_size as number;
  return {
    hiddenSize,
    intermediateSize: raw.intermediate_size as number,
    layerCount: raw.num_hidden_layers as number,
    headCount,
    keyValueHeadCount: raw.num_key_value_heads as number,
    headSize: hiddenSize / headCount,
    vocabSize: raw.vocab_size as number,
    normEps: raw.rms_norm_eps as number,
    ropeTheta: raw.rope_theta as number,
    ropeFactor: (raw.rope_scaling as { factor: number } | undefined)?.factor ?? 1,
    maxPositions: raw.max_position_embeddings as number,
    tieWordEmbeddings: raw.tie_word_embeddings as boolean,
  };
}

/** The tower `id` up to the layer that VisionZip reads, the second-to-last. Dispose it. */
export async function goldenClip(gpu: Gpu, group: GoldenGroup, id: string): Promise<ClipWeights> {
  const vision = clipConfig(group.manifest.weights[id]?.config ?? {});
  const count = encoderLayerCount({ vision, visionFeatureLayer: -2 } as LlavaConfig);
  return loadClipWeights(formulaUpload(gpu, group, id), 'vision_model', vision, count);
}

/** The decoder `id`. Dispose it. */
export async function goldenLlama(gpu: Gpu, group: GoldenGroup, id: string): Promise<LlamaWeights> {
  const config = llamaConfig(group.manifest.weights[id]?.config ?? {});
  const head = config.tieWordEmbeddings ? 'model.embed_tokens' : 'lm_head';
  return loadLlamaWeights(formulaUpload(gpu, group, id), 'model', head, config);
}

/** Makes the tensors of a model as they are asked for. Throws if the manifest does not have one, or in another shape. */
function formulaUpload(gpu: Gpu, { manifest }: GoldenGroup, id: string): Upload {
  const loaded: Matrix[] = [];
  const keep = <T extends Matrix>(x: T): T => {
    loaded.push(x);
    return x;
  };
  const valuesOf = (name: string, stored: readonly number[]): Float32Array => {
    const formula = manifest.weights[id]?.tensors[name];
    if (`${formula?.shape}` !== `${stored}` || formula === undefined) {
      throw new Error(`${id} ${name}: expected [${stored}], got [${formula?.shape}]`);
    }
    return fill(`${id}:${name}`, formula);
  };
  return uploadOf({
    load: async (name, stored, shape = stored) => keep(tensor(gpu, valuesOf(name, stored), shape)),
    matrix: async (name, stored) => {
      const values = valuesOf(name, stored);
      const [rows = 1, ...rest] = stored;
      const columns = rest.reduce((product, length) => product * length, 1);
      if (weights !== 'f16' || columns % 4 !== 0) return keep(tensor(gpu, values, [rows, columns]));
      return keep(await matrixFromChunks(gpu, 'f16', [rows, columns], halves(values)));
    },
    discard: () => dispose(loaded),
  });
}

/** The values as bits of f16, in which they are exact (G-1.4). */
async function* halves(values: Float32Array): AsyncGenerator<Uint16Array> {
  yield new Uint16Array(new Float16Array(values).buffer as ArrayBuffer);
}
