import fc from 'fast-check';
import { describe, it } from 'vitest';
import {
  matmulTransposed,
  patchConvolution,
  patches,
  reshape,
  ShapeError,
  type Tensor,
  tensor,
  tidy,
} from '../../../src/tensor/index.ts';
import * as oracle from '../../oracle/patches.ts';
import { productTolerance } from '../../support/bounds.ts';
import { expectBits, expectClose, expectExact } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import { checkProperty } from '../../support/property.ts';
import {
  exactRecipes,
  expand,
  type Host,
  isSystematic,
  lengths,
  type Recipe,
  recipes,
} from '../../support/recipe.ts';
import { expectAccepted, expectRejected } from '../../support/rejections.ts';

const gpu = await testGpu();
const zeros = (...shape: number[]): Tensor =>
  tensor(gpu, new Float32Array(shape.reduce((x, y) => x * y, 1)), shape);

const images = {
  B: lengths(2),
  channels: fc.integer({ min: 1, max: 4 }),
  rows: fc.integer({ min: 1, max: 5 }),
  columns: fc.integer({ min: 1, max: 5 }),
  bottom: lengths(16), // pixels, fewer than p, that fill no patch
  right: lengths(16),
  p: fc.constantFrom(1, 2, 3, 4, 7, 14, 16),
  x: recipes(),
};
interface Image {
  readonly B: number;
  readonly channels: number;
  readonly rows: number;
  readonly columns: number;
  readonly bottom: number;
  readonly right: number;
  readonly p: number;
}

function sizesOf({ B, channels, rows, columns, bottom, right, p }: Image): oracle.PatchSizes {
  return { B, channels, p, height: rows * p + (bottom % p), width: columns * p + (right % p) };
}

function imageOf(drawn: Image & { readonly x: Recipe }): Host<Float32Array> {
  const { B, channels, height, width } = sizesOf(drawn);
  return expand('x', drawn.x, [B, channels, height, width]);
}

describe('T-18 patches', () => {
  it('T-18.1 patches flattens each patch as (channel, row, column), row by row, leaving out what fills no patch', () =>
    checkProperty(gpu, {
      cases: fc.record(images),
      data: (drawn) => ({ x: imageOf(drawn) }),
      run: ({ x }, { p }) => [patches(x, p)],
      judge: ([y], { x }, drawn) => {
        const { B, channels, p } = drawn;
        const expected = Float32Array.from(oracle.patches(x.values, sizesOf(drawn)));
        expectBits('patches', y, [B, drawn.rows * drawn.columns, channels * p * p], expected);
      },
    }));

  it('T-18.2 P-19 patchConvolution is the convolution with stride p', () =>
    checkProperty(gpu, {
      cases: fc.record({
        ...images,
        channels: fc.integer({ min: 1, max: 3 }),
        C: fc.constantFrom(1, 3, 4, 8, 17, 32),
        weight: recipes(),
        bias: recipes(),
      }),
      data: ({ C, weight, bias, ...drawn }) => ({
        x: imageOf(drawn),
        weight: expand('w', weight, [C, drawn.channels * drawn.p * drawn.p]),
        bias: expand('b', bias, [C]),
      }),
      run: ({ x, weight, bias }, { p }) => [patchConvolution(x, { weight, bias }, p)],
      judge: ([y], { x, weight, bias }, drawn) => {
        const { B, channels, p, C } = drawn;
        const { values, magnitudes } = oracle.patchConvolution(
          x.values,
          weight.values,
          bias.values,
          sizesOf(drawn),
        );
        const K = channels * p * p;
        const within = (i: number): number =>
          productTolerance(
            K,
            magnitudes[i] as number,
            values[i] as number,
            isSystematic(drawn.x, drawn.weight),
          );
        expectClose('patchConvolution', y, [B, drawn.rows * drawn.columns, C], values, within);
      },
    }));

  it('T-18.2 P-19 on the grid it is the convolution and the product with the patches cut out, to the bit', () =>
    checkProperty(gpu, {
      cases: fc.record({
        ...images,
        channels: fc.integer({ min: 1, max: 3 }),
        C: fc.constantFrom(1, 3, 4, 8, 17),
        x: exactRecipes(),
        weight: exactRecipes(),
      }),
      data: ({ C, weight, ...drawn }) => {
        const K = drawn.channels * drawn.p * drawn.p;
        const rows = oracle.patches(imageOf(drawn).values, sizesOf(drawn));
        return {
          x: imageOf(drawn),
          cut: { values: Float32Array.from(rows), shape: [1, drawn.B * drawn.rows * drawn.columns, K] },
          weight: expand('w', weight, [C, K]),
        };
      },
      run: ({ x, cut, weight }, { p, C }) => [
        patchConvolution(x, { weight }, p),
        matmulTransposed(cut, reshape(weight, [1, C, cut.shape[2] as number])),
      ],
      judge: ([y, product], { x, weight }, { C, ...drawn }) => {
        const none = new Float32Array(C);
        const { values } = oracle.patchConvolution(x.values, weight.values, none, sizesOf(drawn));
        expectExact('patchConvolution of the grid', y, [drawn.B, drawn.rows * drawn.columns, C], values);
        expectExact('product with the patches', { ...product, shape: y.shape }, y.shape, values);
      },
    }));

  it('T-18.1 a patch size that is not a positive integer or exceeds the image, and other than four axes, are rejected', () =>
    tidy(gpu, () => {
      const x = zeros(1, 3, 4, 6);
      for (const p of [1, 3, 4]) expectAccepted(gpu, () => patches(x, p));
      for (const p of [0, -1, 5, 7, 1.5, Number.NaN]) expectRejected(gpu, RangeError, () => patches(x, p));
      for (const other of [zeros(3, 4, 6), zeros(1, 1, 3, 4, 6)])
        expectRejected(gpu, ShapeError, () => patches(other, 2));
    }));

  it('T-18.2 weights of other patches or channels are rejected', () =>
    tidy(gpu, () => {
      const [x, bias] = [zeros(1, 3, 4, 6), zeros(5)];
      expectAccepted(gpu, () => patchConvolution(x, { weight: zeros(5, 12), bias }, 2));
      for (const weight of [zeros(5, 11), zeros(5, 13), zeros(5, 4), zeros(5, 3, 2, 2), zeros(4, 12)])
        expectRejected(gpu, ShapeError, () => patchConvolution(x, { weight, bias }, 2));
    }));
});
