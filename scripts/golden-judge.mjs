// Judges what another implementation computed: `npm run golden:judge -- GROUP FILE [GOLDEN] [--precision f16]`. SPEC G-1.5, G-1.6.
//
// FILE is a safetensors file with any of the tensors of a group, under the names that they have there: CASE/STAGE, F32 or
// I32. Each is judged by the rule that the manifest gives for its stage, inputs aside; of a case, the first stage of the pipeline that
// diverges is named. With f16 the tolerances are those of what stores float16 between its operations. A set or a choice may differ
// from the golden where its margin is within the tolerances; what follows from it is then not judged, but counted. docs/porting.md
// says how a port makes such a file.

import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { GoldenError, groupNames, readGroup, readTensors, ruleName, valuesOf } from './golden/group.mjs';
import { optionsOf } from './options.mjs';

const SHOWN = 20;

/** What cannot be judged if another stage was decided otherwise, of the same budget. */
const BEHIND = {
  keptTokenIndices: ['targetTokenIndices', 'similarity', 'assignment'],
  assignment: ['counts', 'tokens', 'contextualTokens', 'visualTokens', 'projectedTokens'],
};

/** Where the golden scores stand that a set or a choice was made by. */
const SCORES_OF = {
  keptTokenIndices: 'scores',
  assignment: 'similarity',
  greedyIds: 'greedyLogits',
};

function rms(values) {
  let squares = 0;
  for (const value of values) squares += value * value;
  return Math.sqrt(squares / Math.max(1, values.length));
}

/** The place of an element, as [1, 0, 5]. */
function placeOf(index, shape) {
  const place = [];
  let rest = index;
  for (const length of shape.toReversed()) {
    place.unshift(rest % length);
    rest = Math.floor(rest / length);
  }
  return `[${place.join(', ')}]`;
}

/** G-1.5: the largest error in tolerances, and its place. What is not a number is off by infinity. */
function worstElement(got, golden, { relativeTo, value, least = 0 }) {
  const bound = value * (relativeTo === 'rms' ? rms(golden) : 1);
  let worst = { ratio: 0, at: 0 };
  for (let i = 0; i < golden.length; i++) {
    const error = Math.abs(got[i] - golden[i]);
    const ratio =
      error === 0 ? 0 : error / (relativeTo === 'element' ? value * Math.abs(golden[i]) + least : bound);
    if (!(ratio <= worst.ratio)) worst = { ratio: Number.isNaN(ratio) ? Infinity : ratio, at: i };
  }
  return worst;
}

/** G-1.6. Why no scores within the bound have this set as their largest, or null. Tokens are counted with CLS as 0. */
function whyNoSet(kept, [B, K], scores, { bound, least }) {
  const P = scores.length / B;
  for (let b = 0; b < B; b++) {
    const row = kept.subarray(b * K, (b + 1) * K);
    const isSet = row[0] === 0 && row.every((token, i) => i === 0 || (token > row[i - 1] && token <= P));
    if (!isSet) return `image ${b}: expected 0 and then ascending tokens up to ${P}, got ${row}`;
    const chosen = new Set(row);
    let [weakest, strongest] = [Infinity, -Infinity];
    for (let token = 1; token <= P; token++) {
      const score = scores[b * P + token - 1];
      const margin = bound * Math.abs(score) + least;
      if (chosen.has(token)) weakest = Math.min(weakest, score + margin);
      else strongest = Math.max(strongest, score - margin);
    }
    if (weakest < strongest)
      return `image ${b}: expected the largest scores, got one of ${weakest} without one of ${strongest}`;
  }
  return null;
}

/** G-1.6. Why some choice is not the best one within the bound, or null. */
function whyNoChoice(chosen, candidates, bound) {
  const count = candidates.length / Math.max(1, chosen.length);
  for (const [row, choice] of chosen.entries()) {
    const values = candidates.subarray(row * count, (row + 1) * count);
    const best = values.reduce((a, b) => Math.max(a, b));
    if (!(values[choice] + bound >= best - bound))
      return `row ${row}: expected ${values.indexOf(best)} (${best}), got ${choice} (${values[choice]})`;
  }
  return null;
}

/** The golden scores behind a decision, and how far they may be off. */
function scoresBehind({ manifest, tensors }, { id, expected }, stage, precision) {
  const [path, suffix = ''] = stage.split(/(?=@)/);
  const name = path.split('.').at(-1);
  const own = path.slice(0, path.length - name.length) + SCORES_OF[name];
  const scoresName = `${own}${suffix}` in expected ? `${own}${suffix}` : own;
  const values = valuesOf(tensors.get(`${id}/${scoresName}`));
  const { relativeTo, value, least = 0 } = toleranceAt(manifest.stages[ruleName(scoresName)], precision);
  return { values, least, bound: relativeTo === 'rms' ? value * rms(values) : value };
}

/** G-1.5: the tolerance of a rule at a precision. */
function toleranceAt({ tolerance }, precision) {
  return precision === 'f32' ? tolerance : { relativeTo: tolerance.relativeTo, ...tolerance.f16 };
}

/** Whether there is one: where no float16 run decided as float64 did, nothing was measured behind the decision. */
function canBeJudged({ tolerance }, precision) {
  return precision === 'f32' || tolerance === undefined || tolerance.f16 !== undefined;
}

/** Judges one stage: { wrong, ratio, differs }, wrong being null or what is. */
function judgeStage(group, one, stage, found, precision) {
  const golden = group.tensors.get(`${one.id}/${stage}`);
  if (found.dtype !== golden.dtype || `${found.shape}` !== `${golden.shape}`) {
    const type = ({ dtype, shape }) => `${dtype} [${shape.join(', ')}]`;
    return { wrong: `expected ${type(golden)}, got ${type(found)}`, ratio: Infinity };
  }
  const [got, values] = [valuesOf(found), valuesOf(golden)];
  const rule = group.manifest.stages[ruleName(stage)];
  const { kind } = rule;
  if (kind === 'real') {
    const { ratio, at } = worstElement(got, values, toleranceAt(rule, precision));
    if (ratio <= 1) return { wrong: null, ratio };
    return {
      wrong: `at ${placeOf(at, golden.shape)} expected ${values[at]}, got ${got[at]}`,
      ratio,
    };
  }
  const at = values.findIndex((value, i) => value !== got[i]);
  if (at < 0) return { wrong: null, ratio: 0 };
  if (kind === 'topk_set' || kind === 'argmax') {
    const scores = scoresBehind(group, one, stage, precision);
    const wrong =
      kind === 'topk_set'
        ? whyNoSet(got, golden.shape, scores.values, scores)
        : whyNoChoice(got, scores.values, scores.bound);
    return wrong === null ? { wrong, ratio: 0, differs: true } : { wrong, ratio: Infinity };
  }
  return {
    wrong: `at ${placeOf(at, golden.shape)} expected ${values[at]}, got ${got[at]}`,
    ratio: Infinity,
  };
}

/** The stages that follow from a decision that was open and fell otherwise, by name, the budget behind the @ included. */
function openedBy(stage) {
  const [name, suffix = ''] = stage.split(/(?=@)/);
  const direct = BEHIND[name] ?? [];
  return direct.flatMap((next) => [`${next}${suffix}`, ...openedBy(`${next}${suffix}`)]);
}

/** Judges a case: { judged, open, largest, message }, message being null if nothing diverges. */
function judgeCase(group, one, tensors, precision) {
  const open = new Set();
  const divergences = [];
  const counts = { judged: 0, open: 0, largest: { ratio: 0, stage: '' } };
  for (const stage of Object.keys(one.expected)) {
    const found = tensors.get(`${one.id}/${stage}`);
    if (found === undefined || !canBeJudged(group.manifest.stages[ruleName(stage)], precision)) continue;
    if (open.has(stage.replace(/\.(rows|lengths)/, ''))) {
      counts.open++;
      continue;
    }
    counts.judged++;
    const { wrong, ratio, differs = false } = judgeStage(group, one, stage, found, precision);
    if (differs) for (const next of openedBy(stage)) open.add(next);
    if (wrong !== null) divergences.push({ stage, ratio, wrong });
    else if (ratio > counts.largest.ratio) counts.largest = { ratio, stage };
  }
  const [first, ...others] = divergences;
  if (first === undefined) return { ...counts, message: null };
  const factor = first.ratio === Infinity ? 'wrong' : `${first.ratio.toPrecision(3)} tolerances`;
  const after = others.length === 0 ? '' : `; then ${others.map(({ stage }) => stage).join(', ')}`;
  return {
    ...counts,
    message: `${one.id}: first divergence at ${first.stage} (${factor}): ${first.wrong}${after}`,
  };
}

function judgeFile(group, file, tensors, precision) {
  const { cases } = group.manifest;
  const keysOf = (part) =>
    new Set(cases.flatMap((one) => Object.keys(one[part]).map((s) => `${one.id}/${s}`)));
  const [stages, inputs] = [keysOf('expected'), keysOf('inputs')];
  const strangers = [...tensors.keys()].filter((key) => !stages.has(key) && !inputs.has(key));
  const messages = strangers.map((key) => `${file} ${key}: expected a stage of ${group.name}, got none`);
  const total = { judged: 0, open: 0, cases: 0, largest: { ratio: 0, stage: 'any stage' } };
  for (const one of cases) {
    const { judged, open, largest, message } = judgeCase(group, one, tensors, precision);
    total.judged += judged;
    total.open += open;
    if (judged > 0) total.cases++;
    if (largest.ratio > total.largest.ratio) total.largest = largest;
    if (message !== null) messages.push(`${group.name} ${message}`);
  }
  if (total.judged === 0) messages.push(`${file}: expected stages of ${group.name}, got none`);
  for (const message of messages.slice(0, SHOWN)) console.error(`golden-judge: ${message}`);
  if (messages.length > SHOWN) console.error(`golden-judge: and ${messages.length - SHOWN} more`);
  console.log(
    `${group.name}: ${total.judged} of ${stages.size} stages judged, in ${total.cases} of ${cases.length} cases; the largest error that ` +
      `passes is ${total.largest.ratio.toFixed(3)} of its tolerance, at ${total.largest.stage}; ${total.open} behind an open decision ` +
      'that fell otherwise',
  );
  return messages.length === 0;
}

try {
  const { values, positionals } = optionsOf('golden-judge', {
    options: { precision: { type: 'string', default: 'f32' } },
    allowPositionals: true,
  });
  const [name, file, goldenArgument = 'golden'] = positionals;
  const root = resolve(goldenArgument);
  if (!['f32', 'f16'].includes(values.precision)) {
    throw new GoldenError(`expected --precision f32 or f16, got ${values.precision}`);
  }
  if (name === undefined || file === undefined || !groupNames(root).includes(name)) {
    throw new GoldenError(
      `expected a group (${groupNames(root).join(', ')}) and a safetensors file, got ${positionals.join(' ') || 'nothing'}`,
    );
  }
  const group = readGroup(root, name);
  if (!existsSync(file)) throw new GoldenError(`expected a safetensors file, got none at ${file}`);
  const tensors = readTensors(file, readFileSync(file));
  process.exitCode = judgeFile(group, file, tensors, values.precision) ? 0 : 1;
} catch (error) {
  if (!(error instanceof GoldenError) && error.code !== 'ENOENT') throw error;
  console.error(`golden-judge: ${error.message}`);
  process.exitCode = 2;
}
