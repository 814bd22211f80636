// Whether a tensor is finite, told by the next reading. SPEC T-21.
//
//     found = [i, the bits of x[i]], i the first place whose exponent is all ones; i = 2³² − 1 where there is none
//
// The bits are compared as integers: WGSL lets an implementation assume that no float is NaN. One workgroup strides
// through the tensor and combines in a tree; it is meant for logits and scores.

import { type Kernel, runKernel, u32, wgsl } from '../kernel.ts';
import { dispose, elementCount, emptyIndices, type IndexTensor, readAll, type Tensor } from '../tensor.ts';

const NOWHERE = 0xffffffff;

const firstNonFiniteKernel: Kernel = {
  name: 'firstNonFinite',
  code: wgsl`
    struct Params { length: u32 }

    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> bits: array<u32>;         // [length]
    @group(0) @binding(2) var<storage, read_write> found: array<u32>;  // [2]

    const exponent = 0x7f800000u;
    const nowhere = 0xffffffffu;
    var<workgroup> first: array<u32, 64>;

    @compute @workgroup_size(64)
    fn main(@builtin(local_invocation_index) lane: u32) {
      first[lane] = nowhere;
      for (var i = lane; i < params.length; i += 64u) {
        if ((bits[i] & exponent) == exponent) {
          first[lane] = i;
          break;
        }
      }
      for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) { first[lane] = min(first[lane], first[lane + half]); }
      }
      if (lane == 0u) {
        found[0] = first[0];
        found[1] = 0u;
        if (first[0] != nowhere) { found[1] = bits[first[0]]; }
      }
    }
  `,
};

/** A question put to the device. Whoever reads next reads `found` along with it, and hands it to `throwIfNonFinite`. */
export interface FiniteCheck {
  readonly found: IndexTensor; // [2]
  readonly who: string; //     as in `VisionZip: expected finite scores`
  /** Says for the message where a place of the tensor is, such as `token 5`. */
  readonly placeName: (place: number) => string;
}

/** Looks for the first NaN or infinity in `x`, of any shape. Nothing is read back. SPEC T-21.1. */
export function checkFinite(x: Tensor, who: string, placeName: FiniteCheck['placeName']): FiniteCheck {
  const found = runKernel(x.gpu, firstNonFiniteKernel, {
    params: [u32(elementCount(x.shape))],
    inputs: [x],
    output: emptyIndices(x.gpu, [2], who), // [2]
    groups: 1,
  });
  return { found, who, placeName };
}

/** Throws RangeError, with the value and its place, if `found` (that of the check, read) is of one that is not finite. */
export function throwIfNonFinite({ who, placeName }: FiniteCheck, found: Uint32Array): void {
  const [place = NOWHERE] = found;
  if (place === NOWHERE) return;
  const [value] = new Float32Array(found.slice(1, 2).buffer);
  throw new RangeError(`${who}, got ${value} at ${placeName(place)}`);
}

/** Asks and reads, with one mapping. Throws RangeError as throwIfNonFinite. */
export async function expectFinite(
  x: Tensor,
  who: string,
  placeName: FiniteCheck['placeName'],
): Promise<void> {
  const check = checkFinite(x, who, placeName);
  try {
    const [found] = await readAll(x.gpu, [check.found]);
    throwIfNonFinite(check, found);
  } finally {
    dispose(check.found);
  }
}
