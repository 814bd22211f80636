// What a function refuses. SPEC T-1.1: a typed error of the house form, before anything is dispatched.

import { expect } from 'vitest';
import { type Gpu, tidy } from '../../src/tensor/index.ts';

type Kind = new (message?: string) => Error;

/** `call` is accepted. Stands before the calls that break one rule each. */
export function expectAccepted(gpu: Gpu, call: () => unknown): void {
  tidy(gpu, () => void call());
}

/** `call` throws a `kind` that says what was expected and what came, and dispatches nothing. */
export function expectRejected(gpu: Gpu, kind: Kind, call: () => unknown): void {
  const dispatchesBefore = gpu.commands.dispatchCount;
  const buffersBefore = gpu.memory.buffersMade;
  let thrown: unknown;
  try {
    tidy(gpu, () => void call());
  } catch (error) {
    thrown = error;
  }
  expect(thrown, String(call)).toBeInstanceOf(kind);
  expect((thrown as Error).message).toMatch(/^(\w+: )?expected .+, (but )?(got|it) .+/s);
  expect(gpu.commands.dispatchCount, 'dispatches').toBe(dispatchesBefore);
  expect(gpu.memory.buffersMade, 'buffers').toBe(buffersBefore);
}
