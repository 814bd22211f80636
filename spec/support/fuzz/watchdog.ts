// Ends the process where a reader does not come back: a loop without end cannot be timed out from within its thread.

import { Worker } from 'node:worker_threads';

export interface Watchdog {
  /** What is about to be read. */
  at(label: string): void;
  stop(): Promise<number>;
}

const LABEL_BYTES = 256;

const code = `
  const { workerData } = require('node:worker_threads');
  const { writeSync } = require('node:fs');
  const beats = new Int32Array(workerData.shared, 0, 2);
  let last = -1;
  let since = Date.now();
  setInterval(() => {
    if (beats[0] !== last) { last = beats[0]; since = Date.now(); return; }
    if (Date.now() - since < workerData.limitMs) return;
    const label = Buffer.from(new Uint8Array(workerData.shared, 8, beats[1]).slice()).toString();
    writeSync(2, 'fuzz: expected an end within ' + workerData.limitMs + ' ms, got none: ' + label + '\\n');
    process.kill(process.pid, 'SIGKILL');
  }, 200);
`;

/** Kills the process, naming what was being read, where nothing has happened for `limitMs`. */
export function watchdog(limitMs: number): Watchdog {
  const shared = new SharedArrayBuffer(8 + LABEL_BYTES);
  const beats = new Int32Array(shared, 0, 2);
  const text = new Uint8Array(shared, 8);
  const worker = new Worker(code, { eval: true, workerData: { shared, limitMs } });
  return {
    at(label) {
      const bytes = new TextEncoder().encode(label).subarray(0, LABEL_BYTES);
      text.set(bytes);
      beats[1] = bytes.length;
      Atomics.add(beats, 0, 1);
    },
    stop: () => worker.terminate(),
  };
}
