// All mutants: those that goldens catch (`group`), and those that tests of properties and of clauses catch (`properties`,
// `clauses`: each has to turn red).

import { checkpointClauseMutants } from './clauses-checkpoints.mjs';
import { modelClauseMutants } from './clauses-models.mjs';
import { pictureClauseMutants } from './clauses-pictures.mjs';
import { textClauseMutants } from './clauses-texts.mjs';
import { visionZipClauseMutants } from './clauses-vision-zip.mjs';
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
  ...pictureClauseMutants,
  ...checkpointClauseMutants,
  ...textClauseMutants,
  ...modelClauseMutants,
  ...visionZipClauseMutants,
];
