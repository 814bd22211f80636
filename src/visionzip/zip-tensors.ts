// The input of VisionZip from a safetensors file: a porter's own tensors, or a trace. SPEC VZ-6.
//
//   B images   N tokens: CLS, then the patches   C channels   H heads   D channels per head
//
//     hiddenStates [B, N, C]
//     clsAttention [B, H, N]     or   attentionProbs [B, H, N, N], of which the row of CLS is taken
//     keys [B, H, N, D]          or   meanKeys [B, N, D]
//
// Whatever is wrong with the file is said before there is a device. Other tensors may stand in it.

import type { ModelFile } from '../models/checkpoint/model-files.ts';
import { readSafetensorsHeader, type TensorEntry } from '../models/checkpoint/safetensors.ts';
import { readFloats } from '../models/checkpoint/tensor-floats.ts';
import { FileError, type Gpu, type Tensor, tensor } from '../tensor/index.ts';
import type { VisionZipInput } from './vision-zip.ts';

export interface HostTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array; // row-major
}

/** VisionZipInput on the host. */
export type ZipTensors = {
  readonly hiddenStates: HostTensor; // [B, N, C]
  readonly clsAttention: HostTensor; // [B, H, N]
} & (
  | { readonly keys: HostTensor; readonly meanKeys?: never } // [B, H, N, D]
  | { readonly meanKeys: HostTensor; readonly keys?: never } // [B, N, D]
);

type Entries = ReadonlyMap<string, TensorEntry>;

/**
 * Reads them, F32, F16 or BF16. Throws FileError, naming the file and the tensor, if one is missing, both of a pair are
 * there, shapes do not belong together, an axis is empty, or a value is NaN or infinite.
 */
export async function readZipTensors(file: ModelFile): Promise<ZipTensors> {
  const { entries } = await readSafetensorsHeader(file);
  const attentionName = oneOf(file, entries, 'clsAttention', 'attentionProbs');
  const keysName = oneOf(file, entries, 'keys', 'meanKeys');

  const { B, N } = axes(file, entries, 'hiddenStates', ['B', 'N', 'C'], {});
  const attentionAxes = attentionName === 'clsAttention' ? ['B', 'H', 'N'] : ['B', 'H', 'N', 'N'];
  const { H } = axes(file, entries, attentionName, attentionAxes, { B, N });
  axes(file, entries, keysName, keysName === 'keys' ? ['B', 'H', 'N', 'D'] : ['B', 'N', 'D'], { B, H, N });

  const hiddenStates = await finite(file, entries, 'hiddenStates');
  const attention = await finite(file, entries, attentionName);
  const clsAttention = attentionName === 'clsAttention' ? attention : clsRows(attention); // [B, H, N]
  const keys = await finite(file, entries, keysName);
  return keysName === 'keys'
    ? { hiddenStates, clsAttention, keys }
    : { hiddenStates, clsAttention, meanKeys: keys };
}

/** Puts them on a device, for visionZip. The caller owns the tensors. */
export function uploadZipTensors(gpu: Gpu, host: ZipTensors): VisionZipInput {
  const upload = ({ data, shape }: HostTensor): Tensor => tensor(gpu, data, shape);
  const [hiddenStates, clsAttention] = [upload(host.hiddenStates), upload(host.clsAttention)];
  return host.keys === undefined
    ? { hiddenStates, clsAttention, meanKeys: upload(host.meanKeys) }
    : { hiddenStates, clsAttention, keys: upload(host.keys) };
}

/** VZ-6.2. The name of the one of two that is in the file. */
function oneOf<const A extends string, const B extends string>(
  file: ModelFile,
  entries: Entries,
  a: A,
  b: B,
): A | B {
  const found = [a, b].filter((name) => entries.has(name));
  if (found.length === 1) return found[0] as A | B;
  throw new FileError(
    `${file.name}: expected either ${a} or ${b}, got ${found.length === 0 ? 'neither' : 'both'}`,
  );
}

/** VZ-6.2. The lengths of the axes by name, as far as they are not `known` already. */
function axes<const Name extends string>(
  file: ModelFile,
  entries: Entries,
  tensorName: string,
  names: readonly Name[],
  known: Readonly<Record<string, number | undefined>>,
): Record<Name, number> {
  const entry = entries.get(tensorName);
  const pattern = names
    .map((name) => (known[name] === undefined ? name : `${name}=${known[name]}`))
    .join(', ');
  if (entry === undefined) {
    throw new FileError(
      `${file.name}: expected tensor ${tensorName} [${pattern}], got no tensor of that name`,
    );
  }
  const { shape } = entry;
  const lengths: Record<string, number | undefined> = { ...known };
  names.forEach((name, axis) => {
    lengths[name] ??= shape[axis];
  });
  const fits = shape.length === names.length && names.every((name, axis) => lengths[name] === shape[axis]);
  if (!fits || shape.includes(0)) {
    throw new FileError(
      `${file.name} tensor ${tensorName}: expected [${pattern}], no axis empty, got [${shape.join(', ')}]`,
    );
  }
  return lengths as Record<Name, number>;
}

/** VZ-6.3. */
async function finite(file: ModelFile, entries: Entries, name: string): Promise<HostTensor> {
  const entry = entries.get(name) as TensorEntry;
  const data = await readFloats(file, entry);
  const wrong = data.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) {
    throw new FileError(
      `${file.name} tensor ${name}: expected finite values, got ${data[wrong]} at [${placeOf(wrong, entry.shape)}]`,
    );
  }
  return { shape: entry.shape, data };
}

function placeOf(index: number, shape: readonly number[]): string {
  const place: number[] = [];
  let rest = index;
  for (const length of shape.toReversed()) {
    place.unshift(rest % length);
    rest = Math.floor(rest / length);
  }
  return place.join(', ');
}

/** What CLS pays to each token: attentionProbs [B, H, N, N] → clsAttention [B, H, N]. */
function clsRows({ shape, data }: HostTensor): HostTensor {
  const [B, H, N] = shape as [number, number, number, number];
  const rows = new Float32Array(B * H * N);
  for (let head = 0; head < B * H; head++) {
    rows.set(data.subarray(head * N * N, head * N * N + N), head * N);
  }
  return { shape: [B, H, N], data: rows };
}
