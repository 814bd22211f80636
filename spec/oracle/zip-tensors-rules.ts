// Whether a safetensors file is an input of VisionZip. SPEC VZ-6.1 to VZ-6.3.

import { judgeSafetensors, type TensorPlace } from './safetensors-rules.ts';

/** The rule that is broken, or null. */
export function brokenZipTensorsRule(file: Uint8Array): string | null {
  const { broken, stricter, tensors } = judgeSafetensors(file);
  if (broken !== null || stricter !== null) return broken ?? stricter;
  const hidden = tensors.get('hiddenStates');
  if (hidden === undefined) return 'hiddenStates';
  if (tensors.has('clsAttention') === tensors.has('attentionProbs')) return 'one attention';
  if (tensors.has('keys') === tensors.has('meanKeys')) return 'one kind of keys';
  const attention = tensors.get('clsAttention') ?? (tensors.get('attentionProbs') as TensorPlace);
  const keys = tensors.get('keys') ?? (tensors.get('meanKeys') as TensorPlace);

  const used = [hidden, attention, keys];
  if (used.some(({ shape }) => shape.includes(0))) return 'no axis empty';
  if (used.some(({ dtype }) => !['F32', 'F16', 'BF16'].includes(dtype))) return 'a dtype of reals';
  const [B, N, C] = hidden.shape;
  const H = attention.shape[1];
  const D = keys.shape.at(-1);
  const isShape = (place: TensorPlace, ...shape: (number | undefined)[]): boolean =>
    `${place.shape}` === `${shape}`;
  if (hidden.shape.length !== 3 || C === undefined) return 'hiddenStates [B, N, C]';
  const areRows = tensors.has('clsAttention');
  if (!(areRows ? isShape(attention, B, H, N) : isShape(attention, B, H, N, N))) return 'attention';
  if (!(tensors.has('keys') ? isShape(keys, B, H, N, D) : isShape(keys, B, N, D))) return 'keys';
  return used.every((place) => areFinite(file, place)) ? null : 'finite values';
}

/** No exponent of ones only. */
function areFinite(file: Uint8Array, { dtype, begin, end }: TensorPlace): boolean {
  const width = dtype === 'F32' ? 4 : 2;
  const ones = dtype === 'F16' ? 0x7c00 : 0x7f80;
  for (let at = begin; at < end; at += width) {
    const upper = (file[at + width - 2] as number) | ((file[at + width - 1] as number) << 8);
    if ((upper & ones) === ones) return false;
  }
  return true;
}
