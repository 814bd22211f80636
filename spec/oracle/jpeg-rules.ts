// Whether a JPEG file is whole, by ITU-T T.81 as far as SPEC M-1.3 goes: its markers, what a scan needs, and for sequential
// files (SOF0, SOF1) whether the entropy-coded data bring all blocks.
//
//     a block: a DC code, then AC codes (run, size) up to 64 places; a code of size s is followed by s bits

interface Component {
  readonly id: number;
  readonly h: number;
  readonly v: number;
  readonly table: number; // of quantisation
}

interface Frame {
  readonly width: number;
  readonly height: number;
  readonly sequential: boolean;
  readonly components: readonly Component[];
}

/** Symbols by their code, written as a text of 0 and 1. */
type Codes = ReadonlyMap<string, number>;

interface State {
  frame: Frame | null;
  scans: number;
  restartInterval: number;
  readonly quantisation: Set<number>;
  readonly codes: Map<number, Codes>; // by class · 16 + place
}

/** A code that no table has: decoders go on as they like. */
class UnknownCode extends Error {}
class EndsEarly extends Error {}

/** The rule that is broken, or undefined where only the decoder can tell. */
export function brokenJpegRule(file: Uint8Array): string | undefined {
  if (file[0] !== 0xff || file[1] !== 0xd8) return 'FFD8 first';
  const state: State = {
    frame: null,
    scans: 0,
    restartInterval: 0,
    quantisation: new Set(),
    codes: new Map(),
  };
  for (let at = 2; ; ) {
    if (file[at] !== 0xff) return 'segments in a row up to FFD9';
    while (file[at] === 0xff) at++;
    const code = file[at++];
    if (code === undefined) return 'FFD9';
    if (code === 0xd9) break;
    const length = (file[at] as number) * 256 + (file[at + 1] as number);
    if (!(length >= 2 && at + length <= file.length)) return 'a segment that is whole';
    const data = file.subarray(at + 2, at + length);
    at += length;
    if (code !== 0xda) {
      const broken = readTable(code, data, state);
      if (broken !== undefined) return broken;
      continue;
    }
    state.scans++;
    const end = endOfScan(file, at);
    const broken = brokenScan(data, file.subarray(at, end), state);
    if (broken !== undefined) return broken;
    at = end;
  }
  return state.scans > 0 ? undefined : 'a scan';
}

/** The next marker that is no restart. */
function endOfScan(file: Uint8Array, from: number): number {
  for (let at = from; at < file.length; at++) {
    const next = file[at + 1];
    if (file[at] !== 0xff || next === 0 || next === 0xff) continue;
    if (next === undefined || next < 0xd0 || next > 0xd7) return at;
  }
  return file.length;
}

function readTable(code: number, data: Uint8Array, state: State): string | undefined {
  if (code === 0xdb) {
    for (let at = 0; at < data.length; at += (data[at] as number) >= 16 ? 129 : 65)
      state.quantisation.add((data[at] as number) % 16);
  } else if (code === 0xc4) {
    for (let at = 0; at < data.length; ) {
      const { codes, length } = codesOf(data.subarray(at));
      state.codes.set(data[at] as number, codes);
      at += length;
    }
  } else if (code === 0xdd) {
    state.restartInterval = (data[0] ?? 0) * 256 + (data[1] ?? 0);
  } else if (code >= 0xc0 && code <= 0xcf && code !== 0xc8 && code !== 0xcc) {
    return readFrame(code, data, state);
  }
  return undefined;
}

function codesOf(data: Uint8Array): { readonly codes: Codes; readonly length: number } {
  const codes = new Map<string, number>();
  let code = 0;
  let at = 17;
  for (let size = 1; size <= 16; size++) {
    for (let i = 0; i < (data[size] ?? 0); i++) {
      codes.set(code.toString(2).padStart(size, '0'), data[at++] ?? 0);
      code++;
    }
    code *= 2;
  }
  return { codes, length: at };
}

function readFrame(code: number, data: Uint8Array, state: State): string | undefined {
  if (state.frame !== null) return 'one frame';
  if (code > 0xc2) return 'baseline or progressive, with Huffman codes';
  if (data[0] !== 8) return '8 bits';
  const [height, width] = [1, 3].map((at) => (data[at] ?? 0) * 256 + (data[at + 1] ?? 0)) as [number, number];
  if (width < 1 || height < 1 || width * height > 50_000_000) return 'the sides';
  const count = data[5] ?? 0;
  if ((count !== 1 && count !== 3) || data.length !== 6 + 3 * count) return 'one component or three';
  const components = Array.from({ length: count }, (_, i) => {
    const [id, sampling, table] = data.subarray(6 + 3 * i) as unknown as [number, number, number];
    return { id, h: sampling >> 4, v: sampling % 16, table };
  });
  if (components.some(({ h, v }) => h < 1 || h > 4 || v < 1 || v > 4)) return 'sampling factors of 1 to 4';
  state.frame = { width, height, sequential: code < 0xc2, components };
  return undefined;
}

function brokenScan(header: Uint8Array, entropy: Uint8Array, state: State): string | undefined {
  const { frame, quantisation } = state;
  if (frame === null) return 'a frame before a scan';
  const count = header[0] ?? 0;
  if (header.length !== 4 + 2 * count || count < 1) return 'a scan header that is whole';
  const chosen = Array.from({ length: count }, (_, i) => ({
    component: frame.components.find(({ id }) => id === header[1 + 2 * i]),
    tables: header[2 + 2 * i] as number,
  }));
  if (chosen.some(({ component }) => component === undefined)) return 'components of the frame';
  if (chosen.some(({ component }) => !quantisation.has((component as Component).table)))
    return 'a quantisation table for each component';
  if (!frame.sequential) return undefined;
  try {
    decodeScan(chosen as { component: Component; tables: number }[], entropy, frame, state);
  } catch (error) {
    if (error instanceof EndsEarly) return 'entropy-coded data for all blocks';
    if (!(error instanceof UnknownCode)) throw error;
  }
  return undefined;
}

function decodeScan(
  chosen: readonly { readonly component: Component; readonly tables: number }[],
  entropy: Uint8Array,
  { width, height, components }: Frame,
  { restartInterval, codes }: State,
): void {
  const [hMost, vMost] = [
    Math.max(...components.map(({ h }) => h)),
    Math.max(...components.map(({ v }) => v)),
  ];
  const alone = chosen.length === 1 ? chosen[0]?.component : undefined;
  // A scan of one component goes block by block, one of several by the squares that all of them fill.
  const across = alone ? Math.ceil((width * alone.h) / (8 * hMost)) : Math.ceil(width / (8 * hMost));
  const down = alone ? Math.ceil((height * alone.v) / (8 * vMost)) : Math.ceil(height / (8 * vMost));
  const blocks = chosen.flatMap(({ component: { h, v }, tables }) =>
    new Array<number>(alone ? 1 : h * v).fill(tables),
  );
  const parts = intervalsOf(entropy);
  let next = bitsOf(parts[0] ?? []);
  for (let unit = 0; unit < across * down; unit++) {
    if (restartInterval > 0 && unit > 0 && unit % restartInterval === 0)
      next = bitsOf(parts[unit / restartInterval] ?? []);
    for (const tables of blocks) skipBlock(next, codes.get(tables >> 4), codes.get(16 + (tables % 16)));
  }
}

/** The bytes between restarts, FF00 being a byte FF. */
function intervalsOf(entropy: Uint8Array): number[][] {
  const parts: number[][] = [[]];
  for (let at = 0; at < entropy.length; at++) {
    const byte = entropy[at] as number;
    if (byte !== 0xff) parts.at(-1)?.push(byte);
    else if (entropy[at + 1] === 0) parts.at(-1)?.push(entropy[at++] as number);
    else if (entropy[at + 1] !== 0xff) {
      parts.push([]);
      at++;
    }
  }
  return parts;
}

function bitsOf(bytes: readonly number[]): () => number {
  let at = 0;
  return () => {
    const byte = bytes[at >> 3];
    if (byte === undefined) throw new EndsEarly();
    return (byte >> (7 - (at++ % 8))) % 2;
  };
}

function skipBlock(next: () => number, dc: Codes | undefined, ac: Codes | undefined): void {
  const symbol = (codes: Codes | undefined): number => {
    for (let code = `${next()}`; codes !== undefined && code.length <= 16; code += `${next()}`) {
      const found = codes.get(code);
      if (found !== undefined) return found;
    }
    throw new UnknownCode();
  };
  const skip = (bits: number): void => {
    for (let i = 0; i < bits; i++) next();
  };
  skip(symbol(dc) % 16);
  for (let place = 1; place < 64; place++) {
    const both = symbol(ac);
    const [run, size] = [both >> 4, both % 16];
    if (size === 0 && run < 15) return;
    place += run;
    skip(size);
  }
}
