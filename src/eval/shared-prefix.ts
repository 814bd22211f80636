// Many questions about pictures that are read once. SPEC E-1.8.
//
//   B pictures   Q questions   V visual tokens   T positions   C channels of the encoder   E channels of the decoder
//   G key heads   L positions so far   D channels per head
//
// Up to the picture all prompts are the same, and a cache is a value. So the decoder runs over `USER: <image>` once for
// each picture, and each question goes on from a copy of that cache, several side by side.

import {
  type DecoderStep,
  decoderStep,
  emptyCache,
  type KeyValueCache,
  type LlamaWeights,
  type Llava,
  type PromptIds,
  project,
  releaseStep,
} from '../models/index.ts';
import {
  argmax,
  concat,
  dims,
  dispose,
  type Gpu,
  type GrowingRows,
  growingRowsOf,
  type IndexTensor,
  indexTensor,
  lookup,
  read,
  repeatRows,
  reshape,
  type Tensor,
  tidy,
} from '../tensor/index.ts';

/**
 * Runs the decoder over the ids before the picture and the visual tokens [B, V, C] of B pictures. The cache has room for
 * `positionCount` positions. Nothing is read back. Throws RangeError if that is more than the model was made for.
 */
export function readPictures(
  llava: Llava,
  before: PromptIds['before'],
  tokens: Tensor,
  positionCount: number,
): KeyValueCache {
  const { gpu, language } = llava;
  const { B } = dims(tokens, 'tokens [B, V, C]');
  return tidy(gpu, () => {
    const cache = emptyCache(gpu, language, positionCount);
    const words = reshape(embed(gpu, language, [before]), [before.length, language.config.hiddenSize]); // [T, E]
    const inputEmbeds = concat([repeatRows(words, B), project(llava, tokens)], 1); //                    [B, T + V, E]
    return decoderStep(language, inputEmbeds, cache).cache;
  });
}

/** A question to one of the pictures that a cache holds. */
export interface PictureQuestion {
  readonly picture: number; //             0 to B − 1
  readonly after: PromptIds['after']; //   the ids behind the picture
}

export interface TogetherOptions {
  readonly maxNewTokens: number;
  /** Whether the answer to question q goes on behind these ids, none of them EOS. By default all do. */
  readonly goesOn?: (q: number, tokenIds: readonly number[]) => boolean;
}

/**
 * The token ids of the answers, as `decode` gives them: greedy, up to EOS or maxNewTokens. The questions run side by side
 * and must have the same number of ids; RangeError otherwise, or if a picture is not in the cache. The cache stays as it is.
 */
export async function answerTogether(
  llava: Llava,
  cache: KeyValueCache,
  questions: readonly PictureQuestion[],
  { maxNewTokens, goesOn = () => true }: TogetherOptions,
): Promise<number[][]> {
  checkQuestions(cache, questions);
  const answers: number[][] = questions.map(() => []);
  let open = [...questions.keys()]; // the questions whose answers have not ended
  let step = ask(llava, cache, questions);
  try {
    for (let count = 1; ; count++) {
      const chosen = await readAndFree(argmax(step.logits));
      const places: number[] = []; // of the sequences in `step` that go on
      for (const [place, q] of open.entries()) {
        const tokenId = chosen[place] as number;
        if (llava.config.eosTokenIds.includes(tokenId)) continue;
        const answer = answers[q] as number[];
        answer.push(tokenId);
        if (goesOn(q, answer)) places.push(place);
      }
      if (places.length === 0 || count === maxNewTokens) return answers;
      open = places.map((place) => open[place] as number);
      const tokenIds = places.map((place) => [chosen[place] as number]);
      step = advance(llava, step, places, tokenIds);
    }
  } finally {
    releaseStep(step); // its RoPE table belongs to `cache`
  }
}

function ask(
  { gpu, language }: Llava,
  cache: KeyValueCache,
  questions: readonly PictureQuestion[],
): DecoderStep {
  return tidy(gpu, () => {
    const pictures = questions.map(({ picture }) => picture);
    const ids = questions.map(({ after }) => after);
    return decoderStep(language, embed(gpu, language, ids), pickSequences(gpu, cache, pictures));
  });
}

/** One more position for the sequences at `places`; the others are left behind. Frees what the step before held. */
function advance(
  { gpu, language }: Llava,
  before: DecoderStep,
  places: readonly number[],
  tokenIds: readonly (readonly number[])[],
): DecoderStep {
  const after = tidy(gpu, () => {
    const all = places.length === before.logits.shape[0];
    const cache = all ? before.cache : pickSequences(gpu, before.cache, places);
    return decoderStep(language, embed(gpu, language, tokenIds), cache);
  });
  releaseStep(before);
  return after;
}

async function readAndFree(tokenIds: IndexTensor): Promise<Uint32Array> {
  try {
    return await read(tokenIds);
  } finally {
    dispose(tokenIds);
  }
}

/** The cache of the sequences that `pictures` names: [B, G, L, D] → [Q, G, L, D], with the room that theirs has. */
function pickSequences(gpu: Gpu, cache: KeyValueCache, pictures: readonly number[]): KeyValueCache {
  const rows = indexTensor(gpu, Uint32Array.from(pictures), [pictures.length]); // [Q]
  const picked = ({ room, length }: GrowingRows): GrowingRows => {
    const { B, G, places, D } = dims(room, 'cached [B, G, places, D]');
    const sequences = lookup(reshape(room, [B, G * places * D]), rows); // [Q, G · places · D]
    return growingRowsOf(reshape(sequences, [pictures.length, G, places, D]), length);
  };
  const layers = cache.layers.map(({ keys, values }) => ({ keys: picked(keys), values: picked(values) }));
  return { ...cache, layers };
}

/** Token ids of equal number → [Q, T, E]. */
function embed(gpu: Gpu, { tokenEmbedding }: LlamaWeights, ids: readonly (readonly number[])[]): Tensor {
  const shape = [ids.length, ids[0]?.length ?? 0];
  return lookup(tokenEmbedding, indexTensor(gpu, Uint32Array.from(ids.flat()), shape));
}

function checkQuestions(cache: KeyValueCache, questions: readonly PictureQuestion[]): void {
  const B = cache.layers[0]?.keys.room.shape[0] ?? 0;
  const T = questions[0]?.after.length ?? 0;
  if (T === 0) throw new RangeError('answerTogether: expected at least one question with text, got none');
  for (const { picture, after } of questions) {
    if (after.length !== T) {
      throw new RangeError(`answerTogether: expected questions of ${T} ids, got one of ${after.length}`);
    }
    if (!Number.isInteger(picture) || picture < 0 || picture >= B) {
      throw new RangeError(`answerTogether: expected a picture below ${B}, got ${picture}`);
    }
  }
}
