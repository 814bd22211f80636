// The thread in which the fuzzer reads: it may hang, take all memory or die. See thread.ts.

import { writeFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { examine, type Target, type Wrong } from './judge.ts';
import { drawnRun, fuzzTargets } from './runs.ts';
import {
  type Candidate,
  COUNTERS,
  type Examination,
  type Job,
  LARGEST_BYTES,
  type RunsEnd,
} from './thread.ts';

const { name, shared, runs } = workerData as Job;
const counters = new Int32Array(shared);
const list = fuzzTargets[name] as readonly Target[];

if (runs === null) {
  let examined = 0;
  parentPort?.on('message', async ({ target, file }: Candidate) => {
    Atomics.store(counters, COUNTERS.begun, ++examined);
    const found = list.find((one) => one.name === target) as Target;
    forgetPeak();
    const { wrong } = await examine(found, file);
    parentPort?.postMessage({ wrong: tooLarge() ?? wrong } satisfies Examination);
  });
} else {
  parentPort?.postMessage(await readAll(runs));
}

/** Runs until one finds a kind of fault that is not known yet. */
async function readAll({ seed, from, to, corpus, known }: NonNullable<Job['runs']>): Promise<RunsEnd> {
  forgetPeak();
  for (let run = from; run < to; run++) {
    if (Atomics.load(counters, COUNTERS.stop) === 1) return { finding: null };
    const { target, file } = drawnRun(list, corpus, seed, run);
    Atomics.store(counters, COUNTERS.begun, run + 1);
    const { accepted, wrong: judged } = await examine(target, file);
    // Ctrl-C reaches the processes that a target starts, too.
    if (target.processes === true && Atomics.load(counters, COUNTERS.stop) === 1) return { finding: null };
    Atomics.add(counters, accepted ? COUNTERS.read : COUNTERS.refused, 1);
    const wrong = tooLarge() ?? judged; // what fills a gigabyte may also be slow
    if (wrong === null) continue;
    // What took the memory may still hold it.
    if (wrong.kind === 'memory' || !known.includes(`${target.name}: ${wrong.kind}`))
      return { finding: { run, wrong } };
    Atomics.add(counters, COUNTERS.again, 1);
  }
  return { finding: null };
}

function tooLarge(): Wrong | null {
  const bytes = process.resourceUsage().maxRSS * 1024;
  return bytes > LARGEST_BYTES ? { kind: 'memory', text: `took ${bytes} bytes` } : null;
}

/** Where the system can: elsewhere the peak of the process stays what it was. */
function forgetPeak(): void {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {
    // No Linux.
  }
}
