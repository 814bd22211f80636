import { describe, expect, it } from 'vitest';
import { expectBits, expectClose, expectExact, expectIndices, FLUSHED } from './closeness.ts';

const host = (...values: number[]) => ({ values: Float32Array.from(values), shape: [values.length] });

describe('support: comparators', () => {
  it('support: an error is accepted up to the tolerance and no further', () => {
    const close = (tolerance: number) => () => expectClose('x', host(1.5), [1], [1], () => tolerance);
    expect(close(0.5)).not.toThrow();
    expect(close(0.5 * (1 - 1e-6))).toThrow('x at [0] of [1]: expected 1 within');
  });

  it('support: NaN and infinity never pass', () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => expectClose('x', host(bad), [1], [1], () => 1e30)).toThrow('got');
      expect(() => expectExact('x', host(bad), [1], [1])).toThrow('got');
    }
    expect(() => expectClose('x', host(1), [1], [Number.NaN], () => 1)).toThrow('expected NaN');
    expect(() => expectClose('x', host(1), [1], [1.5], () => Number.NaN)).toThrow('within NaN');
  });

  it('support: another shape or length does not pass', () => {
    const values = new Float32Array(6);
    expect(() => expectClose('x', { values, shape: [2, 3] }, [2, 3], values, () => 0)).not.toThrow();
    expect(() => expectClose('x', { values, shape: [2, 3] }, [3, 2], values, () => 0)).toThrow(
      'shape [3, 2]',
    );
    expect(() => expectClose('x', { values, shape: [6] }, [6], [0], () => 0)).toThrow('1 elements');
  });

  it('support: the message names the first bad place and how many there are', () => {
    const got = { values: Float32Array.from([0, 0, 0, 1, 0, 2]), shape: [2, 3] };
    expect(() => expectClose('x', got, [2, 3], new Float64Array(6), () => 0.5)).toThrow(
      'x at [1, 0] of [2, 3]: expected 0 within 0.5, got 1, off by 1; 2 of 6 elements are wrong',
    );
  });

  it('support: exact means one rounding; zeros have no sign and subnormals may vanish', () => {
    expect(() => expectExact('x', host(Math.fround(0.1)), [1], [0.1])).not.toThrow();
    expect(() => expectExact('x', host(Math.fround(0.1) + 2 ** -27), [1], [0.1])).toThrow('within 0');
    expect(() => expectExact('x', host(-0, 0), [2], [0, 2 ** -130])).not.toThrow();
    expect(() => expectExact('x', host(0), [1], [FLUSHED])).toThrow('within 0');
  });

  it('support: bits tell −0 from 0', () => {
    expect(() => expectBits('x', host(0), [1], Float32Array.of(0))).not.toThrow();
    expect(() => expectBits('x', host(-0), [1], Float32Array.of(0))).toThrow('0x80000000');
    const indices = { values: Uint32Array.of(1, 2), shape: [2] };
    expect(() => expectIndices('i', indices, [2], [1, 2])).not.toThrow();
    expect(() => expectIndices('i', indices, [2], [1, 3])).toThrow('i at [1] of [2]: expected 3');
  });
});
