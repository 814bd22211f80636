// Reading in a thread that is watched: what hangs, dies or takes too much memory ends the thread and not the tool.

import { Worker } from 'node:worker_threads';
import type { CorpusCase } from './corpus.ts';
import { type Files, SLOWEST_MS, type Wrong } from './judge.ts';

export const LARGEST_BYTES: number = 2 ** 30;
const LARGEST_HEAP_MB = 768;
const WATCH_MS = 100;
/** Without any processor time: waiting for what does not come. */
const LONGEST_WAIT_MS = 60_000;
const LONGEST_PROCESS_MS = 300_000;

/** Places in the memory that both threads see. */
export const COUNTERS = { begun: 0, read: 1, refused: 2, again: 3, stop: 4 } as const;

/** What a thread is for: runs, or candidates that come as messages where `runs` is null. */
export interface Job {
  readonly name: string;
  readonly shared: SharedArrayBuffer;
  readonly runs: {
    readonly seed: number;
    readonly from: number;
    readonly to: number;
    readonly corpus: readonly CorpusCase[];
    /** Kinds of faults, behind the name of the target, that are only counted. */
    readonly known: readonly string[];
  } | null;
}

export interface RunsEnd {
  readonly finding: { readonly run: number; readonly wrong: Wrong } | null;
}

export interface Candidate {
  readonly target: string;
  readonly file: Files;
}

export interface Examination {
  readonly wrong: Wrong | null;
}

export interface Died {
  readonly died: Wrong;
}

export function newCounters(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(4 * Object.keys(COUNTERS).length));
}

export function startThread(path: string, job: Job): Worker {
  return new Worker(path, { workerData: job, resourceLimits: { maxOldGenerationSizeMb: LARGEST_HEAP_MB } });
}

/** The next message of a thread, or how it died; a thread that hangs is ended. `processes`: it waits for others. */
export function nextMessage<T>(thread: Worker, counters: Int32Array, processes: boolean): Promise<T | Died> {
  return new Promise((resolve) => {
    let begun = -1;
    let since = performance.now();
    let used = process.cpuUsage();
    const watch = setInterval(() => {
      const now = Atomics.load(counters, COUNTERS.begun);
      if (now !== begun) {
        [begun, since, used] = [now, performance.now(), process.cpuUsage()];
        return;
      }
      const { user, system } = process.cpuUsage(used);
      const waits = performance.now() - since > (processes ? LONGEST_PROCESS_MS : LONGEST_WAIT_MS);
      const computes = !processes && now > 0 && (user + system) / 1000 > SLOWEST_MS;
      if (!waits && !computes) return;
      const seconds = ((performance.now() - since) / 1000).toFixed(1);
      settle({
        died: { kind: 'hang', text: `expected an end within ${SLOWEST_MS} ms, got none in ${seconds} s` },
      });
    }, WATCH_MS);
    const settle = (outcome: T | Died): void => {
      clearInterval(watch);
      thread.removeAllListeners();
      if (typeof outcome === 'object' && outcome !== null && 'died' in outcome) void thread.terminate();
      resolve(outcome);
    };
    thread.once('message', settle);
    thread.once('exit', (code) => settle({ died: { kind: 'crash', text: `ended with ${code}` } }));
    thread.once('error', (error: NodeJS.ErrnoException) => {
      const outOfMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
      const text = error.stack ?? String(error);
      settle({ died: { kind: outOfMemory ? 'memory' : `crash: ${error.name}`, text } });
    });
  });
}
