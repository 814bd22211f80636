// Many asks in one process leave nothing behind: the short form of `npm run soak`.

import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import * as library from '../../../src/index.ts';
import { dispose, type Gpu, tidy } from '../../../src/tensor/index.ts';
import { testGpu } from '../../support/gpu.ts';
import { loadTinyLlava } from '../../support/tiny-llava.ts';

// The scripts are plain JavaScript without types: they are given here.

interface Picture {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly questions: readonly string[];
}

type Draw = (n: number) => number;
type Counts = Readonly<
  Record<'residentBytes' | 'heapBytes' | 'liveTensors' | 'buffersHeld' | 'allocatedBytes', number>
>;

interface Asks {
  drawer(seed: number): Draw;
  askOnce(names: object, llava: library.Llava, pictures: readonly Picture[], draw: Draw): Promise<void>;
}

interface Held {
  growth(samples: readonly Counts[]): readonly string[];
}

const script = (name: string) => new URL(`../../../scripts/soak/${name}.mjs`, import.meta.url).href;
const { askOnce, drawer } = (await import(script('asks'))) as Asks;
const { growth } = (await import(script('held'))) as Held;
const folder = 'golden/tiny-llava';
const ROUNDS = 3;
const ASKS = 8;
const SEED = 42; // among these asks are both preprocessings, all patches, one left early and one refused

describe('many asks', () => {
  let gpu: Gpu;
  let llava: library.Llava;
  let pictures: readonly Picture[];

  beforeAll(async () => {
    gpu = await testGpu();
    llava = await loadTinyLlava(gpu);
    const { cases } = JSON.parse(readFileSync(`${folder}/cases.json`, 'utf8')) as {
      cases: readonly { image: string; questions: readonly { question: string }[] }[];
    };
    pictures = cases.map(({ image, questions }) => ({
      name: image,
      bytes: readFileSync(`${folder}/${image}`),
      questions: questions.map(({ question }) => question),
    }));
    return () => dispose(llava);
  });

  it('T-4.1 the same asks again hold no tensor and no buffer more', { timeout: 120_000 }, async () => {
    const before = gpu.memory.live.size;
    const held: { tensors: number; buffers: number; bytes: number }[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const draw = drawer(SEED);
      for (let i = 0; i < ASKS; i++) await askOnce({ ...library, dispose, tidy }, llava, pictures, draw);
      const { live, buffersHeld, allocatedBytes } = gpu.memory;
      held.push({ tensors: live.size, buffers: buffersHeld, bytes: allocatedBytes });
    }
    const [first, ...later] = held;
    expect(first?.tensors).toBe(before);
    for (const round of later) expect(round).toEqual(first);
  });
});

describe('what npm run soak calls flat', () => {
  const flat: Counts = {
    residentBytes: 400e6,
    heapBytes: 10e6,
    liveTensors: 128,
    buffersHeld: 600,
    allocatedBytes: 130e6,
  };

  it('T-4.1 growth is measured from the first quarter to the last', () => {
    const settling = [{ ...flat, buffersHeld: 100 }, ...Array.from({ length: 7 }, () => flat)];
    expect(growth(settling)).toEqual([]);
    for (const name of Object.keys(flat) as (keyof Counts)[]) {
      const leaking = Array.from({ length: 8 }, (_, i) => ({ ...flat, [name]: flat[name] * (1 + i / 20) }));
      expect(growth(leaking), name).toEqual([
        expect.stringMatching(new RegExp(`^${name}: expected at most`)),
      ]);
    }
    expect(growth([...settling.slice(1), { ...flat, liveTensors: 129 }])).toHaveLength(1);
  });
});
