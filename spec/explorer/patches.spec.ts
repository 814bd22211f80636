import { describe, expect, it } from 'vitest';
import { heatColour } from '../../explorer/colours.ts';
import {
  describePatch,
  groupsOf,
  keptShare,
  type Patch,
  patchesOf,
  summary,
} from '../../explorer/patches.ts';
import { createQueue } from '../../explorer/queue.ts';

// A grid of 2 x 3 patches: 2 and 5 are kept, 1 and 6 are targets, 3 and 4 are merged into the second and the first.
const scores = [1, 4, 1, 0, 3, 1];
const indices = { kept: [0, 2, 5], targets: [1, 6], sources: [3, 4], assignment: [1, 0] };
const patches = patchesOf(scores, 3, indices);

describe('explorer: patches', () => {
  it('explorer: a token index counts CLS, a patch does not, and places go row by row', () => {
    expect(patches.map(({ fate }) => ('group' in fate ? `${fate.kind} ${fate.group}` : fate.kind))).toEqual([
      'target 0',
      'kept',
      'merged 1',
      'merged 0',
      'kept',
      'target 1',
    ]);
    expect(patches.map(({ row, column }) => [row, column])).toEqual([
      [0, 0],
      [0, 1],
      [0, 2],
      [1, 0],
      [1, 1],
      [1, 2],
    ]);
  });

  it('explorer: shares are of all patches, and of equal scores the first has the better rank', () => {
    expect(patches.map(({ share }) => share)).toEqual([0.1, 0.4, 0.1, 0, 0.3, 0.1]);
    expect(patches.map(({ rank }) => rank)).toEqual([3, 1, 4, 6, 2, 5]);
    expect(keptShare(patches)).toBeCloseTo(0.7, 12);
    expect(patchesOf([0, 0], 2, null).map(({ share }) => share)).toEqual([0, 0]);
  });

  it('explorer: a contextual token is its target and what was merged into it', () => {
    expect(groupsOf(patches)).toEqual([
      { target: patches[0], mergedCount: 1 },
      { target: patches[5], mergedCount: 1 },
    ]);
  });

  it('explorer: words count from one', () => {
    expect(describePatch(patches[3] as Patch, 6)).toBe(
      'row 2, column 1: merged into contextual token 1; attention rank 6 of 6, 0.00 %',
    );
    expect(describePatch(patches[5] as Patch, 6)).toBe(
      'row 2, column 3: target of contextual token 2; attention rank 5 of 6, 10.0 %',
    );
    expect(summary(patches)).toBe(
      'CLS and 2 of 6 patches are kept, with 70.0 % of what CLS attends to. The other 4 are merged into 2 contextual tokens.',
    );
  });

  it('explorer: all patches, and pruning without merging, are told apart', () => {
    expect(summary(patchesOf(scores, 3, null))).toBe('All 6 patches are kept, without CLS.');
    const pruned = patchesOf(scores, 3, { kept: [0, 2], targets: [], sources: [], assignment: [] });
    expect(summary(pruned)).toMatch(/^CLS and 1 of 6 .* The others are left out\.$/);
    expect(describePatch(pruned[0] as Patch, 6)).toMatch(/: left out;/);
  });
});

describe('explorer: colours', () => {
  it('explorer: more attention is lighter, in every step', () => {
    const lightness = (value: number): number => {
      const [red = 0, green = 0, blue = 0] = (heatColour(value).match(/\d+/g) ?? []).map(Number);
      return 0.299 * red + 0.587 * green + 0.114 * blue;
    };
    for (let i = 0; i < 100; i++) expect(lightness((i + 1) / 100)).toBeGreaterThanOrEqual(lightness(i / 100));
    expect(lightness(1) - lightness(0)).toBeGreaterThan(180);
    expect([heatColour(-1), heatColour(2)]).toEqual([heatColour(0), heatColour(1)]);
  });
});

describe('explorer: queue', () => {
  it('explorer: tasks run one after the other, and of one kind that wait only the last', async () => {
    const enqueue = createQueue();
    const done: string[] = [];
    const task = (name: string) => async (): Promise<void> => {
      done.push(`${name} begins`);
      await Promise.resolve();
      done.push(`${name} ends`);
    };
    await Promise.all([
      enqueue('picture', task('picture 1')),
      enqueue('budget', task('budget 1')),
      enqueue('budget', task('budget 2')),
    ]);
    expect(done).toEqual(['picture 1 begins', 'picture 1 ends', 'budget 2 begins', 'budget 2 ends']);
  });

  it('explorer: a task that fails tells its caller, and the next one runs', async () => {
    const enqueue = createQueue();
    const failed = enqueue('picture', async () => {
      throw new RangeError('no');
    });
    let ran = false;
    const next = enqueue('budget', async () => {
      ran = true;
    });
    await expect(failed).rejects.toThrow(RangeError);
    await next;
    expect(ran).toBe(true);
  });
});
