import { expect, it } from 'vitest';
import { fnv1a, grid8 } from './grid8.ts';

const M = (1n << 64n) - 1n;

/** The definition, in big integers. */
function longhand(name: string, count: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    let z = (fnv1a(name) + BigInt(i + 1) * 0x9e3779b97f4a7c15n) & M;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & M;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & M;
    z ^= z >> 31n;
    return Number((z >> 56n) % 255n) - 127;
  });
}

it('support: grid8 is its definition', () => {
  for (const name of ['', '0:x', '9999:weight', 'ü'])
    expect([...grid8(name, 3000)]).toEqual(longhand(name, 3000));
});

it('support: fnv1a has its published value', () => {
  expect(fnv1a('foobar')).toBe(0x85944171f73967e8n);
});
