// Reading in a thread that is watched: what hangs, dies or takes too much memory ends the thread and not the tool.

import { Worker } from 'node:worker_threads';
import type { CorpusCase } from './corpus.ts';
import { type Files, SLOWEST_MS, type Wrong } from './judge.ts';

export const LARGEST_BYTES: number = 2 ** 30;
const LARGEST_HEAP_MB = 768;
const WATCH_MS = 100;
/** In as many milliseconds: what fills memory grows faster on any machine, and what hangs does not. */
const LEAST_GROWTH_BYTES = 2 ** 23;
/** With nothing to do: waiting for what does not come. (A busy machine makes no thread idle.) */
const LONGEST_WAIT_MS = 10_000;
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
  /** Of the counters, when it died. */
  readonly begun: number;
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
    let used = process.cpuUsage();
    let idle = 0;
    const watch = setInterval(() => {
      const now = Atomics.load(counters, COUNTERS.begun);
      if (now !== begun) {
        begun = now;
        used = process.cpuUsage();
        idle = thread.performance.eventLoopUtilization().idle;
        return;
      }
      if (now === 0) return; // it is being started
      const { user, system } = process.cpuUsage(used);
      const waited = thread.performance.eventLoopUtilization().idle - idle;
      const waits = waited > (processes ? LONGEST_PROCESS_MS : LONGEST_WAIT_MS);
      const computes = !processes && (user + system) / 1000 > SLOWEST_MS;
      if (!waits && !computes) return;
      const resident = residentAtRest();
      if (resident > LARGEST_BYTES) {
        settle({ died: { kind: 'memory', text: `took ${resident} bytes` }, begun });
        return;
      }
      const what = computes ? `${SLOWEST_MS} ms of processor time` : `${waited.toFixed(0)} ms of waiting`;
      settle({ died: { kind: 'hang', text: `expected an end, got none in ${what}` }, begun });
    }, WATCH_MS);
    // Each by itself: removeAllListeners() would also remove what starts the port again for the next message.
    const settle = (outcome: T | Died): void => {
      clearInterval(watch);
      thread.off('message', settle).off('exit', onExit).off('error', onError);
      if (typeof outcome === 'object' && outcome !== null && 'died' in outcome) void thread.terminate();
      resolve(outcome);
    };
    const onExit = (code: number): void => {
      settle({
        died: { kind: 'crash', text: `ended with ${code}` },
        begun: Atomics.load(counters, COUNTERS.begun),
      });
    };
    const onError = (error: NodeJS.ErrnoException): void => {
      const outOfMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
      const text = error.stack ?? String(error);
      settle({
        died: { kind: outOfMemory ? 'memory' : `crash: ${error.name}`, text },
        begun: Atomics.load(counters, COUNTERS.begun),
      });
    };
    thread.once('message', settle).once('exit', onExit).once('error', onError);
  });
}

/** Bytes of the process once they have stopped growing or are too many: a gigabyte may take more time than a hang has. */
function residentAtRest(): number {
  const clock = new Int32Array(new SharedArrayBuffer(4));
  for (let last = process.memoryUsage.rss(); ; ) {
    Atomics.wait(clock, 0, 0, WATCH_MS);
    const resident = process.memoryUsage.rss();
    if (resident > LARGEST_BYTES || resident - last < LEAST_GROWTH_BYTES) return resident;
    last = resident;
  }
}
