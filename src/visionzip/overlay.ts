// A picture of what VisionZip did: kept patches bright, the others dimmed and tinted by the group they were folded into,
// the target of each group framed in its colour. SPEC VZ-5.

import { checkRgbImage, type RgbImage } from '../models/preprocess/rgb-image.ts';

export interface OverlayPlan {
  readonly gridColumns: number; // patches in a row of the grid
  readonly keptTokenIndices: ArrayLike<number>; //   0 is CLS
  readonly targetTokenIndices: ArrayLike<number>; // target m has colour m
  readonly sourceTokenIndices: ArrayLike<number>;
  readonly assignment: ArrayLike<number>; //         the target of each source
}

type Rgb = readonly [number, number, number];

const DIM = 0.45; //  of the grey that is left of a dropped patch
const TINT = 0.3; // of the group's colour in it

/**
 * Paints over `image`, whose sides are multiples of the patch grid's. A new picture of the same size. Throws ShapeError
 * for an image that is none, RangeError if the grid does not divide it.
 */
export function overlayImage(image: RgbImage, plan: OverlayPlan): RgbImage {
  checkRgbImage('overlayImage', image);
  const { gridColumns } = plan;
  const cell = image.width / gridColumns;
  if (!Number.isInteger(cell) || image.height % cell !== 0) {
    throw new RangeError(
      `overlayImage: expected sides that ${gridColumns} patches divide, got ${image.width} x ${image.height}`,
    );
  }
  const groups = groupOfPatch(plan, (image.height / cell) * gridColumns);
  const targets = new Set(Array.from(plan.targetTokenIndices, (token) => token - 1));
  const frame = Math.max(1, Math.round(cell / 10));
  const data = new Uint8Array(image.data.length);
  for (let y = 0; y < image.height; y++) {
    for (let x = 0; x < image.width; x++) {
      const patch = Math.floor(y / cell) * gridColumns + Math.floor(x / cell);
      const i = 3 * (y * image.width + x);
      const pixel: Rgb = [image.data[i] as number, image.data[i + 1] as number, image.data[i + 2] as number];
      const inset = Math.min(x % cell, y % cell, cell - 1 - (x % cell), cell - 1 - (y % cell));
      data.set(paint(pixel, groups[patch] ?? DROPPED, targets.has(patch) && inset < frame), i);
    }
  }
  return { width: image.width, height: image.height, data };
}

const KEPT = -1;
const DROPPED = -2;

/** KEPT, the number of the group, or DROPPED where nothing was merged. */
function groupOfPatch(plan: OverlayPlan, patchCount: number): number[] {
  const groups = new Array<number>(patchCount).fill(DROPPED);
  for (const token of Array.from(plan.keptTokenIndices)) if (token > 0) groups[token - 1] = KEPT;
  Array.from(plan.sourceTokenIndices).forEach((token, s) => {
    groups[token - 1] = plan.assignment[s] as number;
  });
  Array.from(plan.targetTokenIndices).forEach((token, m) => {
    groups[token - 1] = m;
  });
  return groups;
}

function paint(pixel: Rgb, group: number, framed: boolean): Rgb {
  if (group === KEPT) return pixel;
  const grey = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
  if (group === DROPPED) return [DIM * grey, DIM * grey, DIM * grey];
  const [red, green, blue] = groupColour(group);
  if (framed) return [red, green, blue];
  return [DIM * grey + TINT * red, DIM * grey + TINT * green, DIM * grey + TINT * blue];
}

/** Colours that stay apart however many there are: hues a golden angle from one to the next. */
function groupColour(group: number): Rgb {
  const hue = (group * 137.508) % 360;
  const channel = (offset: number): number => {
    const k = (offset + hue / 60) % 6;
    return Math.round(255 * (1 - 0.75 * Math.max(0, Math.min(k, 4 - k, 1))));
  };
  return [channel(5), channel(3), channel(1)];
}
