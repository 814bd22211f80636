// The bugs that goldens catch.

import { decoderMutants } from './decoder.mjs';
import { encoderMutants } from './encoder.mjs';
import { visionZipMutants } from './vision-zip.mjs';

export const goldenMutants = [...encoderMutants, ...visionZipMutants, ...decoderMutants];

/** The bug of one of them, for properties to catch, too. */
export function bugOf(goldenId) {
  const { bug, file, edits } = goldenMutants.find(({ id }) => id === goldenId);
  return { bug, file, edits };
}
