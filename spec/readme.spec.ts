// The README's library example, as it stands there, run against the built package.

import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { caseQuestion } from './support/embedded-cases.ts';

const example = /```js\n([\s\S]*?)```/.exec(readFileSync('README.md', 'utf8'))?.[1] ?? '';

test('VZ-4.1 the README example is at most 15 lines and answers', async () => {
  expect(
    example
      .trim()
      .split('\n')
      .filter((line) => line !== '').length,
  ).toBeLessThanOrEqual(15);
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', example]);
  expect(stdout).toBe(caseQuestion('scene-2.png', 'color').answers['64']?.text);
});

test('T-1.1 every file that the README and the docs link to is there', () => {
  const docs = readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .map((path) => join('docs', path))
    .filter((path) => path.endsWith('.md') && !path.startsWith(join('docs', 'api')));
  for (const page of ['README.md', 'CONTRIBUTING.md', 'golden/README.md', ...docs]) {
    const links = [...readFileSync(page, 'utf8').matchAll(/(?:\]\(|src=")([^)"#]+)/g)].map(
      ([, link]) => link as string,
    );
    for (const link of links) {
      if (/^https?:/.test(link)) continue;
      expect(existsSync(join(dirname(page), link)), `${link} in ${page}`).toBe(true);
    }
  }
});

test('T-1.1 CONTRIBUTING lists every script of package.json and every program in scripts/', () => {
  const contributing = readFileSync('CONTRIBUTING.md', 'utf8');
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };
  const run = Object.values(scripts).join(' ');
  const files = readdirSync('scripts').filter((name) => name.endsWith('.mjs'));
  const texts = files.map((name) => readFileSync(join('scripts', name), 'utf8')).join('\n');
  const tools = [
    ...Object.keys(scripts).map((name) => new RegExp(`npm (run )?${name}\\b(?![:-])`)),
    ...files
      .filter((name) => !run.includes(`scripts/${name}`) && !texts.includes(`from './${name}'`)) // nobody imports a program
      .map((name) => new RegExp(`node scripts/${name}`)),
  ];
  expect(tools.length).toBeGreaterThan(20);
  expect(tools.filter((tool) => !tool.test(contributing)).map(String)).toEqual([]);
});
