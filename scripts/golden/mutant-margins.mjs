// How far the weakest planted bug is from the tolerance of the stage where it shows first. golden/README.md, `mutantMin`.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ruleName } from './group.mjs';

/** Where a run of the goldens went red: { group, stage, factor }, factor in tolerances. Null where it was not a number that did. */
export function divergenceOf(output) {
  const found = /Error: (\S+) \S+, [^\n]*: first divergence at (\S+) \(([\d.e+]+) tolerances\)/.exec(output);
  return found === null ? null : { group: found[1], stage: found[2], factor: Number(found[3]) };
}

/**
 * Writes `mutantMin` into the manifests under `root`: of each stage the smallest error, measured as the tolerance is, by which a
 * bug showed there first. Returns what was written, as [group, stage, times the tolerance], the weakest first.
 */
export function recordMargins(root, divergences) {
  const written = [];
  for (const group of new Set(divergences.map((one) => one.group))) {
    const path = join(root, group, 'manifest.json');
    let text = readFileSync(path, 'utf8');
    const { stages } = JSON.parse(text);
    for (const { tolerance } of Object.values(stages))
      if (tolerance !== undefined) delete tolerance.mutantMin;
    for (const one of divergences) {
      if (one.group !== group) continue;
      const { tolerance } = stages[ruleName(one.stage)];
      const error = one.factor * tolerance.value;
      if (!(tolerance.mutantMin <= error)) tolerance.mutantMin = error;
    }
    for (const [stage, { tolerance }] of Object.entries(stages)) {
      if (tolerance?.mutantMin !== undefined)
        written.push([group, stage, tolerance.mutantMin / tolerance.value]);
    }
    text = text.replace(/^ "stages": \{[\s\S]*?^ \},$/m, () => indented({ stages }));
    writeFileSync(path, text);
  }
  return written.sort((a, b) => a[2] - b[2]);
}

/** One key of the manifest as the exporter, in Python, writes it: small numbers as 9.5e-07. */
function indented(one) {
  const small = (digits) => {
    const text = Number(digits).toExponential();
    return text.replace(/e-(\d)$/, 'e-0$1');
  };
  const text = JSON.stringify(one, null, 1).replace(/(?<=: )(0\.0000\d+|\d(\.\d+)?e-\d)(?=,?$)/gm, small);
  return `${text.slice(2, -2)},`;
}
