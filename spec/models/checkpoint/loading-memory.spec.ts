// What loading holds in JavaScript's memory, measured in a process of its own: of 418 MB of weights, no tensor above 23 MB.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const MEGABYTE = 1_000_000;

it('M-2.35 loading holds no more than the largest tensor and 200 MB', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--expose-gc',
    'scripts/real-width/loading.mjs',
  ]);
  const { largest, total, shards, grew } = JSON.parse(stdout);
  const bound = largest + 200 * MEGABYTE;
  expect(total).toBeGreaterThan(bound + 100 * MEGABYTE); // so that a loader that keeps its tensors is seen
  expect(shards).toBeGreaterThan(1);
  expect(grew).toBeGreaterThan(0);
  expect(grew).toBeLessThan(bound);
}, 60_000);
