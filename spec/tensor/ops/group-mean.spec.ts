import fc from 'fast-check';
import { describe, it } from 'vitest';
import { groupMean, indexTensor, ShapeError, type Tensor, tensor, tidy } from '../../../src/tensor/index.ts';
import * as oracle from '../../oracle/group-mean.ts';
import { productTolerance } from '../../support/bounds.ts';
import { expectClose, u } from '../../support/closeness.ts';
import { testGpu } from '../../support/gpu.ts';
import { checkProperty } from '../../support/property.ts';
import { expand, integers, isSystematic, lengths, recipes } from '../../support/recipe.ts';
import { expectAccepted, expectRejected } from '../../support/rejections.ts';

const gpu = await testGpu();
const zeros = (...shape: number[]): Tensor =>
  tensor(gpu, new Float32Array(shape.reduce((x, y) => x * y, 1)), shape);
const indices = (...shape: number[]) =>
  indexTensor(gpu, new Uint32Array(shape.reduce((x, y) => x * y, 1)), shape);
const draws = { x: recipes(), seed: fc.integer({ min: 0, max: 9999 }) };

describe('T-15 group mean', () => {
  it('T-15.1 groupMean gives the mean of the rows of each group, and 0 for a group without members', () =>
    checkProperty(gpu, {
      cases: fc.oneof(
        fc.record({ B: lengths(3), S: lengths(65), C: lengths(33), groupCount: lengths(33, 1), ...draws }),
        fc.record({ B: fc.constant(1), S: lengths(577), C: lengths(9), groupCount: lengths(3, 1), ...draws }),
        fc.record({
          B: fc.constant(2),
          S: lengths(17),
          C: lengths(129),
          groupCount: lengths(9, 1),
          ...draws,
        }),
      ),
      count: 250,
      data: ({ B, S, C, groupCount, x, seed }) => ({
        x: expand('x', x, [B, S, C]),
        group: integers('group', seed, [B, S], groupCount),
      }),
      run: ({ x, group }, { groupCount }) => [groupMean(x, group, groupCount)],
      judge: ([y], { x, group }, { B, S, C, groupCount, x: drawn }) => {
        const { values, magnitudes } = oracle.groupMean(x.values, group.values, { B, S, C }, groupCount);
        const within = (i: number): number => {
          const [value, magnitude] = [values[i] as number, magnitudes[i] as number];
          return magnitude === 0
            ? 0
            : productTolerance(S, magnitude, value, isSystematic(drawn)) + 5 * u * Math.abs(value);
        };
        expectClose('groupMean', y, [B, groupCount, C], values, within);
      },
    }));

  it('T-15.1 shapes that do not fit, and a groupCount that is not a count, are rejected', () =>
    tidy(gpu, () => {
      const [x, group] = [zeros(2, 3, 4), indices(2, 3)];
      for (const count of [1, 2]) expectAccepted(gpu, () => groupMean(x, group, count));
      for (const count of [-1, 1.5, Number.NaN])
        expectRejected(gpu, RangeError, () => groupMean(x, group, count));
      for (const other of [indices(1, 3), indices(2, 2), indices(2, 4), indices(3), indices(2, 3, 1)])
        expectRejected(gpu, ShapeError, () => groupMean(x, other, 2));
      for (const other of [zeros(3, 4), zeros(1, 2, 3, 4)])
        expectRejected(gpu, ShapeError, () => groupMean(other, group, 2));
    }));
});
