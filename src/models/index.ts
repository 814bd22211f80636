// The models: CLIP, Llama, LLaVA, and what brings pictures and checkpoints to them.

export type { ImageMode } from './checkpoint/authors-config.ts';
export { chosenModel } from './checkpoint/chosen-model.ts';
export type { ClipVisionConfig, LlamaConfig, LlavaConfig } from './checkpoint/config.ts';
export { fetchedModel } from './checkpoint/fetched-model.ts';
export { findVisionTower } from './checkpoint/find-vision-tower.ts';
export type { LlavaLayout } from './checkpoint/layout.ts';
export { type LlavaSources, openLlavaSources, type VisionTowerFinder } from './checkpoint/llava-sources.ts';
export { modelDirectory, openFile } from './checkpoint/model-directory.ts';
export type { ModelFile, ModelFiles } from './checkpoint/model-files.ts';
export { type Checkpoint, openCheckpoint } from './checkpoint/shard-index.ts';
export type { WeightType } from './checkpoint/upload.ts';
export { type TensorToWrite, writeSafetensors } from './checkpoint/write-safetensors.ts';
export { type ClipLayerResult, clipLayer } from './clip/attention.ts';
export { type ClipEncoding, encodeClip } from './clip/encoder.ts';
export type { ClipAttentionWeights, ClipLayerWeights, ClipWeights } from './clip/weights.ts';
export {
  type DecoderStep,
  decoderStep,
  emptyCache,
  type KeyValueCache,
  type LayerCache,
  releaseStep,
} from './llama/decoder.ts';
export type { LlamaLayerWeights, LlamaWeights } from './llama/weights.ts';
export { type Conversation, converse, type Turn } from './llava/conversation.ts';
export { ask, type DecodeOptions, decode, type Prefill, prefill } from './llava/decode.ts';
export {
  encodeImage,
  type Llava,
  type LlavaModel,
  type LoadOptions,
  loadLlava,
  type ProjectorWeights,
  patchTokens,
  project,
  splice,
} from './llava/llava.ts';
export {
  type RandomWeights,
  randomLlava,
  randomVision,
  type WeightBytes,
  weightBytesOf,
} from './llava/random-llava.ts';
export { type Sample, type SamplingOptions, sampler } from './llava/sampling.ts';
export {
  CLIP_336,
  type PixelValues,
  type PreprocessorConfig,
  preprocessCrop,
  preprocessPad,
} from './preprocess/clip-pixels.ts';
export { type DecodedImage, decodeImage } from './preprocess/decode-image.ts';
export { centerCrop, padToSquare, type RgbColour, resizeShortestEdge } from './preprocess/fit.ts';
export { resizeBicubic } from './preprocess/resize.ts';
export type { RgbImage } from './preprocess/rgb-image.ts';
export type { ChatTemplate, Trims } from './tokenizer/chat-template.ts';
export type { PieceText, TextStream } from './tokenizer/detokenize.ts';
export { encodeNextQuestion } from './tokenizer/next-question.ts';
export {
  encodePrompt,
  encodeQuestion,
  type PromptIds,
  type PromptTemplate,
  promptTemplate,
  questionPrompt,
  type TemplateName,
} from './tokenizer/prompt.ts';
export { loadTokenizer, streamText, type Tokenizer } from './tokenizer/tokenizer.ts';
