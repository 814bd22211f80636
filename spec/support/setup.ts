// Runs around every test: tensors that it leaks, errors that the device reports on its own time and kernels that do not
// compile fail the test that caused them.

import { afterAll, afterEach, beforeEach, expect } from 'vitest';
import { finish, type Gpu } from '../../src/tensor/index.ts';
import { disown } from '../../src/tensor/memory.ts';
import { largestRatios } from './closeness.ts';
import { openedGpus } from './gpu.ts';

const liveBefore = new Set<unknown>();

beforeEach(async () => {
  liveBefore.clear();
  for (const { memory } of await openedGpus()) for (const owner of memory.live) liveBefore.add(owner);
});

afterEach(async () => {
  for (const gpu of await openedGpus()) await expectTidy(gpu);
});

async function expectTidy(gpu: Gpu): Promise<void> {
  const leaked = [...gpu.memory.live].filter((owner) => !liveBefore.has(owner));
  for (const owner of leaked) disown(gpu.memory, owner);
  const openScopes = gpu.memory.scopes.length;
  gpu.memory.scopes.length = 0;
  await finish(gpu); // throws what went wrong on the device
  expect(leaked.length, 'tensors that the test did not free').toBe(0);
  expect(openScopes, 'tidy blocks that did not end').toBe(0);
}

afterAll(() => {
  if (process.env.SPEC_RATIOS === undefined) return;
  for (const [label, ratio] of largestRatios) console.log(`${label}: ${ratio.toFixed(3)} of its bound`);
  largestRatios.clear();
});
