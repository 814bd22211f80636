// What holds of any value that a reader gives, whatever the file. A broken promise is a plain Error.

import type { LlavaConfig } from '../../../src/models/checkpoint/config.ts';
import type { PreprocessorConfig, RgbImage, Tokenizer } from '../../../src/models/index.ts';
import type { SentencePieceModel } from '../../../src/models/tokenizer/sentencepiece.ts';

function promise(holds: boolean, what: string, got: unknown): void {
  if (!holds) throw new Error(`promised ${what}, got ${JSON.stringify(got)}`);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1;
}

function isPositive(value: number): boolean {
  return Number.isFinite(value) && value > 0;
}

export function keepsConfig({ vision, text, ...config }: LlavaConfig): void {
  const { headCount, keyValueHeadCount, vocabSize } = text;
  const sizes = [
    vision.hiddenSize,
    vision.intermediateSize,
    vision.layerCount,
    vision.imageSize,
    vision.patchSize,
  ];
  promise([...sizes, vision.headCount].every(isCount), 'sizes of 1 or more', vision);
  promise(vision.hiddenSize % vision.headCount === 0, 'heads that divide the channels', vision);
  promise(vision.imageSize % vision.patchSize === 0, 'patches that divide the picture', vision);
  const counts = [text.hiddenSize, text.intermediateSize, text.layerCount, headCount, keyValueHeadCount];
  promise([...counts, vocabSize, text.maxPositions].every(isCount), 'sizes of 1 or more', text);
  promise(headCount % keyValueHeadCount === 0, 'key heads that divide the heads', text);
  promise(isCount(text.headSize) && text.headSize % 2 === 0, 'an even head size', text);
  promise([vision.normEps, text.normEps, text.ropeTheta].every(isPositive), 'positive numbers', text);
  const numbers = Object.values(text).filter((value) => typeof value === 'number');
  promise(numbers.every(Number.isFinite), 'finite numbers', text);
  const { layerCount } = vision;
  const layer = config.visionFeatureLayer;
  promise(Number.isInteger(layer) && layer >= -layerCount - 1 && layer <= layerCount, 'a layer', config);
  const isToken = (id: number): boolean => Number.isInteger(id) && id >= 0 && id < vocabSize;
  promise(isToken(config.bosTokenId), 'a BOS below the vocabulary', config);
  promise(
    config.eosTokenIds.length > 0 && config.eosTokenIds.every(isToken),
    'EOS below the vocabulary',
    config,
  );
  const { padTokenId, imageTokenIndex } = config;
  promise(
    padTokenId === null || (Number.isInteger(padTokenId) && padTokenId >= -1),
    'a padding token',
    config,
  );
  promise(
    imageTokenIndex === null || (Number.isInteger(imageTokenIndex) && imageTokenIndex >= 0),
    'an id',
    config,
  );
}

export function keepsPreprocessor(config: PreprocessorConfig, imageSize: number): void {
  const { shortestEdge, cropHeight, cropWidth, mean, std, rescaleFactor } = config;
  promise(cropHeight === imageSize && cropWidth === imageSize, "the tower's crop", config);
  promise(Number.isInteger(shortestEdge) && shortestEdge >= imageSize, 'an edge that holds the crop', config);
  promise(mean.length === 3 && mean.every(Number.isFinite), 'three means', config);
  promise(std.length === 3 && std.every(isPositive), 'three deviations', config);
  promise(isPositive(rescaleFactor), 'a factor', config);
}

const sayings = ['', ' ', 'ab ab', 'ab</s>▁ab<image>x\n', '</s>', '\u{1f600}é\u0000', '<0x0A><unk>'];

export function keepsTokenizer(tokenizer: Tokenizer): void {
  const { bosTokenId, eosTokenId, vocabSize } = tokenizer;
  const isToken = (id: number): boolean => Number.isInteger(id) && id >= 0 && id < vocabSize;
  promise(isToken(bosTokenId) && isToken(eosTokenId), 'BOS and EOS of the vocabulary', [
    bosTokenId,
    eosTokenId,
  ]);
  for (const text of sayings) {
    for (const ids of [tokenizer.encode(text), tokenizer.encodePlain(text)]) {
      promise(ids.every(isToken), `ids below ${vocabSize} for ${JSON.stringify(text)}`, ids);
      promise(typeof tokenizer.decode(ids) === 'string', 'a text', ids);
    }
  }
}

export function keepsModel({ pieces, merges, unknownPiece, specialIds }: SentencePieceModel): void {
  const known = new Set(pieces);
  promise(known.size === pieces.length, 'every piece once', pieces.length);
  promise(known.has(unknownPiece), 'an unknown piece', unknownPiece);
  promise(
    specialIds.every((id) => id >= 0 && id < pieces.length),
    'special ids of pieces',
    specialIds,
  );
  const isMerge = ([a, b]: readonly [string, string]): boolean =>
    known.has(a) && known.has(b) && known.has(a + b);
  promise(merges.every(isMerge), 'merges of pieces into a piece', merges);
}

export function keepsPicture({ width, height, data }: RgbImage): void {
  promise(isCount(width) && isCount(height), 'sides of 1 or more', [width, height]);
  promise(data.length === 3 * width * height, 'three bytes a pixel', data.length);
}
