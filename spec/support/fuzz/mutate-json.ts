// Changes of a JSON text: of its tree, spelled anew, or of its tokens.

import type { Draw } from './draw.ts';
import { joinBytes, mutateBytes } from './mutate-bytes.ts';

/** A tree in which a key may stand twice and a scalar may be anything. */
export type Tree = string | readonly Tree[] | { readonly members: readonly Member[] };
type Member = readonly [key: string, value: Tree];

export function treeOf(value: unknown): Tree {
  if (Array.isArray(value)) return value.map(treeOf);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return { members: Object.entries(value).map(([key, item]) => [JSON.stringify(key), treeOf(item)]) };
}

/** The scalars of a tree, as they are spelled: what may stand in another place by mistake. */
function scalarsOf(tree: Tree): readonly string[] {
  if (typeof tree === 'string') return [tree];
  return ('members' in tree ? tree.members.map(([, value]) => value) : tree).flatMap(scalarsOf);
}

export function spelled(tree: Tree): string {
  if (typeof tree === 'string') return tree;
  if (!('members' in tree)) return `[${tree.map(spelled).join(',')}]`;
  return `{${tree.members.map(([key, value]) => `${key}:${spelled(value)}`).join(',')}}`;
}

/** The tree of a text, keys that stand twice and strange spellings kept; null where it is not made of one tree. */
export function parseTree(text: string): Tree | null {
  const tokens = text.match(token) ?? [];
  let at = 0;
  const parse = (levels: number): Tree | null => {
    const first = tokens[at++];
    if (first === undefined || levels > 500 || '}],:'.includes(first)) return null;
    if (first !== '{' && first !== '[') return first;
    const members: Member[] = [];
    for (const end = first === '{' ? '}' : ']'; tokens[at] !== end; ) {
      if (members.length > 0 && tokens[at++] !== ',') return null;
      const key = first === '{' ? (tokens[at++] ?? '') : '';
      if (first === '{' && tokens[at++] !== ':') return null;
      const value = parse(levels + 1);
      if (value === null) return null;
      members.push([key, value]);
    }
    at++;
    return first === '{' ? { members } : members.map(([, value]) => value);
  };
  const tree = parse(0);
  return at === tokens.length ? tree : null;
}

const numbers: readonly string[] = [
  ...[
    '0',
    '1',
    '2',
    '3',
    '5',
    '7',
    '8',
    '16',
    '64',
    '255',
    '65536',
    '1048577',
    '-1',
    '-2',
    '-0',
    '1.0',
    '1e1',
  ],
  ...['1.5', '1e-9', '2147483647', '4294967296', '9007199254740991', '9007199254740992', '1e15', '1e309'],
  ...['18446744073709551614', '18446744073709551616', '340282366920938463463374607431768211456'],
  ...['01', '+1', '.5', '1.', '0x10', 'NaN', 'Infinity', `1${'0'.repeat(70)}`],
];
const others: readonly string[] = [
  ...['null', 'true', 'false', '""', '"1"', '"a"', '[]', '{}', '[0]', '[[]]', '{"a":1}', '[0,0]', '[1,2,3]'],
  ...['"\\ud800"', '"\\udc00a"', '"\\u0000"', '"F32"', '"F128"', '"../x.safetensors"', '"default"', '"▁"'],
  ...[
    '"<s>"',
    '"</s>"',
    `"${'x'.repeat(1100)}"`,
    `[${'1,'.repeat(16)}1]`,
    'undefined',
    "'a'",
    '"\\x"',
    '"\n"',
  ],
];
const keys = ['__proto__', 'constructor', 'toString', '__metadata__', '', 'a', '\ud800', 'x'.repeat(1100)];
const deep = [5, 17, 400, 20_000].map((levels) => '['.repeat(levels) + ']'.repeat(levels));

type Spell = (draw: Draw, before: string) => string;

function speller(scalars: readonly string[]): Spell {
  return (draw, before) => {
    const number = Number(before);
    if (draw.oneIn(3)) return scalars.length === 0 ? '0' : draw.pick(scalars);
    if (draw.oneIn(2) && before !== '' && !Number.isNaN(number)) {
      if (draw.oneIn(4))
        return draw.pick([`${before}.0`, `${before}e0`, `0${before}`, `-${before}`, `"${before}"`]);
      const near = [number + 1, number - 1, number * 2, number + 8, Math.floor(number / 2), -number];
      return String(draw.pick(near));
    }
    return draw.pick(draw.oneIn(2) ? numbers : draw.oneIn(8) ? deep : others);
  };
}

function swapped<T>(draw: Draw, list: readonly T[], exchange: (a: T, b: T) => readonly [T, T]): readonly T[] {
  const [i, j] = [draw.below(list.length), draw.below(list.length)];
  const [a, b] = exchange(list[i] as T, list[j] as T);
  return list.with(i, a).with(j, b);
}

function changedMembers(draw: Draw, spell: Spell, members: readonly Member[]): readonly Member[] {
  const at = draw.below(members.length);
  const [key, value] = members[at] as Member;
  const otherKey = draw.oneIn(2) ? JSON.stringify(draw.pick(keys)) : draw.pick(members)[0];
  switch (draw.below(7)) {
    case 0:
      return members.toSpliced(at, 1);
    case 1:
      return [...members, draw.pick(members)];
    case 2:
      return members.with(at, [otherKey, value]);
    case 3:
      return swapped(draw, members, ([a, x], [b, y]) => [
        [a, y],
        [b, x],
      ]);
    case 4:
      return [...members, [otherKey, spell(draw, '')]];
    case 5:
      return swapped(draw, members, (a, b) => [b, a]);
    default:
      return members.with(at, [key, spell(draw, typeof value === 'string' ? value : '')]);
  }
}

function changedItems(draw: Draw, spell: Spell, items: readonly Tree[]): readonly Tree[] {
  const at = draw.below(items.length);
  const item = items[at] as Tree;
  switch (draw.below(5)) {
    case 0:
      return items.toSpliced(at, 1);
    case 1:
      return [...items, item];
    case 2:
      return [...items, spell(draw, '')];
    case 3:
      return swapped(draw, items, (a, b) => [b, a]);
    default:
      return items.with(at, spell(draw, typeof item === 'string' ? item : ''));
  }
}

/** One change somewhere in the tree; at each level it may go deeper. */
export function mutateTree(draw: Draw, tree: Tree): Tree {
  return changed(draw, speller(scalarsOf(tree)), tree);
}

function changed(draw: Draw, spell: Spell, tree: Tree): Tree {
  if (typeof tree === 'string') return spell(draw, tree);
  const values = 'members' in tree ? tree.members.map(([, value]) => value) : tree;
  if (values.length === 0) return draw.pick(['{}', '[]', 'null', '{"a":0}', '[0]']);
  if (draw.oneIn(3)) {
    return 'members' in tree
      ? { members: changedMembers(draw, spell, tree.members) }
      : changedItems(draw, spell, tree);
  }
  // Half of the time into what has parts of its own: there is more in it.
  const nested = [...values.keys()].filter((i) => typeof values[i] !== 'string');
  const at = nested.length > 0 && draw.oneIn(2) ? draw.pick(nested) : draw.below(values.length);
  const value = changed(draw, spell, values[at] as Tree);
  if (!('members' in tree)) return tree.with(at, value);
  return { members: tree.members.with(at, [(tree.members[at] as Member)[0], value]) };
}

const token = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

function mutateTokens(draw: Draw, text: string): string {
  const tokens = text.match(token) ?? [];
  const at = draw.below(tokens.length);
  const put = draw.pick(['', '', ',', '{', '}', ']', ':', '"', ' ', '\u0000', '/**/', ...numbers.slice(-6)]);
  return draw.oneIn(2) ? tokens.toSpliced(at, 1, put).join('') : tokens.toSpliced(at, 0, put).join('');
}

const wrappings = [
  ...[' ', '\n\t\r ', '\ufeff', '\u0000', '\u00a0', '\v', ',', '{}', '//x\n', '"'].flatMap((text) => [
    [text, ''],
    ['', text],
  ]),
  ['[', ']'],
] as const;

/** `tree` as a text with one change or a few, mostly of the tree. */
export function mutateJson(draw: Draw, tree: Tree): Uint8Array {
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
  if (draw.oneIn(12)) return mutateBytes(draw, encode(spelled(tree)));
  if (draw.oneIn(12)) return encode(mutateTokens(draw, spelled(tree)));
  if (draw.oneIn(16)) {
    const [before, after] = draw.pick(wrappings);
    return encode(before + spelled(tree) + after);
  }
  if (draw.oneIn(40)) return joinBytes(encode(spelled(tree)), encode(spelled(tree)));
  let mutated = mutateTree(draw, tree);
  while (draw.oneIn(4)) mutated = mutateTree(draw, mutated);
  return encode(spelled(mutated));
}
