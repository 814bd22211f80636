// The orientation tag of an Exif block (TIFF 6.0 section 2; Exif 2.3 section 4.6.4). SPEC M-1.4.
//
// It is read only to be mentioned: the original ignores it, and so do the pixels here.

const ORIENTATION_TAG = 0x0112;
const SHORT_TYPE = 3;
const ENTRY_BYTES = 12;

/** 1 is upright; 2..8 are the mirrored and rotated ones. */
export const UPRIGHT = 1;

/**
 * The orientation (1..8) that a TIFF block names in its first directory; 1 where it names none or is
 * broken, since no pixel depends on it. Throws nothing.
 */
export function exifOrientation(tiff: Uint8Array): number {
  if (tiff.length < 8) return UPRIGHT;
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  const byteOrder = view.getUint16(0);
  if (byteOrder !== 0x4949 && byteOrder !== 0x4d4d) return UPRIGHT;
  const littleEndian = byteOrder === 0x4949;
  if (view.getUint16(2, littleEndian) !== 42) return UPRIGHT;

  const directory = view.getUint32(4, littleEndian);
  if (directory + 2 > tiff.length) return UPRIGHT;
  const entryCount = view.getUint16(directory, littleEndian);
  for (let i = 0; i < entryCount; i++) {
    const entry = directory + 2 + i * ENTRY_BYTES;
    if (entry + ENTRY_BYTES > tiff.length) return UPRIGHT;
    if (view.getUint16(entry, littleEndian) !== ORIENTATION_TAG) continue;
    const orientation = view.getUint16(entry + 8, littleEndian);
    const isShort = view.getUint16(entry + 2, littleEndian) === SHORT_TYPE;
    return isShort && orientation >= 1 && orientation <= 8 ? orientation : UPRIGHT;
  }
  return UPRIGHT;
}
