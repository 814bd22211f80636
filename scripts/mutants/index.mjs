// All mutants: those that goldens catch (`group`), and those that properties catch (`properties`: each has to turn red).

import { decoderMutants } from './decoder.mjs';
import { encoderMutants } from './encoder.mjs';
import { decoderPropertyMutants } from './properties-decoder.mjs';
import { encoderPropertyMutants } from './properties-encoder.mjs';
import { kernelPropertyMutants } from './properties-kernels.mjs';
import { visionZipPropertyMutants } from './properties-vision-zip.mjs';
import { visionZipMutants } from './vision-zip.mjs';

export const mutants = [
  ...encoderMutants,
  ...visionZipMutants,
  ...decoderMutants,
  ...kernelPropertyMutants,
  ...encoderPropertyMutants,
  ...visionZipPropertyMutants,
  ...decoderPropertyMutants,
];
