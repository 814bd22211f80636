// Works for a long time in one process: `node --expose-gc scripts/soak.mjs [--operations 10000] [--asks 1000] [--seed 1]`.
//
// First operations of every kind on small tensors, refused ones among them, then questions about pictures; both are drawn from
// the seed. Ten times on the way what is held is printed; the command ends with 1 if at the end of either part more is held
// than behind its first quarter (bounds: soak/held.mjs). A count of 0 leaves a part out. Needs dist (npm run build).

import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { optionsOf, refuse } from './options.mjs';
import { askOnce, drawer } from './soak/asks.mjs';
import { BOUNDS, growth, heldNow } from './soak/held.mjs';
import { openBench, operateOnce } from './soak/operations.mjs';

const { values } = optionsOf('soak', {
  options: {
    operations: { type: 'string', default: '10000' },
    asks: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
  },
});
const [operationCount, askCount, seed] = [values.operations, values.asks, values.seed].map(Number);
const isCount = (count) => Number.isInteger(count) && (count === 0 || count >= 40);
if (!isCount(operationCount) || !isCount(askCount) || !Number.isInteger(seed)) {
  refuse(
    'soak',
    'expected --operations and --asks to be 0 or a whole number of at least 40, and --seed to be a whole number.',
  );
}
if (globalThis.gc === undefined) {
  refuse('soak', 'expected node --expose-gc (npm run soak), got no gc().');
}

const MODEL = join(resolve(import.meta.dirname, '..'), 'golden', 'tiny-llava');
const library = { ...(await import('../dist/index.js')), ...(await import('../dist/tensor.js')) };
const parts = [operationCount > 0 && operate, askCount > 0 && askAll].filter(Boolean);
let isFlat = true;
for (const part of parts) isFlat = (await part()) && isFlat;
process.exitCode = isFlat ? 0 : 1;

async function operate() {
  const gpu = await library.openGpu();
  const bench = await openBench(library, gpu, drawer(seed));
  const counts = new Map();
  const flat = await soak(gpu, operationCount, 'operations', async () => {
    const name = await operateOnce(bench);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  });
  const refused = [...counts].filter(([name]) => name.startsWith('refused'));
  const refusedCount = refused.reduce((sum, [, count]) => sum + count, 0);
  console.log(
    `${counts.size - refused.length} kinds; ${refusedCount} calls of ${refused.length} kinds were refused.\n`,
  );
  bench.close();
  gpu.close();
  return flat;
}

async function askAll() {
  const { cases } = JSON.parse(readFileSync(join(MODEL, 'cases.json'), 'utf8'));
  const pictures = cases.map(({ image, questions }) => ({
    name: image,
    bytes: readFileSync(join(MODEL, image)),
    questions: questions.map(({ question }) => question),
  }));
  const gpu = await library.openGpu();
  const llava = await library.loadLlava(gpu, library.modelDirectory(MODEL));
  const draw = drawer(seed);
  const flat = await soak(gpu, askCount, 'asks', () => askOnce(library, llava, pictures, draw));
  gpu.close();
  return flat;
}

/** Does `once` so many times, prints what is held, and says whether it stays flat. */
async function soak(gpu, count, what, once) {
  console.log(`${count} ${what} on ${gpu.adapter.description || gpu.adapter.device}, seed ${seed}`);
  console.log(
    `${what.padStart(10)}  resident    heap  live tensors  buffers  on device  bind groups  seconds`,
  );
  const samples = [];
  const start = performance.now();
  const every = Math.max(10, Math.floor(count / 40));
  for (let done = 1; done <= count; done++) {
    await once();
    if (done % every !== 0 && done !== count) continue;
    const held = await heldNow(gpu, globalThis.gc);
    samples.push(held);
    if (done % Math.max(every, Math.floor(count / 10)) === 0 || done === count) print(done, held, start);
  }
  const grown = growth(samples);
  for (const line of grown) console.error(`soak: ${what}: ${line}`);
  const bounds = Object.entries(BOUNDS).map(([name, bound]) => `${name} ${bound}`);
  const verdict = grown.length === 0 ? 'Flat' : 'Not flat';
  console.log(`${verdict} from the first quarter to the last; bounds: ${bounds.join(', ')}.`);
  return grown.length === 0;
}

function print(done, held, start) {
  const { residentBytes, heapBytes, liveTensors, buffersHeld, allocatedBytes, bindGroups } = held;
  const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  const cells = [
    String(done).padStart(10),
    megabytes(residentBytes).padStart(9),
    megabytes(heapBytes).padStart(8),
    String(liveTensors).padStart(13),
    String(buffersHeld).padStart(8),
    megabytes(allocatedBytes).padStart(10),
    String(bindGroups).padStart(12),
    ((performance.now() - start) / 1000).toFixed(0).padStart(8),
  ];
  console.log(cells.join(' '));
}
