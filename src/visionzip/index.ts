// VisionZip on tensors of any encoder, and in front of LLaVA's language model.

export { checkScores, expectFiniteScores } from './finite-scores.ts';
export { type OverlayPlan, overlayImage } from './overlay.ts';
export {
  checkVisionZipOptions,
  type DominantSelection,
  type VisionZipInput,
  type VisionZipOptions,
  type VisionZipResult,
  visionZip,
} from './vision-zip.ts';
export { type HostTensor, readZipTensors, uploadZipTensors, type ZipTensors } from './zip-tensors.ts';
export { answerZipped, type Budget, paperBudgets } from './zipped-llava.ts';
