// Time as the processor counts it: a busy machine makes nothing slow.

import { readFileSync } from 'node:fs';

/** The milliseconds that this process has computed for `work`, on all of its threads, and what came of it. */
export async function timed<T>(
  work: () => T | Promise<T>,
): Promise<{ readonly result: T; readonly ms: number }> {
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return { result, ms: (user + system) / 1000 };
}

/** The milliseconds that the main thread has computed so far, without those of the collector's threads; 0 off Linux. */
export function mainThreadMs(): number {
  if (process.platform !== 'linux') return 0;
  return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
}
