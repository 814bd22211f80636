// What became of each patch of a picture, in numbers and in words.

/** Decisions of VisionZip on one picture. Token 0 is CLS, token 1 the first patch. */
export interface ZipIndices {
  readonly kept: ArrayLike<number>; //       [K]
  readonly targets: ArrayLike<number>; //    [M]
  readonly sources: ArrayLike<number>; //    [S]
  readonly assignment: ArrayLike<number>; // [S]  which target a source is folded into
}

export type Fate =
  | { readonly kind: 'kept' | 'dropped' }
  | { readonly kind: 'target' | 'merged'; readonly group: number }; // contextual token, from 0

export interface Patch {
  readonly row: number; //    from 0
  readonly column: number; // from 0
  readonly fate: Fate;
  readonly share: number; //  of what CLS pays to all patches, 0 to 1
  readonly rank: number; //   1: the patch that CLS attends to most
}

/** Each patch, row by row. `indices` null: all are kept. */
export function patchesOf(
  scores: ArrayLike<number>,
  columns: number,
  indices: ZipIndices | null,
): readonly Patch[] {
  const values = Array.from(scores);
  const total = values.reduce((sum, score) => sum + score, 0);
  const ranks = ranksOf(values);
  const fates = fatesOf(values.length, indices);
  return values.map((score, patch) => ({
    row: Math.floor(patch / columns),
    column: patch % columns,
    fate: fates[patch] as Fate,
    share: total > 0 ? score / total : 0,
    rank: ranks[patch] as number,
  }));
}

function fatesOf(count: number, indices: ZipIndices | null): Fate[] {
  const fates = new Array<Fate>(count).fill({ kind: indices === null ? 'kept' : 'dropped' });
  if (indices === null) return fates;
  const { kept, targets, sources, assignment } = indices;
  for (const token of Array.from(kept)) if (token > 0) fates[token - 1] = { kind: 'kept' };
  Array.from(sources).forEach((token, s) => {
    fates[token - 1] = { kind: 'merged', group: assignment[s] as number };
  });
  Array.from(targets).forEach((token, group) => {
    fates[token - 1] = { kind: 'target', group };
  });
  return fates;
}

/** 1 for the largest; of equal ones the first comes first, as in VZ-2.3. */
function ranksOf(values: readonly number[]): number[] {
  const order = values.map((_, patch) => patch);
  order.sort((a, b) => (values[b] as number) - (values[a] as number) || a - b);
  const ranks = new Array<number>(values.length);
  order.forEach((patch, i) => {
    ranks[patch] = i + 1;
  });
  return ranks;
}

export const groupOf = ({ fate }: Patch): number | null => ('group' in fate ? fate.group : null);

/** A contextual token: its target, and how many patches were merged into it. */
export interface Group {
  readonly target: Patch;
  readonly mergedCount: number;
}

/** The contextual tokens, in their order. */
export function groupsOf(patches: readonly Patch[]): readonly Group[] {
  const targets = patches.filter(({ fate }) => fate.kind === 'target');
  const merged = patches.filter(({ fate }) => fate.kind === 'merged');
  return targets.map((target) => ({
    target,
    mergedCount: merged.filter((patch) => groupOf(patch) === groupOf(target)).length,
  }));
}

/** What of CLS's attention to the patches falls on those that are kept, 0 to 1. */
export function keptShare(patches: readonly Patch[]): number {
  return patches.reduce((sum, { fate, share }) => sum + (fate.kind === 'kept' ? share : 0), 0);
}

export const percent = (share: number): string => `${(100 * share).toFixed(share < 0.01 ? 2 : 1)} %`;

export const placeOf = ({ row, column }: Patch): string => `row ${row + 1}, column ${column + 1}`;

/** A patch in a sentence. Contextual tokens count from 1 for people. */
export function describePatch(patch: Patch, patchCount: number): string {
  const attention = `attention rank ${patch.rank} of ${patchCount}, ${percent(patch.share)}`;
  return `${placeOf(patch)}: ${describeFate(patch.fate)}; ${attention}`;
}

function describeFate(fate: Fate): string {
  switch (fate.kind) {
    case 'kept':
      return 'kept';
    case 'dropped':
      return 'left out';
    case 'target':
      return `target of contextual token ${fate.group + 1}`;
    case 'merged':
      return `merged into contextual token ${fate.group + 1}`;
    default:
      return fate satisfies never;
  }
}

/** All patches and tokens in a sentence or two. */
export function summary(patches: readonly Patch[]): string {
  const groups = groupsOf(patches);
  const count = (kind: Fate['kind']): number => patches.filter(({ fate }) => fate.kind === kind).length;
  if (count('kept') === patches.length) return `All ${patches.length} patches are kept, without CLS.`;
  const kept = `CLS and ${count('kept')} of ${patches.length} patches are kept, with ${percent(keptShare(patches))} of what CLS attends to.`;
  if (groups.length === 0) return `${kept} The others are left out.`;
  const into = groups.length === 1 ? 'one contextual token' : `${groups.length} contextual tokens`;
  return `${kept} The other ${count('target') + count('merged')} are merged into ${into}.`;
}
