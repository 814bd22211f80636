// The named intermediates of one answer, as a safetensors file. The names are those of the goldens.

import { type Llava, type TensorToWrite, writeSafetensors } from '../models/index.ts';
import { type AnyTensor, type Gpu, type IndexTensor, readAll, type Tensor } from '../tensor/index.ts';
import { writeWhole } from './output-files.ts';
import type { EncodedPicture, StartedAnswer, VisualTokens } from './stages.ts';

/** Reads tensors back and names them for a file: f32 as F32, indices as I32. */
export async function namedTensors(
  gpu: Gpu,
  tensors: Readonly<Record<string, Tensor | IndexTensor>>,
): Promise<TensorToWrite[]> {
  const names = Object.keys(tensors);
  const list: AnyTensor[] = Object.values(tensors);
  const values = await readAll(gpu, list);
  return names.map((name, i) => {
    const data = values[i] as Float32Array | Uint32Array;
    const { shape } = list[i] as AnyTensor;
    return data instanceof Float32Array
      ? { name, dtype: 'F32', shape, data }
      : { name, dtype: 'I32', shape, data: Int32Array.from(data) };
  });
}

/** Throws RangeError, naming the tensor and the place, for one that is not finite. SPEC VZ-2.7. */
export function checkFiniteTensors(who: string, tensors: readonly TensorToWrite[]): void {
  for (const { name, shape, data } of tensors) {
    const place = data.findIndex((value) => !Number.isFinite(value));
    if (place < 0) continue;
    throw new RangeError(`${who}: expected finite ${name} [${shape}], got ${data[place]} at place ${place}`);
  }
}

export async function writeTrace(
  path: string,
  llava: Llava,
  picture: EncodedPicture,
  visual: VisualTokens,
  started: StartedAnswer,
): Promise<void> {
  const { zip } = visual;
  const tensors = await namedTensors(llava.gpu, {
    ...picture.encoding,
    ...(zip && { keptTokenIndices: zip.keptTokenIndices, targetTokenIndices: zip.targetTokenIndices }),
    tokens: visual.tokens,
    projectedTokens: visual.projectedTokens,
    inputEmbeds: started.inputEmbeds,
    logits: started.prefill.step.logits,
  });
  const { shape, data } = picture.pixels;
  await writeWhole(path, writeSafetensors([{ name: 'pixelValues', dtype: 'F32', shape, data }, ...tensors]));
}
