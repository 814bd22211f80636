// Whether the scores that VisionZip sorted by are numbers at all. SPEC VZ-2.7.
//
// A NaN weight, or an overflow in the encoder, makes the attention of CLS NaN. Sorting goes on regardless, and the answer
// would look like one. visionZip() reads nothing back, so it cannot tell; whoever reads next asks here.

import { checkFinite, dims, expectFinite, type FiniteCheck, type Tensor } from '../tensor/index.ts';
import type { VisionZipResult } from './vision-zip.ts';

const who = 'VisionZip: expected finite scores';

function placeName(scores: Tensor): (place: number) => string {
  const { P } = dims(scores, 'scores [B, P]');
  return (place) => `patch ${place % P} of image ${Math.floor(place / P)}`;
}

/** The question about scores [B, P], whose answer is read with whatever is read next. Nothing is read back. */
export function checkScores(scores: Tensor): FiniteCheck {
  return checkFinite(scores, who, placeName(scores));
}

/** Asks and waits, with one mapping. Throws RangeError, naming patch and image, for a score that is NaN or infinite. */
export function expectFiniteScores({ scores }: Pick<VisionZipResult, 'scores'>): Promise<void> {
  return expectFinite(scores, who, placeName(scores));
}
