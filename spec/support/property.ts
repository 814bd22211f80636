// Properties on a device: all cases of a property are uploaded and dispatched, then read with one mapping, then judged on
// the host. Only a case that fails runs again, alone, so that fast-check can shrink it.

import fc from 'fast-check';
import {
  type AnyTensor,
  dispose,
  type Gpu,
  type IndexTensor,
  indexTensor,
  readAll,
  type Tensor,
  tensor,
  tidy,
} from '../../src/tensor/index.ts';
import type { Host } from './recipe.ts';

type HostArray = Host<Float32Array> | Host<Uint32Array>;
type Uploaded<D> = { readonly [Name in keyof D]: D[Name] extends Host<Float32Array> ? Tensor : IndexTensor };
type Downloaded<T> = {
  readonly [I in keyof T]: T[I] extends Tensor ? Host<Float32Array> : Host<Uint32Array>;
};

export interface Property<C, D extends Readonly<Record<string, HostArray>>, T extends readonly AnyTensor[]> {
  readonly cases: fc.Arbitrary<C>;
  readonly count?: number; // of cases; 200 by default
  /** The inputs of a case, on the host. */
  readonly data: (drawn: C) => D;
  /** Dispatches a case. */
  readonly run: (inputs: Uploaded<D>, drawn: C) => T;
  /** Throws unless the outputs are right. */
  readonly judge: (outputs: Downloaded<T>, inputs: D, drawn: C) => void;
}

const SEED = Number(process.env.SPEC_SEED ?? 20240612);

/** Holds for all drawn cases, or throws with the smallest one found for which it does not. */
export async function checkProperty<
  C,
  D extends Readonly<Record<string, HostArray>>,
  const T extends readonly AnyTensor[],
>(gpu: Gpu, property: Property<C, D, T>): Promise<void> {
  const drawn = fc.sample(property.cases, { seed: SEED, numRuns: property.count ?? 200 });
  const failure = await firstFailure(gpu, property, drawn);
  if (failure === null) return;

  const alone = await firstFailure(gpu, property, [failure.drawn]);
  if (alone === null) {
    throw new Error(
      `fails among others, but not alone: ${JSON.stringify(failure.drawn)}: ${failure.error.message}`,
      { cause: failure.error },
    );
  }
  const holds = fc.asyncProperty(property.cases, async (one) => {
    const again = await firstFailure(gpu, property, [one]);
    if (again !== null) throw again.error;
  });
  await fc.assert(holds, {
    seed: SEED,
    numRuns: 1,
    examples: [[failure.drawn]],
    interruptAfterTimeLimit: 20_000,
  });
  throw failure.error;
}

interface Failure<C> {
  readonly drawn: C;
  readonly error: Error;
}

async function firstFailure<C, D extends Readonly<Record<string, HostArray>>, T extends readonly AnyTensor[]>(
  gpu: Gpu,
  property: Property<C, D, T>,
  drawn: readonly C[],
): Promise<Failure<C> | null> {
  const data = drawn.map((one) => property.data(one));
  const outputs = tidy(gpu, () => {
    const inputs = data.map((hosts) => uploadAll(gpu, hosts)); // every upload before the first dispatch: one batch
    // What a case makes besides its outputs is free for the next one, which then finds the bind groups of the same buffers.
    return inputs.map((tensors, i) => tidy(gpu, () => property.run(tensors, drawn[i] as C)));
  });
  const flat = outputs.flat() as AnyTensor[];
  const values = await readAll(gpu, flat);
  dispose(...flat);

  let next = 0;
  for (const [i, tensors] of outputs.entries()) {
    const hosts = tensors.map(({ shape }) => ({ shape, values: values[next++] }));
    try {
      property.judge(hosts as unknown as Downloaded<T>, data[i] as D, drawn[i] as C);
    } catch (error) {
      return { drawn: drawn[i] as C, error: error as Error };
    }
  }
  return null;
}

function uploadAll<D extends Readonly<Record<string, HostArray>>>(gpu: Gpu, hosts: D): Uploaded<D> {
  const entries = Object.entries(hosts).map(([name, { values, shape }]) => [
    name,
    values instanceof Float32Array ? tensor(gpu, values, shape) : indexTensor(gpu, values, shape),
  ]);
  return Object.fromEntries(entries) as Uploaded<D>;
}
