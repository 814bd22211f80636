import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Dtype, readSafetensorsHeader } from '../../../src/models/checkpoint/safetensors.ts';
import { halfChunks, readFloats } from '../../../src/models/checkpoint/tensor-floats.ts';
import { writeSafetensors } from '../../../src/models/checkpoint/write-safetensors.ts';
import { FileError } from '../../../src/tensor/errors.ts';
import { memoryFile } from './memory-files.ts';

/** A one-tensor file whose data begin `padding` bytes late, aligned or not. */
function tensorFile(dtype: string, count: number, data: Uint8Array, padding: number): Uint8Array {
  const json = `{"t":{"dtype":"${dtype}","shape":[${count}],"data_offsets":[0,${data.length}]}}`;
  const header = new TextEncoder().encode(json.padEnd(Math.ceil(json.length / 8) * 8 + padding, ' '));
  const bytes = new Uint8Array(8 + header.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(header, 8);
  bytes.set(data, 8 + header.length);
  return bytes;
}

async function floats(dtype: string, count: number, data: Uint8Array, padding = 0): Promise<Float32Array> {
  const file = memoryFile('f', tensorFile(dtype, count, data, padding));
  const entry = (await readSafetensorsHeader(file)).entries.get('t');
  if (entry === undefined) throw new Error('no tensor t');
  return readFloats(file, entry);
}

const allHalves = new Uint8Array(Uint16Array.from({ length: 65_536 }, (_, bits) => bits).buffer);

/** (-1)^s · 2^(e-15) · (1 + m/1024); for e = 0: (-1)^s · 2^-14 · m/1024. */
function half(bits: number): number {
  const sign = bits >> 15 === 0 ? 1 : -1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? 2 ** -14 * fraction : 2 ** (exponent - 15) * (1 + fraction));
}

describe('widening', () => {
  it.each([0, 1, 3])('M-2.8 every one of the 65,536 halves is exact, %i bytes off alignment', async (off) => {
    const values = await floats('F16', 65_536, allHalves, off);
    const expected = Array.from({ length: 65_536 }, (_, bits) => half(bits));
    expect(expected.findIndex((value, bits) => !Object.is(values[bits], value))).toBe(-1);
  });

  it.each([0, 1])(
    'M-2.8 every bfloat16 is the upper half of its f32, %i bytes off alignment',
    async (off) => {
      const values = await floats('BF16', 65_536, allHalves, off);
      const bits = new Uint32Array(values.buffer);
      // A NaN may change its payload on the way through a Float32Array, nothing else may.
      const wrong = bits.findIndex((word, i) => word !== i * 65_536 && !Number.isNaN(values[i]));
      expect(wrong).toBe(-1);
      expect(values[0x3f80]).toBe(1);
      expect(values[0xc049]).toBe(-3.140625);
    },
  );

  it('M-2.8 f32 is returned bit for bit at any offset', async () => {
    const bytes = fc.uint8Array({ maxLength: 64 }).map((data) => data.slice(0, data.length & ~3));
    await fc.assert(
      fc.asyncProperty(bytes, fc.nat(7), async (data, off) => {
        const values = await floats('F32', data.length / 4, data, off);
        expect(new Uint8Array(values.buffer)).toEqual(data);
      }),
      { numRuns: 200 },
    );
  });

  it('M-2.8 a tensor larger than one read is whole', async () => {
    const count = (1 << 22) + 3;
    // 31,743 does not divide a chunk, so that no chunk looks like another.
    const data = new Uint16Array(count).map((_, i) => i % 31_743);
    const values = await floats('F16', count, new Uint8Array(data.buffer), 1);
    expect(values.length).toBe(count);
    for (const i of [0, 1, (1 << 22) - 1, 1 << 22, count - 1]) expect(values[i]).toBe(half(i % 31_743));
  });

  it('M-2.8 other dtypes are refused by name', async () => {
    await expect(floats('F16', 1, new Uint8Array(2))).resolves.toHaveLength(1);
    await expect(floats('I32', 1, new Uint8Array(4))).rejects.toThrow(FileError);
    await expect(floats('F64', 1, new Uint8Array(8))).rejects.toThrow(/tensor "t": expected F32.*got F64/);
  });
});

describe('as halves', () => {
  const halves = async (dtype: Dtype, bytes: Uint8Array): Promise<number[]> => {
    const size = dtype === 'F32' || dtype === 'I32' ? 4 : 2;
    const entry = { name: 't', dtype, shape: [bytes.length / size], begin: 0, end: bytes.length };
    const bits: number[] = [];
    for await (const chunk of halfChunks(memoryFile('f', bytes), entry)) bits.push(...chunk);
    return bits;
  };
  const bytesOf = (values: Float32Array | Uint16Array): Uint8Array => new Uint8Array(values.buffer);

  it('M-2.30 halves are handed on as they are', async () => {
    const bits = Uint16Array.of(0, 0x8000, 1, 0x3c00, 0x7bff, 0x7c00, 0xfe01);
    expect(await halves('F16', bytesOf(bits))).toEqual([...bits]);
  });

  it('M-2.30 f32 is rounded to the nearest half, ties to even', async () => {
    const ulp = 2 ** -10;
    const values = Float32Array.of(
      1,
      1 + ulp / 2,
      1 + 1.5 * ulp,
      1 + ulp / 2 + 2 ** -20,
      -2,
      65_504,
      2 ** -24,
      0,
      65_519,
    );
    const expected = [0x3c00, 0x3c00, 0x3c02, 0x3c01, 0xc000, 0x7bff, 1, 0, 0x7bff];
    expect(await halves('F32', bytesOf(values))).toEqual(expected);
  });

  it('M-2.30 bf16 is rounded through its exact f32', async () => {
    expect(await halves('BF16', bytesOf(Uint16Array.of(0x3f80, 0xc040, 0x0001)))).toEqual([
      0x3c00, 0xc200, 0,
    ]);
  });

  it('M-2.30 a value that a half cannot hold is refused, naming it', async () => {
    await expect(halves('F32', bytesOf(Float32Array.of(1, 65_519)))).resolves.toHaveLength(2);
    for (const value of [65_520, -65_520, 1e30]) {
      await expect(halves('F32', bytesOf(Float32Array.of(1, value)))).rejects.toThrow(FileError);
      await expect(halves('F32', bytesOf(Float32Array.of(1, value)))).rejects.toThrow(
        /tensor "t".*at most 65504, got/,
      );
    }
    await expect(halves('BF16', bytesOf(Uint16Array.of(0x7f00)))).rejects.toThrow(FileError);
    await expect(halves('I32', new Uint8Array(4))).rejects.toThrow(/expected F32, F16 or BF16/);
  });
});

describe('writing', () => {
  const name = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((value) => value !== '__metadata__');
  const tensor = fc.record({ name, floats: fc.boolean(), shape: fc.array(fc.nat(4), { maxLength: 4 }) });
  const tensors = fc.uniqueArray(tensor, { maxLength: 6, selector: ({ name }) => name });

  it('M-2.9 the reader takes back whatever is written, and the data are aligned', async () => {
    const metadata = fc.dictionary(name, fc.string({ unit: 'grapheme' }), { maxKeys: 3 });
    await fc.assert(
      fc.asyncProperty(tensors, metadata, async (plans, pairs) => {
        const written = plans.map(({ name, floats, shape }) => {
          const length = shape.reduce((product, n) => product * n, 1);
          const values = Array.from({ length }, (_, i) => i - 3);
          const data = floats ? Float32Array.from(values) : Int32Array.from(values);
          return { name, dtype: floats ? ('F32' as const) : ('I32' as const), shape, data };
        });
        const bytes = writeSafetensors(written, new Map(Object.entries(pairs)));
        const header = await readSafetensorsHeader(memoryFile('f', bytes));
        expect(Object.fromEntries(header.metadata)).toEqual(pairs);
        expect(header.entries.size).toBe(written.length);
        for (const { name, dtype, shape, data } of written) {
          const entry = header.entries.get(name);
          expect(entry).toMatchObject({ dtype, shape });
          expect((entry?.begin ?? 1) % 4).toBe(0);
          expect(bytes.slice(entry?.begin, entry?.end)).toEqual(new Uint8Array(data.buffer));
        }
      }),
      { numRuns: 200 },
    );
  });

  it('M-2.9 the bytes are those of the reference writer', () => {
    const bytes = writeSafetensors([
      { name: 'b', dtype: 'I32', shape: [2], data: Int32Array.of(1, -1) },
      { name: 'c', dtype: 'F32', shape: [], data: Float32Array.of(0.5) },
      { name: 'a', dtype: 'F32', shape: [1, 1], data: Float32Array.of(1) },
    ]);
    const header =
      '{"a":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},' +
      '"c":{"dtype":"F32","shape":[],"data_offsets":[4,8]},' +
      '"b":{"dtype":"I32","shape":[2],"data_offsets":[8,16]}}';
    const headerLength = Math.ceil(header.length / 8) * 8;
    expect(Buffer.from(bytes).toString('latin1', 8, 8 + headerLength)).toBe(header.padEnd(headerLength, ' '));
    expect(bytes.length).toBe(8 + headerLength + 16);
    expect([...bytes.slice(-16)]).toEqual([0, 0, 128, 63, 0, 0, 0, 63, 1, 0, 0, 0, 255, 255, 255, 255]);
  });

  it('M-2.9 what could not be read back is not written', () => {
    const good = { name: 'a', dtype: 'F32', shape: [2], data: new Float32Array(2) } as const;
    expect(writeSafetensors([good]).length).toBeGreaterThan(8);
    expect(() => writeSafetensors([good, good])).toThrow(/new tensor name/);
    expect(() => writeSafetensors([{ ...good, name: '__metadata__' }])).toThrow(RangeError);
    expect(() => writeSafetensors([{ ...good, name: '\ud800' }])).toThrow(RangeError);
    expect(() => writeSafetensors([{ ...good, shape: [3] }])).toThrow(/expected a \[3\], got 2/);
    expect(() => writeSafetensors([{ ...good, shape: [-1, -2] }])).toThrow(/expected a/);
    expect(() => writeSafetensors([{ ...good, data: new Int32Array(2) }])).toThrow(/as F32/);
    const metadata = new Map([['long', 'x'.repeat(100_000_000)]]);
    expect(() => writeSafetensors([good], metadata)).toThrow(/header of at most 100000000/);
  });
});
