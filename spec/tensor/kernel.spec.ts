import { describe, expect, it } from 'vitest';
import {
  add,
  argmax,
  attention,
  concat,
  dispose,
  finish,
  GpuError,
  gatherRows,
  gelu,
  groupMean,
  indexTensor,
  type Kernel,
  layerNorm,
  matmul,
  multiply,
  permute,
  read,
  readAll,
  repeatRows,
  reshape,
  runKernel,
  scale,
  slice,
  softmax,
  sumAxis,
  type Tensor,
  tensor,
  tidy,
  topKIndices,
  u32,
  wgsl,
} from '../../src/tensor/index.ts';
import { trim } from '../../src/tensor/memory.ts';
import { expectBits } from '../support/closeness.ts';
import { testGpu } from '../support/gpu.ts';
import { countMappings } from '../support/mappings.ts';
import { expand } from '../support/recipe.ts';

const gpu = await testGpu();
const filled = (value: number, length = 64): Tensor =>
  tensor(gpu, new Float32Array(length).fill(value), [length]);
const grid = (name: string, ...shape: number[]): Tensor => {
  const { values } = expand(name, { dist: 'grid', seed: 5, exp: 0 }, shape);
  return tensor(gpu, values, shape);
};

async function readAndDispose(...tensors: Tensor[]): Promise<Float32Array[]> {
  const values = await readAll(gpu, tensors);
  dispose(...tensors);
  return values as Float32Array[];
}

describe('T-3.1 order', () => {
  it('T-3.1 an upload does not overwrite a pooled buffer that a dispatched kernel is still to read', async () => {
    const x = filled(1);
    const doubled = scale(x, 2); // waits in the batch
    dispose(x);
    const y = filled(5); // takes the buffer of x
    expect(y.storage).toBe(x.storage);
    const [values, other] = await readAndDispose(doubled, y);
    expect(values).toEqual(new Float32Array(64).fill(2));
    expect(other).toEqual(new Float32Array(64).fill(5));
  });

  it('T-3.1 a kernel does not overwrite a pooled buffer that an earlier one reads', async () => {
    const x = filled(1);
    const twice = scale(x, 2);
    const sixfold = scale(twice, 3);
    dispose(twice);
    const fivefold = scale(x, 5); // takes the buffer of twice
    expect(fivefold.storage).toBe(twice.storage);
    const [first, second] = await readAndDispose(sixfold, fivefold, x);
    expect(first).toEqual(new Float32Array(64).fill(6));
    expect(second).toEqual(new Float32Array(64).fill(5));
  });

  it('T-3.1 each of many dispatches has its own parameters, across batches', async () => {
    const x = filled(1, 4);
    const scaled = Array.from({ length: 300 }, (_, i) => scale(x, i));
    const values = await readAndDispose(...scaled);
    expect(values.map((row) => row[3])).toEqual(Array.from({ length: 300 }, (_, i) => i));
    dispose(x);
  });

  it('T-3.1 uploads, dispatches and frees in a row interleave as they were called', async () => {
    const sums: Tensor[] = [];
    for (let i = 0; i < 200; i++) {
      sums.push(tidy(gpu, () => add(filled(i), filled(2 * i))));
    }
    const values = await readAndDispose(...sums);
    for (const [i, row] of values.entries()) expect(row).toEqual(new Float32Array(64).fill(3 * i));
  });

  it('T-3.1 T-3.5 operations map no buffer, and reading maps one, whatever the number of tensors', async () => {
    const made: Tensor[] = [];
    const mapped = await countMappings(gpu, async () => {
      made.push(...tidy(gpu, () => mixture() as Tensor[]));
      await finish(gpu);
    });
    expect(mapped).toBe(0);
    expect(await countMappings(gpu, () => readAll(gpu, made))).toBe(1);
    expect(await countMappings(gpu, () => read(made[0] as Tensor))).toBe(1);
    dispose(...made);
  });
});

/** Something of every kind of kernel. */
function mixture(): readonly (Tensor | ReturnType<typeof argmax>)[] {
  const x = grid('x', 3, 65, 36);
  const [weight, bias] = [grid('w', 36), grid('b', 36)];
  const square = grid('m', 3, 36, 68);
  const product = matmul(gelu(layerNorm(x, { weight, bias }, 1e-5)), square);
  const heads = reshape(x, [1, 3, 65, 36]);
  const probs = softmax(product);
  const chosen = topKIndices(reshape(probs, [195, 68]), 17, 'score');
  return [
    product,
    probs,
    attention(heads, heads, heads, { causal: true }),
    sumAxis(x, 1),
    argmax(product),
    chosen,
    groupMean(
      x,
      indexTensor(
        gpu,
        Uint32Array.from({ length: 195 }, (_, i) => i % 5),
        [3, 65],
      ),
      5,
    ),
    permute(product, [2, 0, 1]),
  ];
}

describe('T-3.2 pipelines', () => {
  it('T-3.2 one pipeline serves all shapes', () => {
    const shapes = [1, 3, 64, 65, 257, 1000];
    const run = (length: number): void => {
      tidy(gpu, () => {
        const x = grid('x', 2, length);
        softmax(add(x, x));
        layerNorm(x, { weight: grid('w', length), bias: grid('b', length) }, 1e-5);
      });
    };
    run(5);
    const before = gpu.commands.pipelines.size;
    for (const length of shapes) run(length);
    expect(gpu.commands.pipelines.size).toBe(before);
    const names = [...gpu.commands.pipelines.keys()].map(({ name }) => name);
    expect(names.length).toBe(new Set(names).size);
  });

  it('T-3.2 bind groups are cached, and dropped with the buffers that they name', async () => {
    const x = filled(2);
    dispose(scale(x, 3));
    const before = gpu.commands.bindGroups.size;
    for (let i = 0; i < 10; i++) dispose(scale(x, 3));
    expect(gpu.commands.bindGroups.size).toBe(before);

    for (let i = 0; i < 3; i++) {
      const y = scale(x, 3);
      const [values] = await readAndDispose(y);
      expect(values).toEqual(new Float32Array(64).fill(6));
      trim(gpu.memory); // destroys the buffer of y
      const ids = [...gpu.commands.bindGroups.keys()].flatMap((key) =>
        (key.split(':')[1] as string).split(','),
      );
      expect(ids).not.toContain(String(y.storage.id));
    }
    dispose(x);
  });
});

describe('T-3.3 determinism', () => {
  it('T-3.3 the same operations give the same bits in every run, with other work in flight, too', async () => {
    const runs = [];
    for (let run = 0; run < 3; run++) {
      const tensors = tidy(gpu, () => {
        if (run === 2) for (let i = 0; i < 50; i++) softmax(grid('noise', 9, 100 + i));
        return mixture();
      });
      runs.push(await readAll(gpu, tensors));
      dispose(...tensors);
    }
    const [first, ...others] = runs as [Float32Array[], ...Float32Array[][]];
    for (const other of others) {
      for (const [i, values] of first.entries()) {
        const got = { values: other[i] as Float32Array, shape: [values.length] };
        expectBits(`output ${i}`, got, [values.length], values);
      }
    }
  });
});

const brokenKernel: Kernel = {
  name: 'broken',
  code: wgsl`
    struct Params { count: u32 }
    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<f32>;
    @group(0) @binding(2) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x] = noSuchFunction(x[id.x]); }
  `,
};

const misboundKernel: Kernel = {
  name: 'misbound',
  code: wgsl`
    struct Params { count: u32 }
    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read_write> x: array<f32>;
    @group(0) @binding(2) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x] = x[id.x] + f32(params.count); }
  `,
};

const copyKernel: Kernel = {
  name: 'copyForTest',
  code: wgsl`
    struct Params { count: u32 }
    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<f32>;
    @group(0) @binding(2) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x >= params.count) { return; }
      y[id.x] = x[id.x];
    }
  `,
};

async function errorOf(kernel: Kernel, output?: Tensor): Promise<Error> {
  const x = output ?? filled(1);
  const y = output ?? filled(2);
  try {
    runKernel(gpu, kernel, { params: [u32(64)], inputs: [x], output: y, groups: 1 });
    await read(y);
    return new Error('no error');
  } catch (error) {
    return error as Error;
  } finally {
    dispose(x, y);
  }
}

describe('T-3.4 errors of the device', () => {
  it('T-3.4 a kernel that compiles reports nothing', async () => {
    expect((await errorOf(copyKernel)).message).toBe('no error');
  });

  it('T-3.4 a kernel that does not compile is thrown by the next read, with its name and the place in its text', async () => {
    const error = await errorOf(brokenKernel);
    expect(error).toBeInstanceOf(GpuError);
    expect(error.message).toMatch(/^kernel broken: expected WGSL that compiles, got /);
    expect(error.message).toMatch(/:7:\d+ error: .*noSuchFunction/);
  });

  it('T-3.4 a kernel whose bindings are not the convention is thrown by the next read, with its name', async () => {
    const error = await errorOf(misboundKernel);
    expect(error).toBeInstanceOf(GpuError);
    expect(error.message).toMatch(/misbound/);
  });

  it('T-3.4 a validation error of a dispatch is thrown by the next read', async () => {
    const error = await errorOf(copyKernel, filled(3)); // reads and writes one buffer
    expect(error).toBeInstanceOf(GpuError);
    expect(error.message).toMatch(/includes writable usage and another usage|expected another output/);
  });

  it('T-3.4 the device goes on after an error, which is reported once', async () => {
    await errorOf(brokenKernel);
    const [x, y] = [filled(1), filled(2)];
    expect(await readAndDispose(add(x, y))).toEqual([new Float32Array(64).fill(3)]);
    dispose(x, y);
  });

  it('T-1.1 tensors of two devices, and parameters that are not integers, are rejected', () => {
    const [x, y] = [filled(1), filled(2)];
    const foreign = { ...y, gpu: { ...gpu } };
    expect(() => tidy(gpu, () => add(x, foreign))).toThrow(/^\w+: expected tensors of one device, got two/);
    for (const value of [-1, 0.5, 2 ** 32, Number.NaN]) expect(() => u32(value)).toThrow(RangeError);
    expect(u32(2 ** 32 - 1)).toEqual({ type: 'u32', value: 2 ** 32 - 1 });
    dispose(x, y);
  });
});

describe('T-3.2 sizes beyond 65,535 workgroups', () => {
  const ROWS = 70_000; // a workgroup each
  const LONG = 65_535 * 64 + 100; // elements, 64 to a workgroup

  /** x[i] = i mod 251, as long as wanted, made on the device. */
  function periodic(length: number): Tensor {
    const period = tensor(
      gpu,
      Float32Array.from({ length: 251 * 400 }, (_, i) => i % 251),
      [251 * 400],
    );
    const copies = Math.ceil(length / (251 * 400));
    return slice(reshape(repeatRows(period, copies), [copies * 251 * 400]), 0, 0, length);
  }

  /** Every element of y[i] is f(i). */
  async function expectEvery(y: Tensor, f: (i: number) => number, tolerance = 0): Promise<void> {
    const [values] = (await readAndDispose(y)) as [Float32Array];
    let first = -1;
    for (let i = values.length - 1; i >= 0; i--) {
      if (!(Math.abs((values[i] as number) - f(i)) <= tolerance)) first = i;
    }
    if (first >= 0)
      throw new Error(`at ${first} of ${values.length}: expected ${f(first)}, got ${values[first]}`);
  }

  it('T-3.2 add and multiply, four elements to an invocation', async () => {
    const length = 65_535 * 256 + 5;
    const sum = tidy(gpu, () => {
      const x = periodic(length);
      return add(x, x);
    });
    await expectEvery(sum, (i) => 2 * (i % 251));
    const product = tidy(gpu, () => {
      const x = periodic(LONG);
      return multiply(x, x);
    });
    await expectEvery(product, (i) => (i % 251) ** 2);
  });

  it('T-3.2 gather, permute and concat, an element to an invocation', async () => {
    const columns = 8;
    const rows = Math.ceil(LONG / columns);
    const backwards = Uint32Array.from({ length: rows }, (_, row) => rows - 1 - row);
    const gathered = tidy(gpu, () => {
      const x = reshape(periodic(rows * columns), [1, rows, columns]);
      return gatherRows(x, indexTensor(gpu, backwards, [1, rows]));
    });
    await expectEvery(
      gathered,
      (i) => ((rows - 1 - Math.floor(i / columns)) * columns + (i % columns)) % 251,
    );
    const turned = tidy(gpu, () => permute(reshape(periodic(rows * columns), [rows, columns]), [1, 0]));
    await expectEvery(turned, (i) => ((i % rows) * columns + Math.floor(i / rows)) % 251);
    const joined = tidy(gpu, () => {
      const x = periodic(LONG);
      return concat([x, slice(x, 0, 0, 251)], 0);
    });
    await expectEvery(joined, (i) => (i < LONG ? i % 251 : i - LONG));
  });

  it('T-3.2 softmax, layer norm and argmax, a workgroup to a row', async () => {
    const shares = tidy(gpu, () => softmax(reshape(periodic(ROWS * 3), [ROWS, 3])));
    const share = (i: number): number => {
      const first = i - (i % 3);
      const row = [0, 1, 2].map((n) => Math.exp(((first + n) % 251) - 250));
      return (row[i % 3] as number) / row.reduce((a, b) => a + b);
    };
    await expectEvery(shares, share, 1e-6);
    const places = tidy(gpu, () => argmax(reshape(periodic(ROWS * 3), [ROWS, 3])));
    const values = await read(places);
    dispose(places);
    const wrong = values.findIndex(
      (place, row) => place !== [0, 1, 2].findLast((n) => share(3 * row + n) >= 0.5),
    );
    expect(wrong).toBe(-1);
    const normed = tidy(gpu, () => {
      const one = tensor(gpu, Float32Array.of(1, 1), [2]);
      return layerNorm(reshape(periodic(ROWS * 2), [ROWS, 2]), { weight: one, bias: one }, 0.1);
    });
    const standard = (i: number): number => {
      const half = ((i % 251) - ((i ^ 1) % 251)) / 2;
      return half / Math.sqrt(half * half + 0.1) + 1;
    };
    await expectEvery(normed, standard, 4e-6);
  });

  it('T-3.2 matrix products of many small matrices, plain and tiled', async () => {
    const plain = tidy(gpu, () => {
      const a = reshape(periodic(ROWS * 3), [ROWS, 1, 3]);
      return matmul(a, tensor(gpu, Float32Array.of(1, 10, 100), [1, 3, 1]));
    });
    await expectEvery(plain, (i) => ((3 * i) % 251) + 10 * ((3 * i + 1) % 251) + 100 * ((3 * i + 2) % 251));
    const tiled = tidy(gpu, () => {
      const a = reshape(periodic(ROWS * 16 * 4), [ROWS, 16, 4]);
      const b = tensor(
        gpu,
        Float32Array.from({ length: 16 }, (_, i) => (i % 5 === 0 ? 2 : 0)),
        [1, 4, 4],
      );
      return matmul(a, b);
    });
    await expectEvery(tiled, (i) => 2 * (i % 251));
  });

  it('T-3.2 top k of many rows', async () => {
    const chosen = tidy(gpu, () =>
      topKIndices(reshape(periodic(LONG - (LONG % 4)), [Math.floor(LONG / 4), 4]), 1, 'score'),
    );
    const places = await read(chosen);
    dispose(chosen);
    const expected = (row: number): number => {
      const values = [0, 1, 2, 3].map((n) => (4 * row + n) % 251);
      return values.indexOf(Math.max(...values));
    };
    expect(places.findIndex((place, row) => place !== expected(row))).toBe(-1);
  });
});

describe('T-4.5 bind groups', () => {
  it('T-4.5 they are begun anew and collected before there are too many', async () => {
    const xs = Array.from({ length: 120 }, () => filled(1));
    let most = 0;
    for (let round = 0; round < 12; round++) {
      tidy(gpu, () => {
        for (let i = 0; i < 1000; i++)
          add(xs[(7 * i + round) % 120] as Tensor, xs[(i + 13 * round) % 120] as Tensor);
      });
      await finish(gpu);
      most = Math.max(most, gpu.commands.uncollected);
    }
    expect(most).toBeGreaterThan(1000);
    expect(most).toBeLessThan(5096);
    dispose(...xs);
  });

  it('T-4.5 far too many without waiting are refused', async () => {
    await finish(gpu);
    const before = gpu.commands.uncollected;
    const x = filled(1);
    const live = gpu.memory.live.size;
    gpu.commands.uncollected = 40_000;
    if (gpu.adapter.software)
      expect(() => add(x, x)).toThrow(/^add: expected a reading at least every 40000/);
    expect(gpu.memory.live.size).toBe(live);
    gpu.commands.uncollected = before;
    dispose(x);
  });
});
