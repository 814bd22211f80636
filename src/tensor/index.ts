// The tensor library by itself.

export type { DoorName } from './dawn-doors.ts';
export { FileError, GpuError, ShapeError } from './errors.ts';
export { type AdapterSummary, finish, type Gpu, type GpuOptions, type SubgroupMatrixState } from './gpu.ts';
export {
  type Dispatch,
  type Kernel,
  type RowBlock,
  runKernel,
  type Scalar,
  submit,
  u32,
  wgsl,
} from './kernel.ts';
export { checkBudget, roomBytes, tidy, watchPeak } from './memory.ts';
export { openGpu } from './open-gpu.ts';
export { gatedSilu, gelu, quickGelu, silu } from './ops/activation.ts';
export { attention, attentionProbs } from './ops/attention.ts';
export type { AttentionOptions } from './ops/attention-shapes.ts';
export { attentionColumnMean, attentionRow } from './ops/attention-shares.ts';
export { add, addRows, multiply, scale } from './ops/elementwise.ts';
export { checkFinite, expectFinite, type FiniteCheck, throwIfNonFinite } from './ops/finite.ts';
export { gatherIndices, gatherRows, lookup } from './ops/gather.ts';
export { groupMean } from './ops/group-mean.ts';
export {
  appendRows,
  type GrowingRows,
  growingRows,
  growingRowsOf,
  rowsOf,
} from './ops/growing-rows.ts';
export { complement, countMembers, gridPositions, shiftIndices } from './ops/index-math.ts';
export { concat, permute, repeatRows, slice } from './ops/layout.ts';
export { type Linear, linear, matmul, matmulTransposed, type ProductOptions } from './ops/matmul.ts';
export { layerNorm, type Norm, normalizeRows, rmsNorm } from './ops/normalize.ts';
export { patchConvolution, patches } from './ops/patches.ts';
export { type RandomOptions, randomMatrix } from './ops/random.ts';
export { argmax, meanAxis, sumAxis, topTwoGap } from './ops/reduce.ts';
export { type RopeTable, rope, ropeTable } from './ops/rope.ts';
export { causalSoftmax, softmax } from './ops/softmax.ts';
export { canStream, type StreamedAttention, streamingAttention } from './ops/streaming-attention.ts';
export { topKIndices } from './ops/top-k.ts';
export { type KernelTime, startProfile, stopProfile } from './profile.ts';
export {
  type AnyTensor,
  dims,
  dispose,
  elementCount,
  type HalfMatrix,
  type IndexTensor,
  indexTensor,
  type Matrix,
  read,
  readAll,
  reshape,
  type Tensor,
  type TensorOf,
  tensor,
} from './tensor.ts';
export { matrixFromChunks, type WeightChunks } from './weights.ts';
