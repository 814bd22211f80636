import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  add,
  concat,
  dispose,
  linear,
  matmul,
  matmulTransposed,
  permute,
  reshape,
  ShapeError,
  slice,
  type Tensor,
  tensor,
  tidy,
} from '../../../src/tensor/index.ts';
import * as oracle from '../../oracle/matmul.ts';
import { productTolerance } from '../../support/bounds.ts';
import { expectBits, expectClose, expectExact, u } from '../../support/closeness.ts';
import { bothGpus } from '../../support/gpu.ts';
import { checkProperty } from '../../support/property.ts';
import {
  distinct,
  exactRecipes,
  expand,
  type Host,
  isSystematic,
  lengths,
  type Recipe,
  recipes,
} from '../../support/recipe.ts';
import { expectAccepted, expectRejected } from '../../support/rejections.ts';

const gpus = await bothGpus();

interface Case {
  readonly B: number;
  readonly group: number; // matrices of a for each of b
  readonly M: number;
  readonly K: number;
  readonly N: number;
  readonly a: Recipe;
  readonly b: Recipe;
}

const batches = { B: fc.integer({ min: 0, max: 3 }), group: fc.integer({ min: 1, max: 3 }) };
const one = { B: fc.constant(1), group: fc.constant(1) };
const fours = (max: number): fc.Arbitrary<number> => {
  const edges = [4, 8, 12, 16, 20, 28, 32, 36, 60, 64, 68, 124, 128, 132, 256, 260];
  return fc.constantFrom(...edges.filter((length) => length <= max));
};

/** Small batches of any sizes, long single products, and sizes of whole vectors with every kind of tail. */
function products(a: fc.Arbitrary<Recipe>, b: fc.Arbitrary<Recipe>): fc.Arbitrary<Case> {
  return fc.oneof(
    fc.record({ ...batches, M: lengths(17), K: lengths(33), N: lengths(17), a, b }),
    fc.record({ ...one, M: lengths(3), K: lengths(577), N: lengths(65), a, b }),
    fc.record({ ...one, M: lengths(257), K: lengths(17), N: lengths(33), a, b }),
    fc.record({ ...one, M: lengths(17), K: lengths(65), N: lengths(257), a, b }),
    fc.record({ ...batches, M: lengths(129, 8), K: fours(36), N: fours(68), a, b }),
    fc.record({ ...one, M: lengths(65, 8), K: fours(260), N: fours(36), a, b }),
    fc.record({ ...one, M: lengths(129, 33), K: fours(36), N: fours(132), a, b }),
  );
}

const grid: fc.Arbitrary<Recipe> = fc.record({
  dist: fc.constant('grid'),
  seed: fc.integer({ min: 0, max: 9999 }),
  exp: fc.integer({ min: -4, max: 4 }),
});

const sizesOf = ({ B, group, M, K, N }: Case) => ({ A: B * group, B, M, K, N });

const dataOf = (drawn: Case) => {
  const { A, B, M, K, N } = sizesOf(drawn);
  return { a: expand('a', drawn.a, [A, M, K]), b: expand('b', drawn.b, [B, K, N]) };
};

const transposedDataOf = (drawn: Case) => {
  const { A, B, M, K, N } = sizesOf(drawn);
  return { a: expand('a', drawn.a, [A, M, K]), b: expand('b', drawn.b, [B, N, K]) };
};

function within(
  K: number,
  { values, magnitudes }: oracle.Product,
  ...factors: readonly Recipe[]
): (i: number) => number {
  const systematic = isSystematic(...factors);
  return (i) => productTolerance(K, magnitudes[i] as number, values[i] as number, systematic);
}

describe.each(gpus)('by %s', (_, gpu) => {
  const zeros = (...shape: number[]): Tensor =>
    tensor(gpu, new Float32Array(shape.reduce((x, y) => x * y, 1)), shape);

  describe('T-7 matrix products', () => {
    it('T-7.1 T-7.4 matmul gives Σₖ a[i, m, k] b[⌊i B / A⌋, k, n] within its bound', () =>
      checkProperty(gpu, {
        cases: products(recipes(), recipes()),
        count: 350,
        data: dataOf,
        run: ({ a, b }) => [matmul(a, b)],
        judge: ([y], { a, b }, drawn) => {
          const { A, M, N, K } = sizesOf(drawn);
          const product = oracle.matmul(a.values, b.values, sizesOf(drawn));
          expectClose('matmul', y, [A, M, N], product.values, within(K, product, drawn.a, drawn.b));
        },
      }));

    it('T-7.2 T-7.4 matmulTransposed gives Σₖ a[i, m, k] b[⌊i B / A⌋, n, k] within its bound', () =>
      checkProperty(gpu, {
        cases: products(recipes(), recipes()),
        count: 350,
        data: transposedDataOf,
        run: ({ a, b }) => [matmulTransposed(a, b)],
        judge: ([y], { a, b }, drawn) => {
          const { A, M, N, K } = sizesOf(drawn);
          const product = oracle.matmulTransposed(a.values, b.values, sizesOf(drawn));
          expectClose('matmulTransposed', y, [A, M, N], product.values, within(K, product, drawn.a, drawn.b));
        },
      }));

    it('T-7.1 T-7.2 integers that fit 24 bits come out exactly, whatever the order of the sum', () =>
      checkProperty(gpu, {
        cases: products(grid, grid),
        count: 350,
        data: (drawn) => ({ ...dataOf(drawn), rows: transposedDataOf(drawn).b }),
        run: ({ a, b, rows }) => [matmul(a, b), matmulTransposed(a, rows)],
        judge: ([y, z], { a, b, rows }, drawn) => {
          const { A, M, N } = sizesOf(drawn);
          const values = oracle.matmul(a.values, b.values, sizesOf(drawn)).values;
          expectExact('matmul of the grid', y, [A, M, N], values);
          const transposed = oracle.matmulTransposed(a.values, rows.values, sizesOf(drawn)).values;
          expectExact('matmulTransposed of the grid', z, [A, M, N], transposed);
        },
      }));

    it('T-7.5 rows behind rowCount do not count, whatever they hold', () =>
      checkProperty(gpu, {
        cases: fc.tuple(products(recipes(), recipes()), fc.integer({ min: 1, max: 5 })),
        count: 250,
        data: ([drawn, extra]) => {
          const { B, K, N } = sizesOf(drawn);
          const noise = (shape: readonly number[]): Host<Float32Array> => ({
            shape,
            values: new Float32Array(shape.reduce((x, y) => x * y, 1)).fill(Number.NaN),
          });
          return {
            ...dataOf(drawn),
            rows: transposedDataOf(drawn).b,
            behind: noise([B, extra, N]),
            behindRows: noise([B, extra, K]),
          };
        },
        run: ({ a, b, rows, behind, behindRows }, [drawn]) => {
          const { K, N } = sizesOf(drawn);
          return [
            ...[matmul(a, concat([b, behind], 1), { rowCount: K }), matmul(a, b)],
            ...[
              matmulTransposed(a, concat([rows, behindRows], 1), { rowCount: N }),
              matmulTransposed(a, rows),
            ],
          ];
        },
        judge: ([y, all, z, allRows]) => {
          expectBits('matmul', y, all.shape, all.values);
          expectBits('matmulTransposed', z, allRows.shape, allRows.values);
        },
      }));

    it('T-7.6 a residual is added to the bit as add does it, whatever kernel takes the product', () =>
      checkProperty(gpu, {
        cases: fc.record({
          M: lengths(20),
          K: fc.oneof(lengths(33), fours(68)),
          N: lengths(65),
          x: recipes(),
          w: recipes(),
        }),
        data: ({ M, K, N, x, w }) => ({
          x: expand('x', x, [M, K]),
          w: expand('w', w, [N, K]),
          bias: expand('bias', x, [N]),
          residual: expand('residual', w, [M, N]),
        }),
        run: ({ x, w: weight, bias, residual }) => [
          ...[linear(x, { weight, bias }, residual), add(residual, linear(x, { weight, bias }))],
          ...[linear(x, { weight }, residual), add(residual, linear(x, { weight }))],
        ],
        judge: ([y, sum, z, plainSum]) => {
          expectBits('with bias', y, sum.shape, sum.values);
          expectBits('without', z, plainSum.shape, plainSum.values);
        },
      }));

    it('T-7.6 a residual of another shape is rejected', () =>
      tidy(gpu, () => {
        const [x, weight, good] = [zeros(2, 4), zeros(3, 4), zeros(2, 3)];
        const bad = [zeros(3, 2), zeros(3), zeros(1, 2, 3)];
        expectAccepted(gpu, () => linear(x, { weight }, good));
        for (const residual of bad) expectRejected(gpu, ShapeError, () => linear(x, { weight }, residual));
      }));

    it('T-7.5 more rows than there are, or fewer than the product needs, are rejected', () =>
      tidy(gpu, () => {
        const [a, b, rows, wide] = [zeros(1, 2, 3), zeros(1, 4, 5), zeros(1, 4, 3), zeros(1, 2, 5)];
        expectAccepted(gpu, () => matmul(a, b, { rowCount: 3 }));
        expectRejected(gpu, ShapeError, () => matmul(a, b, { rowCount: 2 }));
        expectRejected(gpu, RangeError, () => matmul(wide, b, { rowCount: 5 }));
        expectAccepted(gpu, () => matmulTransposed(a, rows, { rowCount: 1 }));
        for (const rowCount of [5, -1, 0.5, Number.NaN])
          expectRejected(gpu, RangeError, () => matmulTransposed(a, rows, { rowCount }));
      }));

    it('T-7.1 a sum of 1,040 products of the grid is exact', () =>
      checkProperty(gpu, {
        cases: fc.record({ M: lengths(65, 1), N: fours(68), a: grid, b: grid }),
        count: 8,
        data: ({ M, N, a, b }) => ({ a: expand('a', a, [1, M, 1040]), b: expand('b', b, [1, 1040, N]) }),
        run: ({ a, b }) => [matmul(a, b)],
        judge: ([y], { a, b }, { M, N }) => {
          const { values } = oracle.matmul(a.values, b.values, { A: 1, B: 1, M, K: 1040, N });
          expectExact('matmul of the grid', y, [1, M, N], values);
        },
      }));

    it('T-7.2 P-3 matmulTransposed is matmul with b transposed, and (AB)ᵀ = BᵀAᵀ, to the bit on the grid', () =>
      checkProperty(gpu, {
        cases: fc.record({
          M: lengths(65),
          K: lengths(33),
          N: lengths(65),
          a: exactRecipes(),
          b: exactRecipes(),
        }),
        data: ({ M, K, N, a, b }) => ({ a: expand('a', a, [1, M, K]), b: expand('b', b, [1, N, K]) }),
        run: ({ a, b }) => {
          const bT = permute(b, [0, 2, 1]);
          const aT = permute(a, [0, 2, 1]);
          return [matmulTransposed(a, b), matmul(a, bT), permute(matmul(b, aT), [0, 2, 1])];
        },
        judge: ([first, second, third]) => {
          expectBits('matmul of bᵀ', second, first.shape, first.values);
          expectBits('(b aᵀ)ᵀ', third, first.shape, first.values);
        },
      }));

    it('T-7.4 over 0 terms the result is 0', () =>
      checkProperty(gpu, {
        cases: fc.record({ A: fc.integer({ min: 0, max: 3 }), M: lengths(65), N: lengths(65) }),
        count: 50,
        data: ({ A, M, N }) => ({
          a: { values: new Float32Array(0), shape: [A, M, 0] },
          b: { values: new Float32Array(0), shape: [A, 0, N] },
          w: { values: new Float32Array(0), shape: [N, 0] },
          bias: { values: Float32Array.from({ length: N }, (_, n) => n + 1), shape: [N] },
        }),
        run: ({ a, b, w, bias }) => [matmul(a, b), linear(a, { weight: w, bias })],
        judge: ([y, z], { bias }, { A, M, N }) => {
          expectExact('matmul', y, [A, M, N], new Float64Array(A * M * N));
          const expected = Float64Array.from({ length: A * M * N }, (_, i) => bias.values[i % N] as number);
          expectExact('linear', z, [A, M, N], expected);
        },
      }));

    it('T-7.1 shapes that do not fit, and A not a multiple of B, are rejected', () =>
      tidy(gpu, () => {
        const a = zeros(4, 2, 3);
        for (const B of [1, 2, 4]) expectAccepted(gpu, () => matmul(a, zeros(B, 3, 5)));
        const broken = [
          zeros(3, 3, 5),
          zeros(8, 3, 5),
          zeros(4, 2, 5),
          zeros(4, 4, 5),
          zeros(3, 5),
          zeros(1, 4, 3, 5),
        ];
        for (const b of broken) expectRejected(gpu, ShapeError, () => matmul(a, b));
        expectRejected(gpu, ShapeError, () => matmul(broken[4] as Tensor, broken[0] as Tensor));
        const none = zeros(0, 3, 5);
        expectRejected(gpu, ShapeError, () => matmul(a, none));
      }));

    it('T-7.2 shapes that do not fit, and A not a multiple of B, are rejected', () =>
      tidy(gpu, () => {
        const a = zeros(4, 2, 3);
        for (const B of [1, 2, 4]) expectAccepted(gpu, () => matmulTransposed(a, zeros(B, 5, 3)));
        const broken = [
          zeros(3, 5, 3),
          zeros(8, 5, 3),
          zeros(4, 5, 2),
          zeros(4, 5, 4),
          zeros(5, 3),
          zeros(0, 5, 3),
        ];
        for (const b of broken) expectRejected(gpu, ShapeError, () => matmulTransposed(a, b));
      }));
  });

  /** A matrix on the host with another one's element, or 0, at each place. */
  function remade(
    x: Host<Float32Array>,
    [rows, columns]: readonly [number, number],
    source: (row: number, column: number) => readonly [row: number, column: number],
  ): Host<Float32Array> {
    const [height, width] = x.shape.slice(-2) as [number, number];
    const values = Float32Array.from({ length: rows * columns }, (_, i) => {
      const [row, column] = source(Math.floor(i / columns), i % columns);
      return row < height && column < width ? (x.values[row * width + column] as number) : 0;
    });
    return { values, shape: [1, rows, columns] };
  }

  const turned = (x: Tensor): Tensor => permute(x, [0, 2, 1]);

  describe('T-7 laws of matrix products', () => {
    it('T-7.1 T-7.2 T-7.3 P-1 a product with the identity is a copy, with a permutation matrix a permutation', () =>
      checkProperty(gpu, {
        cases: fc.record({
          M: lengths(65),
          K: lengths(68, 1),
          identity: fc.boolean(),
          x: recipes(),
          seed: fc.integer({ min: 0, max: 9999 }),
        }),
        data: ({ M, K, identity, x, seed }) => {
          const order = distinct('order', seed, 1, K, K).values;
          const from = (n: number): number => (identity ? n : (order[n] as number));
          const places = new Float32Array(K * K);
          for (let n = 0; n < K; n++) places[n * K + from(n)] = 1;
          const original = expand('x', x, [1, M, K]);
          return {
            x: original,
            places: { values: places, shape: [1, K, K] },
            moved: remade(original, [M, K], (row, column) => [row, from(column)]),
          };
        },
        run: ({ x, places }, { K }) => [
          matmul(x, turned(places)),
          matmulTransposed(x, places),
          linear(x, { weight: reshape(places, [K, K]) }),
          turned(matmul(places, turned(x))),
        ],
        judge: (products, { moved }) => {
          for (const product of products) expectExact('moved columns', product, moved.shape, moved.values);
        },
      }));

    it('T-7.1 T-7.2 P-2 the order of the sum, its parts, and zeros around the matrices change nothing on the grid', () =>
      checkProperty(gpu, {
        cases: fc.record({
          M: lengths(65, 1),
          K: lengths(65, 1),
          N: lengths(65, 1),
          eighths: fc.integer({ min: 0, max: 8 }), // of K, the first part
          more: fc.record({ M: lengths(9), K: lengths(9), N: lengths(9) }),
          a: exactRecipes(),
          b: exactRecipes(),
          seed: fc.integer({ min: 0, max: 9999 }),
        }),
        data: ({ M, K, N, eighths, more, seed, ...drawn }) => {
          const a = expand('a', drawn.a, [1, M, K]);
          const b = expand('b', drawn.b, [1, K, N]);
          const order = distinct('order', seed, 1, K, K).values;
          const from = (k: number): number => order[k] as number;
          const cut = Math.floor((K * eighths) / 8);
          return {
            a,
            b,
            aMixed: remade(a, [M, K], (row, column) => [row, from(column)]),
            bMixed: remade(b, [K, N], (row, column) => [from(row), column]),
            aLeft: remade(a, [M, cut], (row, column) => [row, column]),
            aRight: remade(a, [M, K - cut], (row, column) => [row, cut + column]),
            bUpper: remade(b, [cut, N], (row, column) => [row, column]),
            bLower: remade(b, [K - cut, N], (row, column) => [cut + row, column]),
            aPadded: remade(a, [M + more.M, K + more.K], (row, column) => [row, column]),
            bPadded: remade(b, [K + more.K, N + more.N], (row, column) => [row, column]),
          };
        },
        run: (x, { M, N }) => {
          const forms = [matmul, (a: Tensor, b: Tensor) => matmulTransposed(a, turned(b))];
          return forms.flatMap((product) => [
            product(x.a, x.b),
            product(x.aMixed, x.bMixed),
            add(product(x.aLeft, x.bUpper), product(x.aRight, x.bLower)),
            slice(slice(product(x.aPadded, x.bPadded), 1, 0, M), 2, 0, N),
          ]);
        },
        judge: (products, { a, b }, { M, K, N }) => {
          const { values } = oracle.matmul(a.values, b.values, { A: 1, B: 1, M, K, N });
          for (const product of products) expectExact('the product', product, [1, M, N], values);
        },
      }));

    it('T-7.1 T-7.2 P-4 A(x + y) = Ax + Ay on the grid', () =>
      checkProperty(gpu, {
        cases: fc.record({
          M: lengths(65),
          K: lengths(129),
          N: lengths(33),
          a: exactRecipes(),
          x: exactRecipes(),
          y: exactRecipes(),
        }),
        data: ({ M, K, N, a, x, y }) => ({
          a: expand('a', a, [1, M, K]),
          x: expand('x', x, [1, K, N]),
          y: expand('y', { ...y, exp: x.exp }, [1, K, N]),
        }),
        run: ({ a, x, y }) => [
          matmul(a, add(x, y)),
          add(matmul(a, x), matmul(a, y)),
          matmulTransposed(a, turned(add(x, y))),
          add(matmulTransposed(a, turned(x)), matmulTransposed(a, turned(y))),
        ],
        judge: ([product, ...others]) => {
          for (const other of others) expectExact('Ax + Ay', other, product.shape, product.values);
        },
      }));

    it('T-7.4 P-5 A(BC) and (AB)C differ by no more than the bounds of their products', () =>
      checkProperty(gpu, {
        cases: fc.record({
          M: lengths(33),
          K: lengths(33),
          L: lengths(33),
          N: lengths(33),
          a: recipes('huge', 'subnormal'),
          b: recipes('huge', 'subnormal'),
          c: recipes('huge', 'subnormal'),
        }),
        data: ({ M, K, L, N, a, b, c }) => ({
          a: expand('a', a, [1, M, K]),
          b: expand('b', b, [1, K, L]),
          c: expand('c', c, [1, L, N]),
        }),
        run: ({ a, b, c }) => [matmul(a, matmul(b, c)), matmul(matmul(a, b), c)],
        judge: ([left, right], { a, b, c }, { M, K, L, N, ...drawn }) => {
          const [aSize, bSize, cSize] = [a, b, c].map(({ values }) => values.map(Math.abs)) as [
            Float32Array,
            Float32Array,
            Float32Array,
          ];
          const bc = oracle.matmul(bSize, cSize, { A: 1, B: 1, M: K, K: L, N });
          const { values: sizes } = oracle.matmul(aSize, bc.values, { A: 1, B: 1, M, K, N });
          const systematic = [drawn.a, drawn.b, drawn.c].some((one) => isSystematic(one));
          // Each side rounds in two products, the second of which multiplies what the first one lost.
          const within = (i: number): number => {
            const size = sizes[i] as number;
            return (
              2 *
                (productTolerance(K, size, size, systematic) + productTolerance(L, size, size, systematic)) +
              u * size
            );
          };
          expectClose('A(BC) − (AB)C', right, [1, M, N], left.values, within);
        },
      }));
  });

  describe('T-7 linear', () => {
    const layers = (x: fc.Arbitrary<Recipe>) =>
      fc.oneof(
        fc.record({ outer: lengths(3), R: lengths(33), K: lengths(33), N: lengths(65), x, w: x, bias: x }),
        fc.record({
          outer: fc.constant(1),
          R: lengths(2),
          K: lengths(577),
          N: lengths(65),
          x,
          w: x,
          bias: x,
        }),
        fc.record({
          outer: fc.constant(1),
          R: lengths(129, 8),
          K: fours(68),
          N: fours(132),
          x,
          w: x,
          bias: x,
        }),
        fc.record({ outer: fc.constant(2), R: lengths(65), K: fours(132), N: fours(36), x, w: x, bias: x }),
      );

    it('T-7.3 T-7.4 linear gives Σₖ x[..., k] weight[n, k] + bias[n] within its bound', () =>
      checkProperty(gpu, {
        cases: layers(recipes()),
        count: 300,
        data: ({ outer, R, K, N, x, w, bias }) => ({
          x: expand('x', x, [outer, R, K]),
          weight: expand('w', w, [N, K]),
          bias: expand('bias', bias, [N]),
        }),
        run: ({ x, weight, bias }) => [linear(x, { weight, bias })],
        judge: ([y], { x, weight, bias }, { outer, R, K, N, ...drawn }) => {
          const product = oracle.linear(x.values, weight.values, bias.values, { R: outer * R, K, N });
          expectClose('linear', y, [outer, R, N], product.values, within(K, product, drawn.x, drawn.w));
        },
      }));

    it('T-7.3 integers that fit 24 bits come out exactly', () =>
      checkProperty(gpu, {
        cases: layers(
          fc.record({
            dist: fc.constant('grid'),
            seed: fc.integer({ min: 0, max: 99 }),
            exp: fc.constant(7),
          }),
        ),
        data: ({ outer, R, K, N, x, w, bias }) => ({
          x: expand('x', x, [outer, R, K]),
          weight: expand('w', w, [N, K]),
          bias: expand('bias', bias, [N]),
        }),
        run: ({ x, weight, bias }) => [linear(x, { weight, bias })],
        judge: ([y], { x, weight, bias }, { outer, R, K, N }) => {
          const { values } = oracle.linear(x.values, weight.values, bias.values, { R: outer * R, K, N });
          expectExact('linear of the grid', y, [outer, R, N], values);
        },
      }));

    it('T-7.3 without a bias it is matmulTransposed, with zeros the same, to the bit', () =>
      checkProperty(gpu, {
        cases: layers(recipes()),
        count: 60,
        data: ({ R, K, N, x, w }) => ({
          x: expand('x', x, [1, R, K]),
          weight: expand('w', w, [1, N, K]),
          zeros: { values: new Float32Array(N), shape: [N] },
        }),
        run: ({ x, weight, zeros }, { K, N }) => {
          const flat = reshape(weight, [N, K]);
          return [
            linear(x, { weight: flat }),
            linear(x, { weight: flat, bias: zeros }),
            matmulTransposed(x, weight),
          ];
        },
        judge: ([bare, withZeros, product]) => {
          expectBits('linear without bias', bare, product.shape, product.values);
          const positive = withZeros.values.map((value) => value + 0);
          const expected = product.values.map((value) => value + 0);
          expectBits(
            'linear with zeros',
            { values: positive, shape: withZeros.shape },
            product.shape,
            expected,
          );
        },
      }));

    it('T-7.3 x has any number of axes', () =>
      checkProperty(gpu, {
        cases: fc.constantFrom([7], [3, 7], [2, 3, 7], [2, 1, 3, 7], [0, 7]),
        count: 20,
        data: (shape) => ({
          x: expand('x', { dist: 'grid', seed: 1, exp: 0 }, shape),
          weight: expand('w', { dist: 'grid', seed: 2, exp: 0 }, [5, 7]),
          bias: expand('bias', { dist: 'grid', seed: 3, exp: 0 }, [5]),
        }),
        run: ({ x, weight, bias }) => [linear(x, { weight, bias })],
        judge: ([y], { x, weight, bias }) => {
          const R = x.values.length / 7;
          const { values } = oracle.linear(x.values, weight.values, bias.values, { R, K: 7, N: 5 });
          expectExact('linear of the grid', y, [...x.shape.slice(0, -1), 5], values);
        },
      }));

    it('T-7.3 shapes that do not fit are rejected', () =>
      tidy(gpu, () => {
        const [x, weight, bias] = [zeros(2, 3), zeros(5, 3), zeros(5)];
        expectAccepted(gpu, () => linear(x, { weight, bias }));
        for (const other of [zeros(2, 2), zeros(2, 4), zeros()])
          expectRejected(gpu, ShapeError, () => linear(other, { weight, bias }));
        for (const other of [zeros(3, 5), zeros(5, 2), zeros(5, 4), zeros(15), zeros(1, 5, 3)])
          expectRejected(gpu, ShapeError, () => linear(x, { weight: other, bias }));
        for (const other of [zeros(4), zeros(6), zeros(1), zeros(1, 5), zeros(3)])
          expectRejected(gpu, ShapeError, () => linear(x, { weight, bias: other }));
      }));
  });

  it('T-22.1 subgroups take products on software adapters with 8 lanes, and nowhere else', async () => {
    const y = tidy(gpu, () => {
      const [a, b] = [zeros(1, 20, 8), zeros(1, 8, 12)]; // [1, 20, 8], [1, 8, 12]
      return [matmul(a, b), matmulTransposed(a, permute(b, [0, 2, 1]))]; // [1, 20, 12]
    });
    dispose(y);
    const used = [...gpu.commands.pipelines.keys()].filter(({ code }) => code.includes('enable subgroups'));
    expect(used.length > 0).toBe(gpu.adapter.software && gpu.subgroupSize === 8);
    if (gpu === gpus[1]?.[1]) expect(gpu.subgroupSize).toBe(null);
  });
});
