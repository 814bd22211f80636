// `npm run fuzz`: reads tampered files until the runs are done or Ctrl-C; a fault is made small and kept in the corpus.

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { type CorpusCase, readCorpus, writeCase } from './corpus.ts';
import type { Files, Target, Wrong } from './judge.ts';
import { drawnRun, fuzzTargets, type Run } from './runs.ts';
import { minimise, sizeOf } from './shrink.ts';
import { targets } from './targets.ts';
import {
  type Candidate,
  COUNTERS,
  type Died,
  type Examination,
  type Job,
  newCounters,
  nextMessage,
  type RunsEnd,
  startThread,
} from './thread.ts';

export interface FuzzOptions {
  readonly target: string; // one of `targets`
  readonly runs: number;
  readonly seed: number;
  readonly corpus: string; // the folder of the corpus
  readonly worker: string; // the program of the thread, built
  readonly log: (line: string) => void;
  /** Runs and a percentage now and then, on a line that may be written over. */
  readonly progress: (line: string) => void;
}

export interface FuzzSession {
  /** How many faults were found, once it has ended. */
  readonly findings: Promise<number>;
  /** Ends it behind the run at hand. */
  readonly stop: () => void;
}

/** Those of the suite; `faulty` is taken, too. */
export const targetNames: readonly string[] = Object.keys(targets);

const MOST_CANDIDATES = 4000;
const MOST_COSTLY = 60; // of candidates that each may hang or fill the memory
const MOST_PROCESSES = 200; // of candidates that each start a process
const PROGRESS_MS = 1000;

export function startFuzzing(options: FuzzOptions): FuzzSession {
  const counters = newCounters();
  const stop = (): void => void Atomics.store(counters, COUNTERS.stop, 1);
  return { findings: fuzzAll(options, counters), stop };
}

async function fuzzAll(options: FuzzOptions, counters: Int32Array<SharedArrayBuffer>): Promise<number> {
  const { target: name, runs, seed, log } = options;
  const list = fuzzTargets[name] as readonly Target[];
  const corpus = [...readCorpus(join(options.corpus, name)).values()];
  const start = performance.now();
  const progress = setInterval(() => options.progress(progressLine(counters, start)), PROGRESS_MS);
  const isStopped = (): boolean => Atomics.load(counters, COUNTERS.stop) === 1;
  const known: string[] = [];
  const processes = list.some((target) => target.processes === true);
  for (let from = 0; from < runs && !isStopped(); ) {
    const job: Job = { name, shared: counters.buffer, runs: { seed, from, to: runs, corpus, known } };
    const thread = startThread(options.worker, job);
    const end = await nextMessage<RunsEnd>(thread, counters, processes);
    await thread.terminate();
    const finding = 'died' in end ? { run: end.begun - 1, wrong: end.died } : end.finding;
    if (finding === null) break;
    if (finding.run < from) throw new Error(`the thread did not start: ${finding.wrong.text}`);
    const run = drawnRun(list, corpus, seed, finding.run);
    from = finding.run + 1;
    const kind = `${run.target.name}: ${finding.wrong.kind}`;
    if (known.includes(kind)) {
      Atomics.add(counters, COUNTERS.again, 1); // a kind that ends the thread each time
      continue;
    }
    known.push(kind);
    log(`run ${finding.run}, ${kind}`);
    await keep(options, run, finding, isStopped);
  }
  clearInterval(progress);
  log(progressLine(counters, start));
  return known.length;
}

function progressLine(counters: Int32Array, start: number): string {
  const of = (name: keyof typeof COUNTERS): number => Atomics.load(counters, COUNTERS[name]);
  const seconds = (performance.now() - start) / 1000;
  const rate = Math.round((of('read') + of('refused')) / seconds);
  const again = of('again') === 0 ? '' : `, ${of('again')} with a fault that was found before`;
  return (
    `${of('begun')} runs in ${seconds.toFixed(0)} s, ${rate} a second: ` +
    `${of('read')} read, ${of('refused')} refused${again}`
  );
}

/** Makes a fault small and writes it down. */
async function keep(
  options: FuzzOptions,
  { target, file }: Run,
  { run, wrong }: { readonly run: number; readonly wrong: Wrong },
  isStopped: () => boolean,
): Promise<void> {
  const { target: name, seed, log } = options;
  const examiner = startExaminer(options, target);
  const comesAgain = async (candidate: Files): Promise<boolean> =>
    (await examiner.examine(candidate))?.kind === wrong.kind;
  const isAlone = await comesAgain(file);
  const isCostly = wrong.kind === 'hang' || wrong.kind === 'memory';
  const most = isCostly ? MOST_COSTLY : target.processes === true ? MOST_PROCESSES : MOST_CANDIDATES;
  const small = isAlone ? await minimise(file, comesAgain, { most, isStopped }) : file;
  await examiner.stop();
  const broken = target.broken(small);
  const note = isAlone ? '' : ' (among others, not alone)';
  const one: CorpusCase = {
    target: target.name,
    expected: broken === undefined ? 'either' : broken === null ? 'read' : 'refused',
    why: `npm run fuzz -- --target ${name} --seed ${seed}, run ${run}${note}: ${firstLine(wrong.text)}`,
    file: small,
  };
  const path = writeCase(join(options.corpus, name), caseName(wrong, small), one);
  log(`  ${sizeOf(file)} bytes, made ${sizeOf(small)}${note}: ${path}`);
  log(`  ${firstLine(wrong.text)}`);
}

interface Examiner {
  readonly examine: (file: Files) => Promise<Wrong | null>;
  readonly stop: () => Promise<void>;
}

/** A thread that reads one file after the other, and another one when it dies. */
function startExaminer({ target: name, worker }: FuzzOptions, target: Target): Examiner {
  let running: { readonly thread: Worker; readonly counters: Int32Array<SharedArrayBuffer> } | null = null;
  return {
    async examine(file) {
      if (running === null) {
        const counters = newCounters();
        running = { thread: startThread(worker, { name, shared: counters.buffer, runs: null }), counters };
      }
      const { thread, counters } = running;
      const answer = nextMessage<Examination>(thread, counters, target.processes === true);
      thread.postMessage({ target: target.name, file } satisfies Candidate);
      const outcome: Examination | Died = await answer;
      const wrong = 'died' in outcome ? outcome.died : outcome.wrong;
      if ('died' in outcome || wrong?.kind === 'memory') {
        await thread.terminate(); // with the memory that it took
        running = null;
      }
      return wrong;
    },
    async stop() {
      await running?.thread.terminate();
    },
  };
}

function firstLine(text: string): string {
  return (text.split('\n', 1)[0] as string).slice(0, 300);
}

/** The kind as a file's name, and a few digits that tell files of one kind apart. */
function caseName({ kind }: Wrong, file: Files): string {
  const hash = createHash('sha256');
  for (const [name, bytes] of Object.entries(file instanceof Uint8Array ? { '': file } : file)) {
    hash.update(`${name}\0${bytes.length}\0`).update(bytes);
  }
  const slug = kind.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  return `${slug.slice(0, 40).replace(/-$/, '')}-${hash.digest('hex').slice(0, 8)}`;
}
