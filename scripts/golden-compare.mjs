// Compares the goldens with another export of them: `npm run golden:compare -- FOLDER [GOLDEN]`. SPEC G-1.8.
//
// The exporter computes in float64, whose results may differ by 1e-12 (relative) between processors. Stored is the nearest
// f32, so what can be seen is this: integers are equal, and reals are equal, or differ by a step of f32 or by 1e-12 of the
// root mean square of their tensor. Margins are stored in float64 and compared to 1e-10. Where the original computes in float32
// whatever it is given (`float32Inside`), both may differ by what that does: `legitMax` of the stage, and 1e-5. A case with a tie (flags TieAtCut and
// TieInAssignment) may be decided otherwise on another system: the original leaves it open, and what follows from it is not
// compared then.

import { resolve } from 'node:path';
import { groupNames, namedTensors, readGroup, ruleName, tensorHash, valuesOf } from './golden/group.mjs';
import { optionsOf, refuse } from './options.mjs';

const { positionals } = optionsOf('golden-compare', { allowPositionals: true });
const [otherArgument, goldenArgument = 'golden'] = positionals;
if (otherArgument === undefined) {
  refuse('golden-compare', 'expected a folder that scripts/export-golden/original.py has written, got none.');
}
const root = resolve(goldenArgument);
const otherRoot = resolve(otherArgument);
const RELATIVE = 1e-12;
const MARGIN = { exact: 1e-10, float32Inside: 1e-5 };

function rms(values) {
  let squares = 0;
  for (const value of values) squares += value * value;
  return Math.sqrt(squares / Math.max(1, values.length));
}

/** The distance from |x| to the next f32. */
function step(x) {
  return 2 ** (Math.max(-126, Math.floor(Math.log2(Math.abs(x) || 2 ** -126))) - 23);
}

/** { same, worst }: whether two tensors agree but for `relative` of the root mean square, and the largest difference relative to the root mean square. */
function compareTensors(golden, other, relative) {
  if (golden.dtype !== other.dtype || `${golden.shape}` !== `${other.shape}`)
    return { same: false, worst: Infinity };
  if (tensorHash(golden) === tensorHash(other)) return { same: true, worst: 0 };
  if (golden.dtype === 'I32') return { same: false, worst: Infinity };
  const [a, b] = [valuesOf(golden), valuesOf(other)];
  const size = rms(a);
  let same = true;
  let worst = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i] - b[i]);
    const allowed = step(Math.max(Math.abs(a[i]), Math.abs(b[i]))) + relative * size;
    if (!(difference <= allowed)) same = false;
    worst = Math.max(worst, difference / (size || 1));
  }
  return { same, worst };
}

function numbersIn(value) {
  if (Array.isArray(value) || (typeof value === 'object' && value !== null))
    return Object.values(value).flatMap(numbersIn);
  return [value];
}

function marginsAgree(a, b, bound) {
  const [golden, other] = [numbersIn(a), numbersIn(b)];
  const close = (x, i) => x === other[i] || Math.abs(x - other[i]) <= bound * Math.max(1, Math.abs(x));
  return golden.length === other.length && golden.every(close);
}

/** The stages behind a tie that two runs decided differently. */
function openStages(flags, expected, found) {
  const decidedOtherwise = (flag, stage) => flags.includes(flag) && expected[stage] !== found[stage];
  const behindAssignment = ['assignment', 'counts', 'tokens'];
  if (decidedOtherwise('TieAtCut', 'keptTokenIndices')) {
    return new Set(['keptTokenIndices', 'targetTokenIndices', 'similarity', ...behindAssignment]);
  }
  return new Set(decidedOtherwise('TieInAssignment', 'assignment') ? behindAssignment : []);
}

let failures = 0;
const say = (text) => {
  failures++;
  if (failures <= 20) console.error(`golden-compare: ${text}`);
};

const [names, otherNames] = [groupNames(root), groupNames(otherRoot)];
if (`${names}` !== `${otherNames}`)
  say(`expected the groups ${names}, got ${otherNames.length > 0 ? otherNames : 'none'}`);
for (const name of names.filter((one) => otherNames.includes(one))) {
  const [golden, other] = [readGroup(root, name), readGroup(otherRoot, name)];
  const [keys, otherKeys] = [golden, other].map(
    ({ manifest }) => new Set(namedTensors(manifest).map(([key]) => key)),
  );
  for (const key of keys) if (!otherKeys.has(key)) say(`${name} ${key}: expected it, got nothing`);
  for (const key of otherKeys) if (!keys.has(key)) say(`${name} ${key}: expected no such tensor, got one`);
  const others = new Map(other.manifest.cases.map((one) => [one.id, one]));
  const isRounded = golden.manifest.float32Inside !== undefined;
  const counts = { equal: 0, close: 0, open: 0 };
  let largest = 0;
  for (const { id, inputs, expected, margins, flags } of golden.manifest.cases) {
    const found = others.get(id);
    if (found === undefined) continue;
    const open = openStages(flags, expected, found.expected);
    if (JSON.stringify(Object.keys(expected)) !== JSON.stringify(Object.keys(found.expected))) {
      say(`${name} ${id}: expected the stages ${Object.keys(expected)}, got ${Object.keys(found.expected)}`);
    }
    if (
      open.size === 0 &&
      !marginsAgree(margins, found.margins, isRounded ? MARGIN.float32Inside : MARGIN.exact)
    )
      say(`${name} ${id}: expected the same margins, got others`);
    for (const [stage, hash] of [...Object.entries(inputs), ...Object.entries(expected)]) {
      const key = `${id}/${stage}`;
      if (typeof hash !== 'string') {
        if (JSON.stringify(hash) !== JSON.stringify(found.inputs[stage]))
          say(`${name} ${key}: expected the same formula`);
        continue;
      }
      const [a, b] = [golden.tensors.get(key), other.tensors.get(key)];
      if (a === undefined || b === undefined) continue;
      if (open.has(stage)) {
        counts.open++;
        continue;
      }
      const { tolerance } = golden.manifest.stages[ruleName(stage)] ?? {};
      const { same, worst } = compareTensors(a, b, (isRounded && tolerance?.legitMax) || RELATIVE);
      if (!same)
        say(
          `${name} ${key}: expected the same values, got others, off by ${worst} of their root mean square`,
        );
      else if (worst === 0) counts.equal++;
      else counts.close++;
      if (same) largest = Math.max(largest, worst);
    }
  }
  console.log(
    `${name}: ${counts.equal} tensors equal to the bit, ${counts.close} as close as another processor may come (at most ${largest.toExponential(1)} ` +
      `of the root mean square), ${counts.open} behind a tie that was decided otherwise`,
  );
}
if (failures > 20) console.error(`golden-compare: and ${failures - 20} more`);
process.exitCode = failures === 0 ? 0 : 1;
