// What a chat holds, and its commands.

import {
  type ClipEncoding,
  type Conversation,
  converse,
  type DecodeOptions,
  type Llava,
  type SamplingOptions,
} from '../models/index.ts';
import { dispose, readAll } from '../tensor/index.ts';
import { type ChosenBudget, chosenBudgets } from './budget-options.ts';
import { budgetLabel } from './labels.ts';
import { checkOutputFile, writeWhole } from './output-files.ts';
import { checkBudgets, reduceTokens, type VisualTokens } from './stages.ts';

/** What stays the same from the first line to the last. */
export interface ChatFrame {
  readonly llava: Llava;
  readonly imagePath: string;
  readonly encoding: ClipEncoding; // of the picture, kept so that it can be zipped anew
  readonly sampling: SamplingOptions | null;
  readonly decoding: DecodeOptions;
}

export interface ChatSession extends ChatFrame {
  visual: VisualTokens;
  conversation: Conversation;
  answering: 'not' | 'running' | 'stopping';
}

export async function openSession(frame: ChatFrame, budget: ChosenBudget): Promise<ChatSession> {
  const visual = await reduceTokens(frame.llava, frame.encoding, budget);
  return { ...frame, visual, conversation: converse(frame.llava, visual.tokens), answering: 'not' };
}

export function closeSession({ conversation, visual, encoding }: ChatSession): void {
  conversation.end();
  dispose(visual, encoding);
}

const help = `/budget N     zip the picture to 64, 128, 192 or 576 tokens and go on; /budget K+M: K dominant, M contextual
/kept         the patches that are kept
/save FILE    write the conversation as JSON
/quit         end, as Ctrl-D does; Ctrl-C stops an answer
`;

/** Runs a line that begins with a slash; returns what to print. Throws RangeError, FileError. */
export async function runCommand(session: ChatSession, line: string): Promise<string> {
  const [name = '', ...words] = line.split(/\s+/);
  const rest = line.slice(name.length).trim();
  if (name === '/save') return save(session, rest);
  if (name === '/budget') return changeBudget(session, rest);
  if (words.length > 0)
    throw new RangeError(`${name}: expected nothing behind it, got ${JSON.stringify(rest)}`);
  if (name === '/help') return help;
  if (name === '/kept') return keptPatches(session);
  throw new RangeError(`chat: expected /budget, /kept, /save, /help or /quit, got ${name}`);
}

/** Zips the picture anew and replays the conversation; leaves everything as it was if that cannot be. */
async function changeBudget(session: ChatSession, text: string): Promise<string> {
  const { llava, encoding, visual, conversation } = session;
  if (text === '') return `${budgetLabel(visual.budget)}\n`;
  const [, dominant, contextual] = /^(\d+)\s*\+\s*(\d+)$/.exec(text) ?? [];
  const budgets = chosenBudgets(dominant === undefined ? { budget: text } : { dominant, contextual });
  const [budget, ...others] = budgets;
  if (budget === undefined || others.length > 0) {
    throw new RangeError(`/budget: expected one budget, got ${budgets.length}`);
  }
  checkBudgets(llava, [budget]);
  const next = await reduceTokens(llava, encoding, budget);
  try {
    session.conversation = converse(llava, next.tokens, conversation.turns);
  } catch (error) {
    dispose(next);
    throw error;
  }
  session.visual = next;
  conversation.end();
  dispose(visual);
  return `${budgetLabel(budget)}, with the conversation so far\n`;
}

async function keptPatches({ llava, visual }: ChatSession): Promise<string> {
  const { imageSize, patchSize } = llava.config.vision;
  const columns = imageSize / patchSize;
  const cells = new Array<string>(columns * columns).fill(visual.zip === null ? '#' : '.');
  if (visual.zip !== null) {
    const { keptTokenIndices, targetTokenIndices } = visual.zip;
    const [kept, targets] = await readAll(llava.gpu, [keptTokenIndices, targetTokenIndices]);
    for (const token of kept) if (token > 0) cells[token - 1] = '#';
    for (const token of targets) cells[token - 1] = '+';
  }
  const rows = Array.from({ length: columns }, (_, row) =>
    cells.slice(row * columns, (row + 1) * columns).join(' '),
  );
  return `${rows.join('\n')}\n# kept   + target of a merge   . merged into one\n`;
}

async function save(session: ChatSession, path: string): Promise<string> {
  if (path === '') throw new RangeError('/save: expected the name of a file, got none');
  await checkOutputFile('/save', path);
  const { imagePath, visual, sampling, decoding, conversation } = session;
  const record = {
    image: imagePath,
    visualTokens: visual.count,
    dominant: visual.budget?.dominantCount ?? null,
    contextual: visual.budget?.contextualCount ?? null,
    sampling,
    maxNewTokens: decoding.maxNewTokens,
    turns: conversation.turns,
  };
  await writeWhole(path, new TextEncoder().encode(`${JSON.stringify(record, null, 2)}\n`));
  return `${path}: ${conversation.turns.length} turns\n`;
}
