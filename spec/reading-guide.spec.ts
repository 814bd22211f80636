// docs/reading-guide.md, `npm run read` and the README name the same files, which are there and hold what they are named for.

import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

// The script is plain JavaScript without types: they are given here.
interface Stop {
  readonly title: string;
  readonly names: readonly { readonly name: string; readonly path: string }[];
  readonly files: readonly { readonly path: string; readonly lineCount: number }[];
}

const { readingOrder } = (await import(new URL('../scripts/read.mjs', import.meta.url).href)) as {
  readingOrder(guide?: string): readonly Stop[];
};

const guide = readFileSync('docs/reading-guide.md', 'utf8');
const stops = readingOrder();
const files = stops.flatMap((stop) => stop.files);
const lineCount = (path: string): number => readFileSync(path, 'utf8').split('\n').length - 1;

const NAMED_LINK = /\[`([^`]+)`\]\(\.\.\/([^)]+)\)/g;

/** Whether a file holds a name as a whole word, or lies in the folder of that name. */
function mentions(path: string, name: string): boolean {
  const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return path.startsWith(name) || new RegExp(`\\b${escaped}\\b`).test(readFileSync(path, 'utf8'));
}

/** Whether a file of code declares a name, or another file holds it. */
function holds(path: string, name: string): boolean {
  const text = readFileSync(path, 'utf8');
  if (!/\.(ts|mjs)$/.test(path)) return text.includes(name);
  return new RegExp(`^(export )?(async )?(function\\*?|const|interface|type) ${name}\\b`, 'm').test(text);
}

describe('reading guide', () => {
  it('reading guide: seven stops, each with something to look for and an exercise', () => {
    expect(stops.map(({ title }) => title.slice(0, 3))).toEqual([1, 2, 3, 4, 5, 6, 7].map((n) => `${n}. `));
    const texts = guide.split(/^## /m).slice(1);
    for (const [i, { title, files: own }] of stops.entries()) {
      expect(own.length, title).toBeGreaterThan(0);
      expect(texts[i], title).toMatch(/\n\*\*Exercise\.\*\* [\s\S]*\n {4}(npx vitest run|npm run) \S/);
    }
  });

  it('reading guide: every name is declared in the file that it leads to', () => {
    const strays = stops.flatMap(({ names }) =>
      names.filter(({ name, path }) => !existsSync(path) || !holds(path, name)),
    );
    expect(strays).toEqual([]);
    expect(holds('src/tensor/tensor.ts', 'dimensions')).toBe(false);
  });

  it('reading guide: what glossary and porting guide link to by name is in that file', () => {
    for (const page of ['docs/glossary.md', 'docs/porting.md']) {
      const links = Array.from(readFileSync(page, 'utf8').matchAll(NAMED_LINK));
      expect(links.length, page).toBeGreaterThan(2);
      const strays = links.filter(
        ([, name, path]) => !existsSync(path as string) || !mentions(path as string, name as string),
      );
      expect(strays.map(([link]) => link)).toEqual([]);
    }
    expect(mentions('src/tensor/tensor.ts', 'dim')).toBe(false);
  });

  it('reading guide: the commands of the exercises are there', () => {
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: object };
    for (const [, command] of guide.matchAll(/^ {4}(.+)$/gm)) {
      const [program, verb, what] = (command as string).split(' ') as [string, string, string];
      if (program === 'npm' && verb === 'run') expect(scripts).toHaveProperty([what]);
      else
        expect([program, verb, existsSync((command as string).split(' ')[3] ?? '')]).toEqual([
          'npx',
          'vitest',
          true,
        ]);
    }
  });

  it('reading guide: npm run read prints these files in this order, with the lines that they have', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ['scripts/read.mjs']);
    const printed = Array.from(stdout.matchAll(/^ +(\S+\.\w+) +(\d+)$/gm), ([, path, count]) => [
      path,
      count,
    ]);
    expect(printed).toEqual(files.map(({ path }) => [path, String(lineCount(path))]));
    expect(new Set(files.map(({ path }) => path)).size).toBe(files.length);
    const total = files.reduce((sum, { path }) => sum + lineCount(path), 0);
    expect(stdout).toMatch(new RegExp(`^ +lines +${total}$`, 'm'));
  });

  it('reading guide: the table of the README is a part of it, in its order, with the lines of today', () => {
    const rows = Array.from(
      readFileSync('README.md', 'utf8').matchAll(/^\| \[([^\]]+)\]\(([^)]+)\): .+ \| (\d+) \|$/gm),
      ([, label, path, count]) => ({ label, path: path as string, lineCount: Number(count) }),
    );
    expect(rows.length).toBe(7);
    for (const { label, path } of rows) expect(label).toBe(path);
    const inReadme = new Set(rows.map(({ path }) => path));
    expect(rows.map(({ path, lineCount: count }) => ({ path, lineCount: count }))).toEqual(
      files.filter(({ path }) => inReadme.has(path)),
    );
  });
});
