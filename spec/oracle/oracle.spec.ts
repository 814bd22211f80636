// The oracle itself, on numbers from tables and small examples done by hand.

import { describe, expect, it } from 'vitest';
import { goldenBytes } from '../models/preprocess/picture-files.ts';
import { erfc, gelu, quickGelu, silu } from './activation.ts';
import { attentionProbs, weightedSum } from './attention.ts';
import { groupMean } from './group-mean.ts';
import { complement, countMembers } from './index-math.ts';
import { brokenJpegRule } from './jpeg-rules.ts';
import { concat, permute, slice } from './layout.ts';
import { matmul, matmulTransposed } from './matmul.ts';
import { layerNorm, normalizeRows } from './normalize.ts';
import { patches } from './patches.ts';
import { argmax, topTwoGap } from './reduce.ts';
import { angleOf, rope } from './rope.ts';
import { causalSoftmax } from './softmax.ts';
import { topKIndices } from './top-k.ts';

describe('oracle', () => {
  it('oracle: erfc has its tabulated values on both branches', () => {
    const table = [
      [0, 1],
      [0.5, 0.4795001221869535],
      [1, 0.15729920705028513],
      [2, 0.004677734981047266],
      [3, 2.209049699858544e-5],
      [5, 1.5374597944280349e-12],
    ] as const;
    for (const [x, value] of table) {
      expect(Math.abs(erfc(x) / value - 1)).toBeLessThan(1e-12);
      expect(erfc(-x)).toBeCloseTo(2 - value, 14);
    }
  });

  it('oracle: activations at 1 and −1', () => {
    expect(gelu([1, -1])[0]).toBeCloseTo(0.8413447460685429, 14);
    expect(gelu([1, -1])[1]).toBeCloseTo(-0.15865525393145707, 14);
    expect(quickGelu([1])[0]).toBeCloseTo(0.8457957659328212, 12);
    expect(silu([1])[0]).toBeCloseTo(0.7310585786300049, 14);
  });

  it('oracle: products, grouped', () => {
    const sizes = { A: 2, B: 1, M: 1, K: 2, N: 2 };
    expect([...matmul([1, 2, 3, 4], [1, 2, 3, 4], sizes).values]).toEqual([7, 10, 15, 22]);
    expect([...matmulTransposed([1, 2, 3, 4], [1, 2, 3, -4], sizes).values]).toEqual([5, -5, 11, -7]);
    expect([...matmulTransposed([1, 2, 3, 4], [1, 2, 3, -4], sizes).magnitudes]).toEqual([5, 11, 11, 25]);
  });

  it('oracle: attention reads head ⌊h G / H⌋', () => {
    const sizes = { B: 1, H: 4, G: 2, T: 1, L: 1, D: 1, causal: false };
    const { scores, probs } = attentionProbs([1, 1, 1, 1], [5, 7], sizes);
    expect([...scores]).toEqual([5, 5, 7, 7]);
    expect([...weightedSum(probs, [2, 3], sizes)]).toEqual([2, 2, 3, 3]);
    expect([...causalSoftmax([0, 0, 9, 0, 0, 0], { R: 1, T: 2, L: 3 })]).toEqual([
      0.5,
      0.5,
      0,
      1 / 3,
      1 / 3,
      1 / 3,
    ]);
  });

  it('oracle: norms', () => {
    expect([...layerNorm([1, 3], [2, 2], [5, 5], 0, { R: 1, C: 2 })]).toEqual([3, 7]);
    expect([...normalizeRows([3, 4, 0, 0], { R: 2, C: 2 })]).toEqual([0.6, 0.8, 0, 0]);
  });

  it('oracle: choices take the lowest of equals', () => {
    expect(argmax([1, 2, 2], { R: 1, L: 3 })).toEqual([1]);
    expect(topTwoGap([1, 5, 3, 7, 7, 0], { R: 2, L: 3 })).toEqual([2, 0]);
    expect(topKIndices([1, 3, 3, 0, 2], { R: 1, L: 5 }, 3, 'score')).toEqual([1, 2, 4]);
    expect(topKIndices([3, 1, 3, 9, 2], { R: 1, L: 5 }, 2, 'position')).toEqual([0, 3]);
  });

  it('oracle: groups and indices', () => {
    const { values } = groupMean([1, 2, 3, 5], [0, 2, 2, 0], { B: 1, S: 4, C: 1 }, 3);
    expect([...values]).toEqual([3, 0, 2.5]);
    expect(complement([2, 0], { B: 1, K: 2 }, 4)).toEqual([1, 3]);
    expect(countMembers([2, 0, 2], { B: 1, S: 3 }, 3)).toEqual([1, 0, 2]);
  });

  it('oracle: moving', () => {
    const x = [0, 1, 2, 3, 4, 5];
    expect(permute(x, [2, 3], [1, 0])).toEqual({ values: [0, 3, 1, 4, 2, 5], shape: [3, 2] });
    expect(slice(x, [2, 3], 1, 1, 3)).toEqual({ values: [1, 2, 4, 5], shape: [2, 2] });
    const column = { values: [8, 9], shape: [2, 1] };
    expect(concat([{ values: x, shape: [2, 3] }, column], 1)).toEqual({
      values: [0, 1, 2, 8, 3, 4, 5, 9],
      shape: [2, 4],
    });
  });

  it('oracle: patches of a 2 × 5 image, the last column left out', () => {
    const image = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
    const sizes = { B: 1, channels: 1, height: 2, width: 5, p: 2 };
    expect(patches(image, sizes)).toEqual([0, 1, 5, 6, 2, 3, 7, 8]);
  });

  it('oracle: a quarter turn of RoPE, and the frequencies of LLaMA', () => {
    expect(angleOf(7, 0, 4, 10000)).toBe(7);
    expect(angleOf(100, 1, 4, 10000)).toBeCloseTo(1, 6);
    const { values } = rope([1, 0], { R: 1, T: 1, D: 2 }, 10000, 1);
    expect(values[0]).toBeCloseTo(Math.cos(1), 7);
    expect(values[1]).toBeCloseTo(Math.sin(1), 7);
  });

  it('oracle: the JPEG rules take what is whole, and see where sequential data end early', () => {
    const sequential = ['411-baseline', '420-baseline', '422-baseline', '444-baseline', 'grey-baseline'];
    const others = ['best', 'column', 'exif-6', 'one-pixel', 'restart-intervals', 'rgb-colours', 'worst'];
    for (const name of [...sequential, ...others, '420-progressive', 'grey-progressive']) {
      const bytes = goldenBytes(`${name}.jpg`);
      expect(brokenJpegRule(bytes), name).toBeUndefined();
      expect(brokenJpegRule(bytes.subarray(0, -2)), name).toBe('segments in a row up to FFD9');
      if (name.endsWith('progressive')) continue;
      const shorter = Uint8Array.from([...bytes.subarray(0, -6), 0xff, 0xd9]);
      expect(brokenJpegRule(shorter), name).toBe('entropy-coded data for all blocks');
    }
  });
});
