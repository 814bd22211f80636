// Whether a PNG file is whole, by the rules of the format that SPEC M-1.3 names.
//
//     signature, then chunks: length u32, type, data, CRC-32 of type and data; IHDR first, IEND last

/** A zlib stream's data, and how many of the bytes given belong to it; null for one that is damaged or cut off. */
export type Inflate = (bytes: Uint8Array) => { readonly data: Uint8Array; readonly consumed: number } | null;

interface Chunk {
  readonly type: string;
  readonly data: Uint8Array;
}

const samples: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const depths: Readonly<Record<number, string>> = {
  0: '1 2 4 8 16',
  2: '8 16',
  3: '1 2 4 8',
  4: '8 16',
  6: '8 16',
};

/** The rule that is broken, or null. `crc32` as zlib has it. */
export function brokenPngRule(
  file: Uint8Array,
  crc32: (bytes: Uint8Array) => number,
  inflate: Inflate,
): string | null {
  const signature = [137, 80, 78, 71, 13, 10, 26, 10];
  if (signature.some((byte, i) => file[i] !== byte)) return 'the signature';
  const chunks: Chunk[] = [];
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  for (let at = 8; chunks.at(-1)?.type !== 'IEND'; ) {
    if (at + 12 > file.length) return 'all chunks up to IEND';
    const length = view.getUint32(at);
    if (at + 12 + length > file.length) return 'a chunk that is whole';
    const type = String.fromCharCode(...file.subarray(at + 4, at + 8));
    if (!/^[A-Za-z]{4}$/.test(type)) return 'letters as a type';
    if (crc32(file.subarray(at + 4, at + 8 + length)) !== view.getUint32(at + 8 + length)) return 'the CRC';
    chunks.push({ type, data: file.subarray(at + 8, at + 8 + length) });
    at += 12 + length;
  }
  return brokenOrder(chunks.map(({ type }) => type)) ?? brokenContent(chunks, inflate);
}

function brokenOrder(types: readonly string[]): string | null {
  const order = types.map((type) => `${type} `).join('');
  const critical = order.replace(/[a-z]\w{3} /g, '');
  if (!order.startsWith('IHDR ')) return 'IHDR first';
  if (!/(IDAT )+/.test(order) || /IDAT (?:(?!IDAT )\w{4} )+IDAT /.test(order)) return 'IDAT in a row';
  return /^IHDR (PLTE )?(IDAT )+IEND $/.test(critical) ? null : 'the critical chunks, in order, once';
}

function brokenContent(chunks: readonly Chunk[], inflate: Inflate): string | null {
  const header = (chunks[0] as Chunk).data;
  if (header.length !== 13) return '13 bytes of IHDR';
  const view = new DataView(header.buffer, header.byteOffset, 13);
  const [width, height, depth, colour] = [view.getUint32(0), view.getUint32(4), header[8], header[9]];
  if (width < 1 || height < 1 || width * height > 50_000_000) return 'the sides';
  if (!depths[colour ?? 7]?.split(' ').includes(`${depth}`)) return 'colour type and depth';
  if (header[10] !== 0 || header[11] !== 0 || (header[12] ?? 2) > 1) return 'compression, filter, interlace';
  const palette = chunks.find(({ type }) => type === 'PLTE')?.data.length ?? 0;
  if (colour === 3 && (palette < 3 || palette > 768 || palette % 3 !== 0)) return 'a palette';

  const parts = chunks.filter(({ type }) => type === 'IDAT').map(({ data }) => [...data]);
  const compressed = Uint8Array.from(parts.flat());
  const inflated = inflate(compressed);
  if (inflated === null) return 'a whole zlib stream';
  if (inflated.consumed !== compressed.length) return 'nothing behind the zlib stream';
  if (inflated.data.length < height) return 'a byte for each line';
  const lines = linesOf(width, height, (samples[colour ?? 0] as number) * (depth ?? 0), header[12] === 1);
  let at = 0;
  for (const bytes of lines) {
    if ((inflated.data[at] ?? 9) > 4) return 'as many bytes as the header says, and filters of 0 to 4';
    at += bytes;
  }
  return at === inflated.data.length ? null : 'as many bytes as the header says';
}

// Adam7: which pass a pixel belongs to, by its row and column modulo 8.
const passes = [
  '16462646',
  '77777777',
  '56565656',
  '77777777',
  '36463646',
  '77777777',
  '56565656',
  '77777777',
];

/** The bytes of each line, its filter byte included, in the order in which they are stored. */
function linesOf(width: number, height: number, bits: number, interlaced: boolean): number[] {
  const pattern = interlaced ? passes : new Array<string>(8).fill('1'.repeat(8));
  return [...'1234567'].flatMap((pass) => {
    const pixels = pattern.map((row) => {
      const count = (columns: number): number => row.slice(0, columns).split(pass).length - 1;
      return Math.floor(width / 8) * count(8) + count(width % 8);
    });
    const counts = Array.from({ length: height }, (_, y) => pixels[y % 8] as number);
    return counts.filter((count) => count > 0).map((count) => 1 + Math.ceil((count * bits) / 8));
  });
}
