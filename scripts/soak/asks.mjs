// Asks of every kind, drawn from a seed, and what is held between them. The library is handed in: dist, or src in a spec.

/** A generator of whole numbers below n (mulberry32): the same seed, the same asks. */
export function drawer(seed) {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

/**
 * One ask: a picture is decoded, encoded, zipped and asked about. One in eight keeps all patches, one in eight is left after
 * its first piece of text, one in eight asks for more tokens than there are and is refused.
 */
export async function askOnce(library, llava, pictures, draw) {
  const {
    ask,
    decodeImage,
    dispose,
    encodeImage,
    patchTokens,
    preprocessCrop,
    preprocessPad,
    tidy,
    visionZip,
  } = library;
  const { name, bytes, questions } = pictures[draw(pictures.length)];
  const { image } = await decodeImage(bytes, name);
  const preprocess = draw(2) === 0 ? preprocessPad : preprocessCrop;
  const encoding = tidy(llava.gpu, () => encodeImage(llava, preprocess(image, llava.preprocessor)));
  const kind = draw(8);
  const budget = {
    dominantCount: 1 + draw(kind === 7 ? 200 : 540) + (kind === 7 ? 600 : 0),
    contextualCount: 1 + draw(30),
  };
  const question = questions[draw(questions.length)];
  let zipped;
  let tokens; // [1, K + M, C], or all patches
  try {
    if (kind !== 0) zipped = visionZip(encoding, budget);
    tokens = zipped?.tokens ?? patchTokens(encoding);
    for await (const _ of ask(llava, tokens, question)) if (kind === 1) break;
  } catch (error) {
    if (kind !== 7 || error.name !== 'RangeError') throw error;
  } finally {
    dispose(encoding, zipped, tokens);
  }
}

/** What is held when nothing is being asked. Resident memory is that of the process, behind two collections. */
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
 * By how much the end may exceed the first quarter: live tensors by nothing, what is pooled by a tenth, JavaScript's heap by a
 * quarter, in which the cache of at most 4,096 bind groups comes and goes.
 */
export const BOUNDS = {
  residentBytes: 1.1,
  heapBytes: 1.25,
  liveTensors: 1,
  buffersHeld: 1.1,
  allocatedBytes: 1.1,
};

/** From samples at equal distances, a line for each count whose largest of the last quarter is beyond its bound. */
export function growth(samples) {
  const quarter = samples[Math.ceil(samples.length / 4) - 1];
  const last = samples.slice(Math.floor((3 * samples.length) / 4));
  return Object.entries(BOUNDS).flatMap(([name, bound]) => {
    const most = Math.max(...last.map((sample) => sample[name]));
    return most <= quarter[name] * bound
      ? []
      : [`${name}: expected at most ${bound} times ${quarter[name]}, got ${most}`];
  });
}
