// The operations of `npm run soak`: none is forgotten, and the same ones again hold nothing more.

import { describe, expect, it } from 'vitest';
import * as models from '../../src/index.ts';
import * as library from '../../src/tensor/index.ts';
import { type Gpu, openGpu } from '../../src/tensor/index.ts';
import { readSource } from '../support/source-files.ts';

// The scripts are plain JavaScript without types: they are given here.

type Draw = (n: number) => number;

interface Bench {
  draw: Draw;
  readonly shelf: object[];
  close(): void;
}

interface Operations {
  readonly OPERATIONS: readonly (readonly [string, unknown])[];
  readonly WAITING: readonly (readonly [string, unknown])[];
  openBench(names: object, gpu: Gpu, draw: Draw): Promise<Bench>;
  operateOnce(bench: Bench): Promise<string>;
}

const load = (name: string): Promise<unknown> =>
  import(new URL(`../../scripts/soak/${name}.mjs`, import.meta.url).href);
const { OPERATIONS, WAITING, openBench, operateOnce } = (await load('operations')) as Operations;
const { drawer } = (await load('asks')) as { drawer(seed: number): Draw };

describe('npm run soak', () => {
  it('T-4.3 every operation that is exported is drawn', () => {
    const lines = [...readSource('src/tensor/index.ts').matchAll(/export \{([^}]+)\} from '\.\/ops\//g)];
    const exported = lines.flatMap(([, names = '']) => names.split(','));
    const functions = exported
      .map((name) => name.trim())
      .filter((name) => name !== '' && !name.startsWith('type '));
    const withoutTensors = ['canStream', 'throwIfNonFinite'];
    const drawn = [...OPERATIONS, ...WAITING].map(([name]) => name);
    expect(functions.length).toBeGreaterThan(40);
    expect(functions.filter((name) => !drawn.includes(name) && !withoutTensors.includes(name))).toEqual([]);
  });

  it('T-4.3 the same operations again hold no tensor and no buffer more', { timeout: 60_000 }, async () => {
    const gpu = await openGpu();
    const bench = await openBench({ ...models, ...library }, gpu, drawer(1));
    const held: object[] = [];
    for (let round = 0; round < 3; round++) {
      bench.draw = drawer(4);
      for (let i = 0; i < 24; i++) await operateOnce(bench);
      library.dispose(bench.shelf.splice(0));
      held.push({ tensors: gpu.memory.live.size, buffers: gpu.memory.buffersHeld });
    }
    bench.close();
    expect(gpu.memory.live.size).toBe(0);
    gpu.close();
    expect(held[1]).toEqual(held[0]);
    expect(held[2]).toEqual(held[0]);
  });
});
