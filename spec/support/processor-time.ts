// Time as the processor counts it: a busy machine makes nothing slow.

/** The milliseconds that this process has computed for `work`, on all of its threads, and what came of it. */
export async function timed<T>(
  work: () => T | Promise<T>,
): Promise<{ readonly result: T; readonly ms: number }> {
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return { result, ms: (user + system) / 1000 };
}
