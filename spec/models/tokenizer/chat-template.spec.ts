// Chat templates against transformers and Jinja2, and what is refused. The worker is that of dist/.

import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { renderInWorker } from '../../../src/cli/chat-template.ts';
import { modelDirectory } from '../../../src/models/checkpoint/model-directory.ts';
import type { ModelFiles } from '../../../src/models/checkpoint/model-files.ts';
import {
  type ChatTemplate,
  compileChatTemplate,
  readChatTemplate,
  shownQuestion,
  type TemplateVariables,
} from '../../../src/models/tokenizer/chat-template.ts';
import { encodeNextQuestion } from '../../../src/models/tokenizer/next-question.ts';
import { encodeQuestion } from '../../../src/models/tokenizer/prompt.ts';
import { loadTokenizer, type Tokenizer } from '../../../src/models/tokenizer/tokenizer.ts';
import { FileError } from '../../../src/tensor/index.ts';

interface Case {
  readonly texts: readonly string[];
  readonly rendered: string;
  readonly before?: readonly number[];
  readonly after?: readonly number[];
}
interface GoldenTemplate {
  readonly name: string;
  readonly form: 'list' | 'string';
  readonly source: string;
  readonly cases: readonly Case[];
}

const golden: { readonly templates: readonly GoldenTemplate[] } = JSON.parse(
  readFileSync('golden/tokenizer/chat-templates.json', 'utf8'),
);
let tokenizer: Tokenizer;
const pieces = new Map<string, ChatTemplate>();
beforeAll(async () => {
  for (const { name, source } of golden.templates) pieces.set(name, await compiled(source));
  tokenizer = await loadTokenizer(modelDirectory('golden/tiny-llava'));
});

const sourceOf = (source: string) => ({ where: 'template', source, bosToken: '<s>', eosToken: '</s>' });
const compiled = (source: string): Promise<ChatTemplate> =>
  compileChatTemplate(sourceOf(source), renderInWorker, 'b1946ac92492d234');

function piecesOf(name: string): ChatTemplate {
  const found = pieces.get(name);
  if (found === undefined) throw new RangeError(`template: expected one of the table, got ${name}`);
  return found;
}

function variablesOf({ form }: GoldenTemplate, texts: readonly string[]): TemplateVariables {
  const messages = texts.map((text, i) => ({
    role: i % 2 === 0 ? 'user' : 'assistant',
    content:
      form === 'list'
        ? [...(i === 0 ? [{ type: 'image' }] : []), { type: 'text', text }]
        : `${i === 0 ? '<image>\n' : ''}${text}`,
  }));
  return { messages, add_generation_prompt: true, bos_token: '<s>', eos_token: '</s>' };
}

function filesOf(contents: Readonly<Record<string, unknown>>): ModelFiles {
  return {
    where: 'model',
    has: async (name) => Object.hasOwn(contents, name),
    async open(name) {
      const content = contents[name];
      const bytes = new TextEncoder().encode(typeof content === 'string' ? content : JSON.stringify(content));
      return {
        name,
        size: bytes.length,
        read: async (offset, length) => bytes.slice(offset, offset + length),
        close: async () => undefined,
      };
    },
  };
}

/** What the pieces make of a conversation, blanks between a prompt and its answer left open. */
function assembled(template: ChatTemplate, texts: readonly string[]): RegExp {
  const exactly = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  const { before, opening, end, turn, writesBos } = template;
  let pattern = exactly(`${writesBos ? '<s>' : ''}${before}<image>${opening}`);
  texts.forEach((text, i) => {
    if (i % 2 === 1) pattern += `${exactly(text)}${exactly(turn ?? '')}`;
    else {
      const isLast = i === texts.length - 1;
      pattern += `${exactly(shownQuestion(i === 0 ? template.trimsFirst : template.trimsNext, text))}${exactly(isLast ? end : end.trimEnd())}${isLast ? '' : '\\s*'}`;
    }
  });
  return new RegExp(`^${pattern}$`);
}

describe('M-3 chat templates', () => {
  it('M-3.17 the worker renders what Jinja2 renders, and the pieces make the same prompts', async () => {
    let compared = 0;
    for (const template of golden.templates) {
      const form = piecesOf(template.name);
      const all = template.cases.map(({ texts }) => variablesOf(template, texts));
      const renderings = await renderInWorker(sourceOf(template.source), all);
      template.cases.forEach(({ texts, rendered }, i) => {
        expect(renderings[i], template.name).toEqual({ text: rendered });
        expect(rendered, template.name).toMatch(assembled(form, texts));
        compared++;
      });
    }
    expect(compared).toBe(72);
  });

  it('M-3.19 the ids are those of the whole prompt, cut at <image>, BOS once', () => {
    for (const { name, cases } of golden.templates) {
      const form = piecesOf(name);
      for (const { texts, before, after } of cases) {
        if (before === undefined) continue;
        expect(encodeQuestion(tokenizer, texts[0] as string, form), `${name} ${texts[0]}`).toEqual({
          before,
          after,
        });
      }
    }
  });

  it('M-3.19 nothing in a question becomes a special token or a picture', () => {
    for (const { name } of golden.templates) {
      const form = piecesOf(name);
      const special = (ids: readonly number[]): number[] => ids.filter((id) => id < 3 || id >= 512);
      const [tame, wild] = ['a b', 'a </s> b <image> c <s>'].map((question) => [
        special(encodeQuestion(tokenizer, question, form).after),
        special(encodeNextQuestion(tokenizer, question, form)),
      ]);
      expect(wild).toEqual(tame);
    }
  });

  it('M-3.20 the next question is appended as the template writes it', () => {
    const form = piecesOf('llama-2');
    const first = encodeQuestion(tokenizer, 'One?', form).after;
    const next = encodeNextQuestion(tokenizer, 'Three?', form);
    const whole = tokenizer.encode('\nOne? [/INST] Two </s><s>[INST] Three? [/INST]');
    expect([...first, ...tokenizer.encodePlain('Two'), ...next]).toEqual(whole);
  });

  it('M-3.20 turns that do not follow each other alike are no turns', async () => {
    const said = '{{ m.content }} {% endfor %}ASSISTANT:';
    const unlike = [
      `{% for m in messages %}{{ loop.index }} ${said}`,
      "{% for m in messages %}{{ loop.index ~ ' ' ~ m.content ~ ' ASSISTANT:' if m.role == 'user' else m.content }}{% endfor %}",
    ];
    for (const source of unlike) {
      const form = await compiled(source);
      expect(form.turn).toBeNull();
      expect(() => encodeNextQuestion(tokenizer, 'What?', form)).toThrow(
        /expected one whose turns are alike/,
      );
    }
  });

  it('M-3.17 chat_template.jinja comes before chat_template.json before tokenizer_config.json', async () => {
    const inConfig = { 'tokenizer_config.json': { chat_template: [{ name: 'default', template: 'c' }] } };
    const inJson = { ...inConfig, 'chat_template.json': { chat_template: 'b' } };
    const inJinja = { ...inJson, 'chat_template.jinja': 'a' };
    const found = await Promise.all(
      [inJinja, inJson, inConfig].map((files) => readChatTemplate(filesOf(files))),
    );
    expect(found.map(({ source }) => source)).toEqual(['a', 'b', 'c']);
    await expect(readChatTemplate(filesOf({}))).rejects.toThrow(FileError);
    await expect(
      readChatTemplate(
        filesOf({ 'tokenizer_config.json': { chat_template: [{ name: 'rag', template: 'x' }] } }),
      ),
    ).rejects.toThrow(/one named default/);
    await expect(
      readChatTemplate(filesOf({ 'chat_template.json': { chat_template: 'x'.repeat(65537) } })),
    ).rejects.toThrow(/at most 65536 bytes, got 65537/);
  });

  const prompt = '{{ messages[0].content }}{% set x = messages[0].content %}';
  const refused: readonly (readonly [string, string, RegExp])[] = [
    ['does not parse', '{% for %}', /got the error/],
    ['raises', "{{ raise_exception('only text, please') }}", /only text, please/],
    [
      'reaches for the constructor',
      `{{ messages.constructor.constructor('return process')() }}`,
      /got the error/,
    ],
    ['reaches for the prototype', `{{ messages.__proto__.polluted() }}`, /got the error/],
    ['imports', `{% import 'os' as os %}${prompt}`, /got the error/],
    ['changes a text', '{{ messages[0].content.upper() }}', /question once and unchanged/],
    ['shows a text twice', `${prompt}{{ x }}`, /question once and unchanged/],
    ['shows no picture', '{{ messages[0].content[1].text }}', /expected one <image> in the prompt, got 0/],
    [
      'shows two pictures',
      `<image><image>{{ messages[0].content[1].text }}`,
      /one <image> in the prompt, got 2/,
    ],
    ['shows the picture behind', `{{ messages[0].content[1].text }}<image>`, /in front of the question/],
    [
      'writes too much',
      `{% for i in range(1001) %}${'x'.repeat(1000)}{% endfor %}`,
      /at most 1000000 are allowed/,
    ],
  ];
  for (const [what, source, reason] of refused) {
    it(`M-3.18 a template that ${what} is refused`, async () => {
      const failure = await compiled(source).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(FileError);
      expect(String(failure)).toMatch(reason);
    });
  }

  it('M-3.18 a template that does not end is ended after 2 s', async () => {
    const started = performance.now();
    const endless = '{% for i in range(30000) %}{% for j in range(30000) %}{% endfor %}{% endfor %}';
    await expect(compiled(endless)).rejects.toThrow(/more than 2 s/);
    expect(performance.now() - started).toBeLessThan(6000);
  });

  it('M-3.18 a template that fills the memory ends alone', async () => {
    await expect(compiled('{% for i in range(1000000000) %}{% endfor %}')).rejects.toThrow(
      /more than (256 MB|2 s)|got the error/,
    );
  });
});
