// Hashes every tensor of the goldens again: `npm run golden:check`, or `node scripts/golden-check.mjs FOLDER`. SPEC G-1.2.
//
// Refused are a tensor whose hash is another one, a tensor that no case names, a case that names one that is not there, a
// value that is not finite, a stage without a rule, an id that is taken, and any file besides manifest and tensors.

import { resolve } from 'node:path';
import { faultsOf, GoldenError, groupNames, readGroup } from './golden/group.mjs';
import { optionsOf } from './options.mjs';

const [folder = 'golden'] = optionsOf('golden-check', { allowPositionals: true }).positionals;
const root = resolve(folder);

let tensorCount = 0;
const faults = [];
const names = groupNames(root);
if (names.length === 0) faults.push(`expected groups of goldens, got none in ${folder}`);
for (const name of names) {
  try {
    const group = readGroup(root, name);
    tensorCount += group.tensors.size;
    faults.push(...faultsOf(group));
  } catch (error) {
    if (!(error instanceof GoldenError) && error.code !== 'ENOENT') throw error;
    faults.push(error.message);
  }
}
for (const fault of faults.slice(0, 20)) console.error(`golden-check: ${fault}`);
if (faults.length > 20) console.error(`golden-check: and ${faults.length - 20} more`);
if (faults.length === 0)
  console.log(`golden-check: ${tensorCount} tensors in ${names.length} groups are as they were written.`);
process.exitCode = faults.length === 0 ? 0 : 1;
