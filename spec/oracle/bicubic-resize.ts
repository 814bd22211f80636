// Bicubic resize of SPEC M-1.5 in real numbers: no fixed point, each pass rounded to bytes.

/** `data` is [height, width, 3]; returns [newHeight, newWidth, 3]. */
export function bicubicInReals(
  data: ArrayLike<number>,
  width: number,
  height: number,
  newWidth: number,
  newHeight: number,
): number[] {
  const rows: number[] = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < newWidth; x++) {
      for (let c = 0; c < 3; c++) {
        rows.push(resample(width, newWidth, x, (j) => data[(y * width + j) * 3 + c] as number));
      }
    }
  }
  const out: number[] = [];
  for (let y = 0; y < newHeight; y++) {
    for (let x = 0; x < newWidth; x++) {
      for (let c = 0; c < 3; c++) {
        out.push(resample(height, newHeight, y, (j) => rows[(j * newWidth + x) * 3 + c] as number));
      }
    }
  }
  return out;
}

function resample(length: number, newLength: number, i: number, at: (j: number) => number): number {
  if (length === newLength) return at(i);
  const ratio = length / newLength;
  const stretch = Math.max(ratio, 1);
  const centre = (i + 0.5) * ratio;
  let sum = 0;
  let weights = 0;
  // Every input position within the kernel's radius, rounded to whole positions at both ends.
  for (let j = 0; j < length; j++) {
    if (j < Math.floor(centre - 2 * stretch + 0.5) || j >= Math.floor(centre + 2 * stretch + 0.5)) continue;
    const weight = keys((j + 0.5 - centre) / stretch);
    sum += weight * at(j);
    weights += weight;
  }
  const rounded = Math.floor(sum / weights + 0.5);
  if (rounded < 0) return 0;
  return Math.min(rounded, 255);
}

function keys(x: number): number {
  const d = Math.abs(x);
  if (d < 1) return 1.5 * d ** 3 - 2.5 * d ** 2 + 1;
  if (d < 2) return -0.5 * d ** 3 + 2.5 * d ** 2 - 4 * d + 2;
  return 0;
}
