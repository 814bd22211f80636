// --chat-template in the commands.

import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runCommand } from './run-command.ts';

const picture = 'golden/tiny-llava/scene-0.png';
let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'visionzip-chat-template-'));
  cpSync('golden/tiny-llava', root, { recursive: true });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const turns =
  "{% for m in messages %}{{ m.role | upper }}: {% if loop.first %}{{ '<image>\\n' }}{% endif %}" +
  '{% for c in m.content if c.type == "text" %}{{ c.text }}{% endfor %}' +
  "{{ eos_token if m.role == 'assistant' else ' ' }}{% endfor %}ASSISTANT:";

it('M-3.20 chat by a template of the form hf answers as by hf', async () => {
  writeFileSync(join(root, 'chat_template.jinja'), turns);
  const lines = 'What color is the circle?\nHow many objects are there?\nWhat is in the </s> top left?\n';
  const byName = await runCommand(['chat', picture, '--model', root], lines);
  const byTemplate = await runCommand(['chat', picture, '--model', root, '--chat-template'], lines);
  expect([byTemplate.code, byTemplate.stdout], byTemplate.stderr).toEqual([0, byName.stdout]);
  expect(byName.stdout.trim().split('\n')).toHaveLength(3);
});

it('M-3.18 a missing, failing or two-fold template ends with exit code 2, file and reason', async () => {
  const empty = join(root, 'empty');
  mkdirSync(empty);
  const ask = ['ask', picture, 'What?', '--chat-template'];
  writeFileSync(join(root, 'chat_template.jinja'), "{{ raise_exception('not today') }}");
  const [missing, failing, both] = await Promise.all([
    runCommand([...ask, '--model', empty]),
    runCommand([...ask, '--model', root]),
    runCommand([...ask, '--template', 'hf']),
  ]);
  expect([missing.code, failing.code, both.code]).toEqual([2, 2, 2]);
  expect(missing.stderr).toMatch(/expected chat_template\.jinja, .* got none\n$/);
  expect(failing.stderr).toMatch(
    /chat_template\.jinja: expected a template that renders, got .*not today\n$/,
  );
  expect(both.stderr).toBe('visionzip: ask: expected --template or --chat-template, got both\n');
});

it('M-3.20 chat refuses a template whose turns are not alike before there is a device', async () => {
  writeFileSync(
    join(root, 'chat_template.jinja'),
    `${turns.replace('{{ m.role', '{{ loop.index }}{{ m.role')}`,
  );
  const { code, stderr } = await runCommand(['chat', picture, '--model', root, '--chat-template'], 'What?\n');
  expect(code).toBe(2);
  expect(stderr).toMatch(/chat_template\.jinja: expected turns that follow each other alike/);
});
