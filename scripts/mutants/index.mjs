// All mutants: those that goldens catch (`group`), and those that properties catch (`properties`: each has to turn red).

import { goldenMutants } from './goldens.mjs';
import { decoderPropertyMutants } from './properties-decoder.mjs';
import { encoderPropertyMutants } from './properties-encoder.mjs';
import { kernelPropertyMutants } from './properties-kernels.mjs';
import { visionZipPropertyMutants } from './properties-vision-zip.mjs';

export const mutants = [
  ...goldenMutants,
  ...kernelPropertyMutants,
  ...encoderPropertyMutants,
  ...visionZipPropertyMutants,
  ...decoderPropertyMutants,
];
