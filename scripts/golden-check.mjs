// Hashes every tensor of the goldens again: `npm run golden:check`, or `node scripts/golden-check.mjs FOLDER`. SPEC G-1.2.
//
// Refused are a tensor whose hash is another one, a tensor that no case names, a case that names one that is not there, a
// value that is not finite, a stage without a rule, an id that is taken, and any file besides manifest and tensors.

import { resolve } from 'node:path';
import {
  GoldenError,
  groupNames,
  namedTensors,
  readGroup,
  ruleName,
  tensorHash,
  valuesOf,
} from './golden/group.mjs';

const root = resolve(process.argv[2] ?? 'golden');

/** All that is wrong with a group. */
function faultsOf({ name, manifest, tensors }) {
  const faults = [];
  const { cases, caseCount, stages } = manifest;
  if (cases.length !== caseCount) faults.push(`expected ${caseCount} cases, got ${cases.length}`);
  const ids = new Set(cases.map(({ id }) => id));
  if (ids.size !== cases.length)
    faults.push(`expected different case ids, got ${cases.length - ids.size} twice`);
  for (const { id, expected } of cases) {
    const unruled = Object.keys(expected).filter((stage) => stages[ruleName(stage)] === undefined);
    faults.push(...unruled.map((stage) => `${id}: expected a rule for stage ${stage}, got none`));
  }
  const named = new Map(namedTensors(manifest));
  for (const [key, hash] of named) {
    const tensor = tensors.get(key);
    if (tensor === undefined) faults.push(`${key}: expected a tensor, got none`);
    else if (tensorHash(tensor) !== hash)
      faults.push(`${key}: expected SHA-256 ${hash}, got ${tensorHash(tensor)}`);
    else if (!valuesOf(tensor).every(Number.isFinite))
      faults.push(`${key}: expected finite values, got others`);
  }
  for (const key of tensors.keys()) {
    if (!named.has(key)) faults.push(`${key}: expected a case that names it, got none`);
  }
  return faults.map((fault) => `${name} ${fault}`);
}

let tensorCount = 0;
const faults = [];
const names = groupNames(root);
if (names.length === 0) faults.push(`expected groups of goldens, got none in ${process.argv[2] ?? 'golden'}`);
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
