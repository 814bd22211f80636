// Loads a generated checkpoint of zeros and prints, as JSON, the most that JavaScript's heap and array buffers grew by meanwhile, and
// the bytes of the largest tensor and of all: `node --expose-gc scripts/real-width/loading.mjs`, after `npm run build`. SPEC M-2.35.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadLlava, modelDirectory } from '../../dist/models.js';
import { openGpu } from '../../dist/tensor.js';
import { SMALL, writeCheckpoint } from './checkpoint.mjs';

const folder = mkdtempSync(join(tmpdir(), 'visionzip-loading-'));
const gpu = await openGpu();
try {
  const sizes = writeCheckpoint(folder, SMALL, { random: false, shardBytes: 100_000_000 });
  globalThis.gc();
  const before = held();
  let most = before;
  const sample = () => {
    most = Math.max(most, held());
  };
  const timer = setInterval(sample, 5);
  await loadLlava(gpu, sampled(modelDirectory(folder), sample));
  sample();
  clearInterval(timer);
  console.log(JSON.stringify({ ...sizes, grew: most - before }));
} finally {
  rmSync(folder, { recursive: true });
  await gpu.close();
}

/** Bytes; array buffers are counted among what is external. */
function held() {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** The same files; every read is a moment to look. */
function sampled(files, sample) {
  const open = async (name) => {
    const file = await files.open(name);
    const read = async (offset, length) => {
      const bytes = await file.read(offset, length);
      sample();
      return bytes;
    };
    return { ...file, read };
  };
  return { ...files, open };
}
