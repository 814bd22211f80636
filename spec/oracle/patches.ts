// SPEC T-18.

type Numbers = ArrayLike<number>;

export interface PatchSizes {
  readonly B: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly p: number;
}

/** x [B, channels, height, width] → [B, P, channels · p · p] */
export function patches(x: Numbers, { B, channels, height, width, p }: PatchSizes): number[] {
  const y: number[] = [];
  for (let b = 0; b < B; b++) {
    for (let top = 0; top + p <= height; top += p) {
      for (let left = 0; left + p <= width; left += p) {
        for (let channel = 0; channel < channels; channel++) {
          for (let row = 0; row < p; row++) {
            for (let column = 0; column < p; column++) {
              y.push(x[((b * channels + channel) * height + top + row) * width + left + column] as number);
            }
          }
        }
      }
    }
  }
  return y;
}

/** x [B, channels, height, width], weight [C, channels, p, p], bias [C] → [B, P, C], with Σ|x||w| + |bias| */
export function patchConvolution(
  x: Numbers,
  weight: Numbers,
  bias: Numbers,
  { B, channels, height, width, p }: PatchSizes,
): { values: number[]; magnitudes: number[] } {
  const values: number[] = [];
  const magnitudes: number[] = [];
  for (let b = 0; b < B; b++) {
    for (let top = 0; top + p <= height; top += p) {
      for (let left = 0; left + p <= width; left += p) {
        for (let c = 0; c < bias.length; c++) {
          let sum = bias[c] as number;
          let magnitude = Math.abs(sum);
          for (let channel = 0; channel < channels; channel++) {
            for (let row = 0; row < p; row++) {
              for (let column = 0; column < p; column++) {
                const pixel = x[
                  ((b * channels + channel) * height + top + row) * width + left + column
                ] as number;
                const factor = weight[((c * channels + channel) * p + row) * p + column] as number;
                sum += pixel * factor;
                magnitude += Math.abs(pixel * factor);
              }
            }
          }
          values.push(sum);
          magnitudes.push(magnitude);
        }
      }
    }
  }
  return { values, magnitudes };
}
