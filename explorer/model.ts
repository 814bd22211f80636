// The embedded model in the page: what a picture is to its encoder, what VisionZip makes of that, and answers.

import {
  type ClipEncoding,
  centerCrop,
  decodeImage,
  encodeImage,
  fetchedModel,
  type Llava,
  loadLlava,
  padToSquare,
  patchTokens,
  preprocessCrop,
  preprocessPad,
  type RgbImage,
  resizeBicubic,
  resizeShortestEdge,
} from '../src/models/index.ts';
import { dims, dispose, finish, openGpu, read, readAll, type Tensor } from '../src/tensor/index.ts';
import { type Budget, expectFiniteScores, visionZip } from '../src/visionzip/index.ts';
import type { ZipIndices } from './patches.ts';

const CELL = 28; // pixels along a patch in the picture that is shown

/** A picture as the encoder saw it. */
export interface Look {
  readonly shown: RgbImage; //           square, a multiple of the grid
  readonly columns: number; //           patches in a row, and rows
  readonly encoding: ClipEncoding;
  readonly scores: Float32Array; //      [P]  CLS attention of each patch, summed over heads
  readonly exifOrientation: number; //   1: as it is stored
}

/** What stands for the picture in a prompt: [1, V, C], and the decisions that led there; null: all patches. */
export interface Zip {
  readonly tokens: Tensor;
  readonly indices: ZipIndices | null;
}

/** Opens the device and fetches the model from beside the page. Throws GpuError without WebGPU. */
export async function openModel(): Promise<Llava> {
  const gpu = await openGpu();
  return loadLlava(gpu, fetchedModel('model'));
}

/** Decodes and encodes a picture. Throws FileError if it is none, or damaged. The caller frees `encoding`. */
export async function lookAt(llava: Llava, bytes: Uint8Array, name: string): Promise<Look> {
  const { image, exifOrientation } = await decodeImage(bytes, name);
  const preprocess = llava.imageMode === 'pad' ? preprocessPad : preprocessCrop;
  const encoding = encodeImage(llava, preprocess(image, llava.preprocessor));
  const { H, N } = dims(encoding.clsAttention, 'clsAttention [one, H, N]', { one: 1 });
  const clsAttention = await read(encoding.clsAttention);
  const columns = Math.sqrt(N - 1);
  const scores = Float32Array.from({ length: N - 1 }, (_, patch) => {
    let sum = 0;
    for (let head = 0; head < H; head++) sum += clsAttention[head * N + patch + 1] as number;
    return sum;
  });
  return {
    shown: fitted(image, llava.imageMode, columns * CELL),
    columns,
    encoding,
    scores,
    exifOrientation,
  };
}

/** The picture as the encoder sees it, at a size to look at. */
function fitted(image: RgbImage, mode: 'pad' | 'crop', side: number): RgbImage {
  if (mode === 'pad') return resizeBicubic(padToSquare(image), side, side);
  return centerCrop(resizeShortestEdge(image, side), side, side);
}

/** Reduces the picture to a budget; null: to all its patches. Throws RangeError for counts that do not fit. The caller frees `tokens`. */
export async function zip(llava: Llava, { encoding }: Look, budget: Budget | null): Promise<Zip> {
  if (budget === null) {
    const tokens = patchTokens(encoding); // [1, P, C]
    await finish(llava.gpu);
    return { tokens, indices: null };
  }
  const { tokens, ...result } = visionZip(encoding, budget);
  try {
    await expectFiniteScores(result);
    const names = ['keptTokenIndices', 'targetTokenIndices', 'sourceTokenIndices', 'assignment'] as const;
    const [kept, targets, sources, assignment] = await readAll(
      llava.gpu,
      names.map((name) => result[name]),
    );
    const indices = { kept, targets, sources, assignment } as ZipIndices;
    return { tokens, indices };
  } catch (error) {
    dispose(tokens);
    throw error;
  } finally {
    dispose(result);
  }
}
