// The chat template of a checkpoint, as the pieces of a prompt. SPEC M-3.17 to M-3.20. Pure: who renders it comes from outside.
//
//     BEFORE <image> OPENING question END answer TURN question END answer TURN question END
//
// The template never sees what a user says. It is rendered once with marks that nobody can guess in the places of
// questions and answers; what stands between the marks are the pieces. One that changes a text, looks into it or shows it
// twice is refused, except that it may strip blanks: each mark stands between two EM SPACEs, which then are missing.

import { FileError } from '../../tensor/errors.ts';
import { type ModelFiles, quoted, readJson, readText, sizeCaps } from '../checkpoint/model-files.ts';
import { contentOf, readTokenizerConfig } from './tokenizer-config.ts';

/** A template as it lies in a folder. `where` names file and field in messages. */
export interface TemplateSource {
  readonly where: string;
  readonly source: string;
  readonly bosToken: string;
  readonly eosToken: string;
}

/** What a template is rendered with. */
export interface TemplateVariables {
  readonly messages: readonly unknown[];
  readonly add_generation_prompt: true;
  readonly bos_token: string;
  readonly eos_token: string;
}

/** The text of one rendering, or why there is none. */
export type Rendering = { readonly text: string } | { readonly error: string };

/** Renders a template with each set of variables. Throws FileError for one that takes too long or too much. */
export type TemplateRenderer = (
  template: TemplateSource,
  variables: readonly TemplateVariables[],
) => Promise<readonly Rendering[]>;

/** Whether a template strips the blanks in front of a question, and behind it. */
export interface Trims {
  readonly start: boolean;
  readonly end: boolean;
}

/** The pieces between picture, questions and answers. Special tokens in them are honoured. */
export interface ChatTemplate {
  readonly name: 'chat_template';
  readonly writesBos: boolean; // at the front; it is not part of `before`
  readonly before: string;
  readonly opening: string;
  readonly end: string;
  readonly turn: string | null; // null: its turns do not follow each other alike
  readonly trimsFirst: Trims; //   of the first question, which may follow <image> in one text
  readonly trimsNext: Trims;
}

const LARGEST_SOURCE_BYTES = 2 ** 16;
const imageMark = '<image>';
const pad = '\u2003';

/**
 * The template of a model folder: chat_template.jinja, else `chat_template` of chat_template.json, else of
 * tokenizer_config.json, which is the order of transformers; of named ones, `default`. Throws FileError.
 */
export async function readChatTemplate(files: ModelFiles): Promise<TemplateSource> {
  const { where, source } = await findSource(files);
  const bytes = new TextEncoder().encode(source).length;
  if (bytes > LARGEST_SOURCE_BYTES) {
    throw new FileError(
      `${where}: expected a template of at most ${LARGEST_SOURCE_BYTES} bytes, got ${bytes}`,
    );
  }
  const config = await readTokenizerConfig(files);
  return { where, source, bosToken: contentOf(config.bos_token), eosToken: contentOf(config.eos_token) };
}

async function findSource(files: ModelFiles): Promise<{ where: string; source: string }> {
  const plain = 'chat_template.jinja';
  if (await files.has(plain)) {
    return { where: `${files.where}/${plain}`, source: await readText(files, plain, LARGEST_SOURCE_BYTES) };
  }
  for (const name of ['chat_template.json', 'tokenizer_config.json']) {
    if (!(await files.has(name))) continue;
    const json = await readJson(files, name, sizeCaps.config);
    const where = `${files.where}/${name} chat_template`;
    const field = ownField(json, 'chat_template');
    const named = Array.isArray(field) ? field.find((entry) => ownField(entry, 'name') === 'default') : null;
    const source = named == null ? field : ownField(named, 'template');
    if (typeof source === 'string') return { where, source };
    if (source != null || name === 'chat_template.json') {
      throw new FileError(`${where}: expected a template or one named default, got ${quoted(source)}`);
    }
  }
  throw new FileError(
    `${files.where}: expected chat_template.jinja, chat_template.json or a chat_template in tokenizer_config.json, got none`,
  );
}

function ownField(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}

/**
 * The pieces of a template. Messages are lists of `{ type: 'image' }` and `{ type: 'text', text }`, as processors of
 * transformers take them; if the template makes no prompt of these, `<image>\n` and the text as one string. `secret` is a
 * text of letters and digits that nobody can guess. Throws FileError for a template that fails, that shows not exactly one
 * `<image>` in front of the question, or that changes a text.
 */
export async function compileChatTemplate(
  template: TemplateSource,
  render: TemplateRenderer,
  secret: string,
): Promise<ChatTemplate> {
  const marks = ['Qa', 'Aa', 'Qb', 'Ab', 'Qc'].map((kind) => `${kind}${secret}z`);
  const forms = [listContent, stringContent];
  const variables = forms.flatMap((content) => [
    variablesOf(template, marks.slice(0, 1), content),
    variablesOf(template, marks, content),
  ]);
  const [listed, listedTurns, stringed, stringedTurns] = await render(template, variables);
  const asList = firstPrompt(template, listed, marks);
  const asString = 'error' in asList ? firstPrompt(template, stringed, marks) : null;
  const chosen = 'error' in asList && asString !== null && !('error' in asString) ? asString : asList;
  if ('error' in chosen) {
    const renders = listed !== undefined && 'text' in listed; // otherwise strings came further
    const { error } = !renders && asString !== null && 'error' in asString ? asString : chosen;
    throw new FileError(`${template.where}: ${error}`);
  }
  const turns = chosen === asList ? listedTurns : stringedTurns;
  const next = turnOf(template, chosen, turns, marks);
  return { ...chosen, turn: next?.turn ?? null, trimsNext: next?.trimsNext ?? chosen.trimsFirst };
}

type FirstPrompt = Omit<ChatTemplate, 'turn' | 'trimsNext'>;

type Content = (text: string, withImage: boolean) => unknown;

const listContent: Content = (text, withImage) => [
  ...(withImage ? [{ type: 'image' }] : []),
  { type: 'text', text },
];
const stringContent: Content = (text, withImage) => (withImage ? `${imageMark}\n${text}` : text);

function variablesOf(
  { bosToken, eosToken }: TemplateSource,
  marks: readonly string[],
  content: Content,
): TemplateVariables {
  const messages = marks.map((mark, i) => ({
    role: i % 2 === 0 ? 'user' : 'assistant',
    content: content(`${pad}${mark}${pad}`, i === 0),
  }));
  return { messages, add_generation_prompt: true, bos_token: bosToken, eos_token: eosToken };
}

interface Parts {
  readonly between: readonly string[]; // one more than there are marks
  readonly padsBefore: readonly boolean[];
  readonly padsBehind: readonly boolean[];
}

/** Cuts a text at the marks. Null unless each is there once, in order. */
function cut(text: string, marks: readonly string[]): Parts | null {
  const between: string[] = [];
  const padsBefore: boolean[] = [];
  const padsBehind: boolean[] = [];
  let rest = text;
  for (const mark of marks) {
    const [left, right, ...more] = rest.split(mark);
    if (left === undefined || right === undefined || more.length > 0) return null;
    padsBefore.push(left.endsWith(pad));
    padsBehind.push(right.startsWith(pad));
    between.push(left.endsWith(pad) ? left.slice(0, -pad.length) : left);
    rest = right.startsWith(pad) ? right.slice(pad.length) : right;
  }
  return { between: [...between, rest], padsBefore, padsBehind };
}

function firstPrompt(
  { bosToken }: TemplateSource,
  rendering: Rendering | undefined,
  marks: readonly string[],
): FirstPrompt | { readonly error: string } {
  if (rendering === undefined) return { error: 'expected a rendering, got none' };
  if ('error' in rendering) return { error: `expected a template that renders, got ${rendering.error}` };
  const parts = cut(rendering.text, marks.slice(0, 1));
  if (parts === null) return { error: 'expected the question once and unchanged, got another text' };
  const count = rendering.text.split(imageMark).length - 1;
  const [head = '', end = ''] = parts.between;
  const [before = '', opening] = head.split(imageMark);
  if (count !== 1) return { error: `expected one ${imageMark} in the prompt, got ${count}` };
  if (opening === undefined)
    return { error: `expected ${imageMark} in front of the question, got it behind` };
  const writesBos = bosToken !== '' && before.startsWith(bosToken);
  return {
    name: 'chat_template',
    writesBos,
    before: writesBos ? before.slice(bosToken.length) : before,
    opening,
    end,
    trimsFirst: trimsAt(parts, 0),
  };
}

/** What stands between an answer and the next question, if that is the same each time. SPEC M-3.20. */
function turnOf(
  { bosToken }: TemplateSource,
  first: FirstPrompt,
  rendering: Rendering | undefined,
  marks: readonly string[],
): Pick<ChatTemplate, 'turn' | 'trimsNext'> | null {
  if (rendering === undefined || 'error' in rendering) return null;
  const parts = cut(rendering.text, marks);
  if (parts === null) return null;
  const [head, endA = '', turnA = '', endB, turnB, endC] = parts.between;
  const wanted = `${first.writesBos ? bosToken : ''}${first.before}${imageMark}${first.opening}`;
  const isAlike = head === wanted && endA === endB && turnA === turnB && endC === first.end;
  // A blank between the prompt and an answer is part of the answer as it is decoded.
  const isAnswered = endA.trimEnd() === first.end.trimEnd();
  const [trimsFirst, trimsNext, trimsLast] = [0, 2, 4].map((i) => trimsAt(parts, i)) as [Trims, Trims, Trims];
  const isTrimmedAlike = areAlike(trimsFirst, first.trimsFirst) && areAlike(trimsNext, trimsLast);
  const isTurn = isAlike && isAnswered && isTrimmedAlike && !turnA.includes(imageMark);
  return isTurn ? { turn: turnA, trimsNext } : null;
}

function trimsAt({ padsBefore, padsBehind }: Parts, mark: number): Trims {
  return { start: padsBefore[mark] === false, end: padsBehind[mark] === false };
}

function areAlike(a: Trims, b: Trims): boolean {
  return a.start === b.start && a.end === b.end;
}

/** A question as the template shows it. */
export function shownQuestion({ start, end }: Trims, question: string): string {
  const text = start ? question.trimStart() : question;
  return end ? text.trimEnd() : text;
}
