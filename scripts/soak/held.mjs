// What a process holds between two pieces of work, and whether it grows.

/** What is held when nothing is being done. Resident memory is that of the process, behind two collections. */
export async function heldNow(gpu, collect) {
  for (let i = 0; i < 2; i++) {
    collect();
    await new Promise((done) => setTimeout(done, 20)); // Dawn lets go of its objects in a turn of its own
  }
  const { live, buffersHeld, allocatedBytes } = gpu.memory;
  return {
    residentBytes: process.memoryUsage.rss(),
    heapBytes: process.memoryUsage().heapUsed,
    liveTensors: live.size,
    buffersHeld,
    allocatedBytes,
    bindGroups: gpu.commands.bindGroups.size,
  };
}

/**
 * By how much the last quarter may exceed the first: live tensors by nothing, what is pooled by a tenth, JavaScript's heap by a
 * quarter, in which the cache of at most 4,096 bind groups comes and goes.
 */
export const BOUNDS = {
  residentBytes: 1.1,
  heapBytes: 1.25,
  liveTensors: 1,
  buffersHeld: 1.1,
  allocatedBytes: 1.1,
};

/**
 * From samples at equal distances, a line for each count whose largest of the last quarter is beyond its bound over the
 * largest of the first. Largest, since the pool is emptied whenever a call is refused for want of memory.
 */
export function growth(samples) {
  const first = samples.slice(0, Math.ceil(samples.length / 4));
  const last = samples.slice(Math.floor((3 * samples.length) / 4));
  return Object.entries(BOUNDS).flatMap(([name, bound]) => {
    const [before, most] = [first, last].map((quarter) => Math.max(...quarter.map((sample) => sample[name])));
    return most <= before * bound ? [] : [`${name}: expected at most ${bound} times ${before}, got ${most}`];
  });
}
