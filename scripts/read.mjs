// Prints the files of docs/reading-guide.md in the order in which to read them, with their lengths: `npm run read`.
//
// The guide is the only list. A stop is a heading such as `## 2. An operation and its kernel`; its files are those that its
// links with a name in code lead to.

import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { optionsOf } from './options.mjs';

const ROOT = resolve(import.meta.dirname, '..');
const GUIDE = 'docs/reading-guide.md';

/** [{ title, names: [{ name, path }], files: [{ path, lineCount }] }]: each file at the first stop that names it. */
export function readingOrder(guide = readFileSync(join(ROOT, GUIDE), 'utf8')) {
  const seen = new Set();
  return guide
    .split(/^## /m)
    .slice(1)
    .map((text) => {
      const names = Array.from(text.matchAll(/\[`([^`]+)`\]\(\.\.\/([^)]+)\)/g), ([, name, path]) => ({
        name,
        path,
      }));
      const paths = [...new Set(names.map(({ path }) => path))].filter((path) => !seen.has(path));
      for (const path of paths) seen.add(path);
      const [title] = text.split('\n', 1);
      return { title, names, files: paths.map((path) => ({ path, lineCount: lineCount(path) })) };
    });
}

function lineCount(path) {
  return readFileSync(join(ROOT, path), 'utf8').split('\n').length - 1;
}

function print(stops) {
  const width = Math.max(...stops.flatMap(({ files }) => files.map(({ path }) => path.length)));
  const line = (path, count) => `   ${path.padEnd(width)}  ${String(count).padStart(5)}`;
  const lines = stops.flatMap(({ title, files }) => [
    title,
    ...files.map(({ path, lineCount: count }) => line(path, count)),
    '',
  ]);
  const total = stops.flatMap(({ files }) => files).reduce((sum, { lineCount: count }) => sum + count, 0);
  console.log([...lines, line('lines', total), '', `What to look for, and exercises: ${GUIDE}`].join('\n'));
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  optionsOf('read');
  print(readingOrder());
}
