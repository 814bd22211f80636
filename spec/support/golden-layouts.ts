// golden/llava-layouts: its model as the files of a checkpoint in either layout, and its stages as this library computes
// them from loaded weights. SPEC M-2.29, G-1.7.

import {
  encodeImage,
  type Llava,
  type ModelFiles,
  type PixelValues,
  patchTokens,
  project,
  splice,
  type TensorToWrite,
  writeSafetensors,
} from '../../src/models/index.ts';
import { dispose, readAll, type Tensor, tensor, tidy } from '../../src/tensor/index.ts';
import { visionZip } from '../../src/visionzip/index.ts';
import { memoryFiles } from '../models/checkpoint/memory-files.ts';
import { smallTokenizer } from './checkpoint-forms.ts';
import {
  type FormulaTensor,
  fill,
  formulaInput,
  type GoldenCase,
  type GoldenGroup,
  indices,
  real,
} from './golden.ts';
import { download, type Stages } from './golden-runs.ts';
import type { Host } from './recipe.ts';

const MODEL = 'llava-small';
type Json = Readonly<Record<string, unknown>>;
interface Configs {
  readonly text: Json;
  readonly vision: Json;
  readonly image_token_index: number;
}

/** Where each part of the authors' names stands in another layout; the first that fits counts. */
type Renaming = readonly (readonly [authors: string, other: string])[];

const tower: Renaming = [['model.vision_tower.vision_tower.', '']];
const older: Renaming = [
  ['model.vision_tower.vision_tower.', 'vision_tower.'],
  ['model.mm_projector.0.', 'multi_modal_projector.linear_1.'],
  ['model.mm_projector.2.', 'multi_modal_projector.linear_2.'],
  ['model.', 'language_model.model.'],
  ['lm_head.', 'language_model.lm_head.'],
];
const newer: Renaming = [
  ['model.vision_tower.vision_tower.', 'model.vision_tower.'],
  ['model.mm_projector.0.', 'model.multi_modal_projector.linear_1.'],
  ['model.mm_projector.2.', 'model.multi_modal_projector.linear_2.'],
  ['model.', 'model.language_model.'],
  ['lm_head.', 'lm_head.'],
];

export interface Form {
  readonly files: ModelFiles;
  readonly tower?: ModelFiles; // where it stands apart
}

/** The golden's one model as a checkpoint in every form. */
export function layoutForms(group: GoldenGroup): Readonly<Record<string, Form>> {
  const { config, tensors } = group.manifest.weights[MODEL] as GoldenGroup['manifest']['weights'][string];
  const { text, vision, image_token_index } = config as unknown as Configs;
  const hub = { model_type: 'llava', architectures: ['LlavaForConditionalGeneration'], image_token_index };
  const common = { ...smallTokenizer, 'preprocessor_config.json': preprocessor(vision) };
  const { rope_theta, rope_scaling, ...rest } = text;
  const newText = { ...rest, rope_parameters: { ...renamedType(rope_scaling as Json), rope_theta } };
  const named = Object.entries(tensors);
  const isTower = ([name]: readonly [string, FormulaTensor]): boolean =>
    name.startsWith(tower[0]?.[0] as string);
  return {
    "the authors' layout": {
      files: memoryFiles({
        ...smallTokenizer,
        'config.json': authorsConfig(text, vision),
        'model.safetensors': written(
          named.filter((one) => !isTower(one)),
          [],
        ),
      }),
      tower: memoryFiles({
        'config.json': { model_type: 'clip_vision_model', ...vision },
        'preprocessor_config.json': preprocessor(vision),
        'model.safetensors': written(named.filter(isTower), tower),
      }),
    },
    'the llava-hf layout, older names': {
      files: memoryFiles({
        ...common,
        'config.json': { ...hub, text_config: text, vision_config: vision },
        'model.safetensors': written(named, older),
      }),
    },
    'the llava-hf layout, newer names': {
      files: memoryFiles({
        ...common,
        'config.json': { ...hub, text_config: newText, vision_config: vision },
        'model.safetensors': written(named, newer),
      }),
    },
  };
}

function authorsConfig(text: Json, vision: Json): Json {
  return {
    ...text,
    model_type: 'llava',
    architectures: ['LlavaLlamaForCausalLM'],
    image_aspect_ratio: 'pad',
    mm_hidden_size: vision.hidden_size,
    mm_projector_type: 'mlp2x_gelu',
    mm_vision_select_layer: -2,
    mm_vision_tower: 'a tower beside the model',
  };
}

function preprocessor({ image_size }: Json): Json {
  return { size: image_size, crop_size: image_size };
}

/** transformers 4.37 says `type`, later ones `rope_type`. */
function renamedType({ type, ...rest }: Json): Json {
  return { ...rest, rope_type: type };
}

function written(named: readonly (readonly [string, FormulaTensor])[], renaming: Renaming): Uint8Array {
  return writeSafetensors(
    named.map(([name, formula]): TensorToWrite => {
      const [from, to] = renaming.find(([authors]) => name.startsWith(authors)) ?? ['', ''];
      const data = fill(`${MODEL}:${name}`, formula);
      return { name: `${to}${name.slice(from.length)}`, dtype: 'F32', shape: formula.shape, data };
    }),
  );
}

export interface LayoutRun {
  readonly stages: Stages; // visualTokens, projectedTokens, inputEmbeds, each from the golden one before it
  readonly decisions: Readonly<Record<string, Host<Uint32Array>>>; // of VisionZip, where the case has a budget
}

/** Visual tokens from the pixels; projected tokens and the prompt from the golden stage before. */
export async function runLayout(llava: Llava, group: GoldenGroup, one: GoldenCase): Promise<LayoutRun> {
  const { gpu } = llava;
  const pixels = formulaInput(one, 'pixelValues');
  const budget = one.params.budget as readonly [number, number] | null;
  const golden = (stage: string): Tensor => {
    const { values, shape } = real(group, one.id, stage);
    return tensor(gpu, values, shape);
  };
  const { decided, ...tensors } = tidy(gpu, () => {
    const encoding = encodeImage(llava, {
      data: pixels.values,
      shape: pixels.shape as PixelValues['shape'],
    });
    const zipped = budget && visionZip(encoding, { dominantCount: budget[0], contextualCount: budget[1] });
    return {
      visualTokens: zipped?.tokens ?? patchTokens(encoding), //                       [1, V, C]
      projectedTokens: project(llava, golden('visualTokens')), //                     [1, V, E]
      inputEmbeds: splice(llava, promptOf(group, one), golden('projectedTokens')), // [1, T, E]
      decided: zipped && {
        keptTokenIndices: zipped.keptTokenIndices, //     [1, K]
        targetTokenIndices: zipped.targetTokenIndices, // [1, M]
        assignment: zipped.assignment, //                 [1, S]
      },
    };
  });
  const stages = await download(gpu, tensors);
  const named = Object.entries(decided ?? {});
  const integers = named.map(([, x]) => x);
  const read = await readAll(gpu, integers);
  dispose(integers);
  const decisions = named.map(([name, { shape }], i) => [name, { shape, values: read[i] as Uint32Array }]);
  return { stages, decisions: Object.fromEntries(decisions) };
}

/** The ids on both sides of the picture. */
export function promptOf(group: GoldenGroup, { id }: GoldenCase): { before: number[]; after: number[] } {
  const ids = (name: string): number[] => Array.from(indices(group, id, name).values);
  return { before: ids('prompt.before'), after: ids('prompt.after') };
}
