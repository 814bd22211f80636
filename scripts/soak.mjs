// Asks many times in one process: `node --expose-gc scripts/soak.mjs [--asks 1000] [--seed 1]`.
//
// Pictures, questions, budgets and endings are drawn from the seed. Ten times on the way what is held is printed; the command
// ends with 1 if at the end more is held than behind the first quarter (bounds: soak/asks.mjs). Needs dist (npm run build).

import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { askOnce, BOUNDS, drawer, growth, heldNow } from './soak/asks.mjs';

const { values } = parseArgs({
  options: { asks: { type: 'string', default: '1000' }, seed: { type: 'string', default: '1' } },
});
const [askCount, seed] = [Number(values.asks), Number(values.seed)];
if (!Number.isInteger(askCount) || askCount < 40 || !Number.isInteger(seed)) {
  console.error('soak: expected --asks to be a whole number of at least 40 and --seed to be a whole number.');
  process.exit(2);
}
if (globalThis.gc === undefined) {
  console.error('soak: expected node --expose-gc (npm run soak), got no gc().');
  process.exit(2);
}

const ROOT = resolve(import.meta.dirname, '..');
const MODEL = join(ROOT, 'golden', 'tiny-llava');
const library = { ...(await import('../dist/index.js')), ...(await import('../dist/tensor.js')) };

const { cases } = JSON.parse(readFileSync(join(MODEL, 'cases.json'), 'utf8'));
const pictures = cases.map(({ image, questions }) => ({
  name: image,
  bytes: readFileSync(join(MODEL, image)),
  questions: questions.map(({ question }) => question),
}));

const gpu = await library.openGpu();
const llava = await library.loadLlava(gpu, library.modelDirectory(MODEL));
console.log(
  `${askCount} asks of the packaged model on ${gpu.adapter.description || gpu.adapter.device}, seed ${seed}`,
);
console.log('   asks  resident    heap  live tensors  buffers  on device  bind groups  seconds');

const draw = drawer(seed);
const samples = [];
const start = performance.now();
const every = Math.max(10, Math.floor(askCount / 40));
for (let asked = 1; asked <= askCount; asked++) {
  await askOnce(library, llava, pictures, draw);
  if (asked % every !== 0 && asked !== askCount) continue;
  const held = await heldNow(gpu, globalThis.gc);
  samples.push(held);
  if (asked % Math.max(every, Math.floor(askCount / 10)) === 0 || asked === askCount) print(asked, held);
}
gpu.close();

const grown = growth(samples);
for (const line of grown) console.error(`soak: ${line}`);
const bounds = Object.entries(BOUNDS).map(([name, bound]) => `${name} ${bound}`);
console.log(
  `${grown.length === 0 ? 'Flat' : 'Not flat'} from the first quarter to the last; bounds: ${bounds.join(', ')}.`,
);
process.exitCode = grown.length === 0 ? 0 : 1;

function print(asked, { residentBytes, heapBytes, liveTensors, buffersHeld, allocatedBytes, bindGroups }) {
  const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  const cells = [
    String(asked).padStart(7),
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
