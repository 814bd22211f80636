// Which file the fuzzer reads in a run: a mutation of a valid file, as the suite has it, or now and then of a file of the corpus.

import type { CorpusCase } from './corpus.ts';
import { type Draw, drawFor } from './draw.ts';
import type { Files, Target } from './judge.ts';
import { mutateBytes } from './mutate-bytes.ts';
import { mutateTree, parseTree, spelled } from './mutate-json.ts';
import { sizeOf } from './shrink.ts';
import { faulty } from './target-faulty.ts';
import { targets } from './targets.ts';

/** What the tool can run: the targets of the suite, and the one that tests the tool. */
export const fuzzTargets: Readonly<Record<string, readonly Target[]>> = { ...targets, faulty: [faulty] };

const LARGEST_TAMPERED = 100_000;

export interface Run {
  readonly target: Target;
  readonly file: Files;
}

/** The file of a run, known by the seed and its number. The targets take turns. */
export function drawnRun(
  targets: readonly Target[],
  corpus: readonly CorpusCase[],
  seed: number,
  run: number,
): Run {
  const target = targets[run % targets.length] as Target;
  const mutation = Math.floor(run / targets.length);
  const kept = corpus.filter((one) => one.target === target.name && sizeOf(one.file) < LARGEST_TAMPERED);
  const other = drawFor(seed, `corpus of ${target.name}`, mutation);
  if (kept.length > 0 && other.oneIn(8)) return { target, file: tampered(other, other.pick(kept).file) };
  return { target, file: target.mutate(drawFor(seed, target.name, mutation)) };
}

function tampered(draw: Draw, file: Files): Files {
  if (file instanceof Uint8Array) return tamperedBytes(draw, file);
  const name = draw.pick(Object.keys(file));
  return { ...file, [name]: tamperedBytes(draw, file[name] as Uint8Array) };
}

function tamperedBytes(draw: Draw, bytes: Uint8Array): Uint8Array {
  const tree = draw.oneIn(2) ? parseTree(new TextDecoder().decode(bytes)) : null;
  if (tree !== null) return new TextEncoder().encode(spelled(mutateTree(draw, tree)));
  return mutateBytes(draw, bytes);
}
