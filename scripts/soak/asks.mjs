// Asks of every kind, drawn from a seed. The library is handed in: dist, or src in a spec.

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
