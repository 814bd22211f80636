// Plants faults and prints what came of each: `node scripts/faults.mjs [--only TEXT]`.
//
// A device that is lost in every stage, allocations beyond the budget, no adapter, folders that cannot be written, full disks,
// set-ups that are killed or run side by side. A line is `ok`, `wrong` or `skipped` with the reason; the command ends with 1 if
// one is wrong. `--only` takes the faults whose text holds TEXT. Needs dist (npm run build) and, for set-up, root; no network.

import { adapter } from './faults/adapter.mjs';
import { privateDriver, report } from './faults/checks.mjs';
import { deviceLoss } from './faults/device-loss.mjs';
import { memory } from './faults/memory.mjs';
import { setUpFaults } from './faults/set-up.mjs';
import { writtenFiles } from './faults/written-files.mjs';
import { optionsOf } from './options.mjs';

const { values } = optionsOf('faults', { options: { only: { type: 'string' } } });
const library = { ...(await import('../dist/index.js')), ...(await import('../dist/tensor.js')) };
const checks = report(values.only);

await deviceLoss(checks, library);
await memory(checks, library);
const driverFolder = await privateDriver();
await adapter(checks, driverFolder);
await writtenFiles(checks, driverFolder);
await setUpFaults(checks, driverFolder);

const { ok, wrong, skipped } = checks.counts;
console.log(`${ok} ok, ${wrong} wrong, ${skipped} skipped.`);
process.exitCode = wrong === 0 ? 0 : 1;
