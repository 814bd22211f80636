// Changes of a safetensors file: of its header as JSON, of the places of its tensors, of its length, of any byte.

import type { Draw } from './draw.ts';
import { joinBytes, mutateBytes } from './mutate-bytes.ts';
import { mutateJson, mutateTree, spelled, type Tree, treeOf } from './mutate-json.ts';

export interface SafetensorsParts {
  readonly header: Readonly<Record<string, unknown>>;
  readonly tree: Tree; // of the header
  readonly data: Uint8Array;
}

export function safetensorsParts(file: Uint8Array): SafetensorsParts {
  const length = new DataView(file.buffer, file.byteOffset).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)));
  return { header, tree: treeOf(header), data: file.slice(8 + length) };
}

export function safetensorsFile(header: Uint8Array, data: Uint8Array, length?: bigint): Uint8Array {
  const prefix = new Uint8Array(8);
  new DataView(prefix.buffer).setBigUint64(0, BigInt.asUintN(64, length ?? BigInt(header.length)), true);
  return joinBytes(prefix, header, data);
}

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: number[];
}

const dtypes = [
  'F64',
  'F32',
  'F16',
  'BF16',
  'I32',
  'U8',
  'BOOL',
  'F4',
  'F6_E2M3',
  'F8_E4M3',
  'C64',
  'F128',
  '',
];

/** Changes that keep the form of an entry and touch its meaning. Some of them leave the file valid. */
function changePlaces(draw: Draw, header: Record<string, Entry>): void {
  const names = Object.keys(header).filter((name) => name !== '__metadata__');
  const [name, other] = [draw.pick(names), draw.pick(names)];
  const [a, b] = [header[name] as Entry, header[other] as Entry];
  const step = draw.pick([-8, -4, -1, 1, 4, 8]);
  switch (draw.below(10)) {
    case 0:
      a.data_offsets = a.data_offsets.map((offset) => Math.max(0, offset + step));
      break;
    case 1:
      a.data_offsets[1] = (a.data_offsets[1] ?? 0) + step;
      break;
    case 2:
      [a.data_offsets, b.data_offsets] = [b.data_offsets, a.data_offsets];
      break;
    case 3:
      a.data_offsets.reverse();
      break;
    case 4:
      a.dtype = draw.pick(dtypes);
      break;
    case 5:
      a.shape = draw.pick([a.shape.toReversed(), [...a.shape, 1], a.shape.slice(1), [0, ...a.shape]]);
      break;
    case 6:
      a.shape = [...a.shape, ...new Array<number>(draw.pick([13, 14, 15])).fill(1)];
      break;
    case 7:
      header[draw.pick(['empty', '', '__proto__x', 'x'.repeat(draw.pick([1024, 1025]))])] = {
        dtype: draw.pick(dtypes),
        shape: draw.pick([[0], [2, 0], [0, 2 ** 40], [2 ** 31, 2 ** 31, 0], [0, 2 ** 53]]),
        data_offsets: draw.pick([a.data_offsets, [a.data_offsets[0] ?? 0, a.data_offsets[0] ?? 0], [0, 0]]),
      };
      break;
    case 8:
      header[`${name}2`] = { ...a };
      break;
    default:
      delete header[name];
  }
}

const padding = [' ', '\n', '\t\r', '\u0000', '\u00a0', '\ufeff', 'x', '{}'];

/** One change of a valid file; `parts` is what it is made of. */
export function mutateSafetensors(draw: Draw, parts: SafetensorsParts): Uint8Array {
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
  const header = encode(spelled(parts.tree));
  const { data } = parts;
  const whole = BigInt(header.length);
  switch (draw.below(10)) {
    case 0: {
      const sizes = [0n, 1n, 7n, whole - 1n, whole + 1n, whole + 8n, whole + BigInt(data.length)];
      const large = [1n << 31n, 1n << 32n, (1n << 32n) + whole, 1n << 53n, 1n << 63n, -1n, 100_000_001n];
      return safetensorsFile(header, data, draw.pick([...sizes, whole + BigInt(data.length) + 1n, ...large]));
    }
    case 1: {
      const length = draw.pick([data.length - 1, data.length + 1, data.length - 4, data.length + 8, 0]);
      const longer = joinBytes(data, new Uint8Array(8));
      return safetensorsFile(header, longer.slice(0, Math.max(0, length)));
    }
    case 2: {
      const pad = encode(draw.pick(padding).repeat(1 + draw.below(9)));
      return safetensorsFile(draw.oneIn(2) ? joinBytes(header, pad) : joinBytes(pad, header), data);
    }
    case 3:
      return mutateBytes(draw, safetensorsFile(header, data));
    case 4:
      return safetensorsFile(header, mutateBytes(draw, data));
    case 5:
    case 6:
    case 7: {
      const changed = structuredClone(parts.header) as Record<string, Entry>;
      do changePlaces(draw, changed);
      while (draw.oneIn(4) && Object.keys(changed).some((name) => name !== '__metadata__'));
      return safetensorsFile(encode(JSON.stringify(changed)), data);
    }
    case 8:
      return safetensorsFile(encode(spelled(mutateTree(draw, parts.tree))), data);
    default:
      return safetensorsFile(mutateJson(draw, parts.tree), data);
  }
}
