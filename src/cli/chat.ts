// `visionzip chat IMAGE`: a conversation about a picture, at the terminal or through a pipe.
//
// The picture is encoded once; the key-value cache is kept between turns (models/llava/conversation.ts).

import { createInterface } from 'node:readline/promises';
import { sampler } from '../models/index.ts';
import { FileError } from '../tensor/index.ts';
import { chosenBudgets } from './budget-options.ts';
import { type ChatSession, closeSession, openSession, runCommand } from './chat-session.ts';
import { openChatTemplate } from './chat-template.ts';
import { budgetLabel } from './labels.ts';
import { modelFlags, modelOptions, openModel } from './model.ts';
import { readOptions, wholeNumber } from './options.ts';
import { imageMode, readPicture } from './picture.ts';
import { chosenSampling } from './sampling-options.ts';
import { beforeDying, dieOf, takeInterrupts } from './signals.ts';
import { checkBudgets, encodePicture } from './stages.ts';
import { templateChoice } from './template-options.ts';

const options = {
  ...modelFlags,
  budget: { type: 'string' },
  dominant: { type: 'string' },
  contextual: { type: 'string' },
  'no-zip': { type: 'boolean' },
  'image-mode': { type: 'string' },
  template: { type: 'string' },
  'chat-template': { type: 'boolean' },
  temperature: { type: 'string' },
  'top-p': { type: 'string' },
  seed: { type: 'string' },
  'max-new-tokens': { type: 'string' },
} as const;

export async function chat(args: string[]): Promise<number> {
  const { values, positionals } = readOptions('chat', args, options);
  const [imagePath, ...rest] = positionals;
  if (imagePath === undefined || rest.length > 0) {
    throw new RangeError(`chat: expected one picture, got ${positionals.length}`);
  }
  const [budget, ...others] = chosenBudgets(values);
  if (budget === undefined || others.length > 0) {
    throw new RangeError(`--budget: expected one budget, got ${1 + others.length}`);
  }
  const sampling = chosenSampling(values);
  const maxNewTokens = wholeNumber('--max-new-tokens', values['max-new-tokens'] ?? '64', 1);
  const mode = imageMode(values['image-mode']);
  const template = templateChoice('chat', values);
  const opening = modelOptions(values);
  const image = await readPicture(imagePath);

  const ownTemplate = template === 'own' ? await openChatTemplate(values.model, true) : template;
  const model = await openModel(values.model, opening);
  try {
    const llava = { ...model, template: ownTemplate ?? model.template };
    checkBudgets(llava, [budget]);
    const { encoding } = await encodePicture(llava, image, mode ?? llava.imageMode);
    const decoding = sampling === null ? { maxNewTokens } : { maxNewTokens, sample: sampler(sampling) };
    const session = await openSession({ llava, imagePath, encoding, sampling, decoding }, budget);
    const failures = await talk(session);
    closeSession(session);
    return failures === 0 ? 0 : 2;
  } finally {
    model.gpu.close();
  }
}

/** Takes lines until there are no more. Returns how many of a pipe's lines failed. */
async function talk(session: ChatSession): Promise<number> {
  const interactive = process.stdin.isTTY === true && process.stdout.isTTY === true;
  const terminal = createInterface({
    input: process.stdin,
    ...(interactive ? { output: process.stdout, prompt: '> ' } : { terminal: false }),
  });
  const lines = terminal[Symbol.asyncIterator](); // at once, so that no line comes before it listens
  const onInterrupt = (): void => {
    if (session.answering === 'running') session.answering = 'stopping';
    else dieOf('SIGINT');
  };
  terminal.on('SIGINT', onInterrupt); // a terminal in raw mode sends no signal
  takeInterrupts(onInterrupt);
  beforeDying(() => {
    terminal.close(); // which takes the terminal out of raw mode
    if (interactive) process.stdout.write('\n');
  });

  let failures = 0;
  try {
    if (interactive) greet(session);
    for (;;) {
      if (interactive) terminal.prompt();
      const { value: line, done } = await lines.next();
      if (done === true) {
        if (interactive) process.stdout.write('\n');
        break;
      }
      const outcome = await takeLine(session, line.trim(), interactive);
      if (outcome === 'failed' && !interactive) failures++;
      if (outcome === 'quit') break;
    }
  } finally {
    takeInterrupts(null);
    terminal.close();
  }
  return failures;
}

function greet({ imagePath, visual }: ChatSession): void {
  process.stdout.write(
    `${imagePath}, ${budgetLabel(visual.budget)} visual tokens. /help lists the commands.\n`,
  );
}

async function takeLine(
  session: ChatSession,
  line: string,
  interactive: boolean,
): Promise<'done' | 'failed' | 'quit'> {
  try {
    if (line === '') return 'done';
    if (line === '/quit') return 'quit';
    if (line.startsWith('/')) process.stdout.write(await runCommand(session, line));
    else await answer(session, line, interactive);
    return 'done';
  } catch (error) {
    // What a line can cause ends that line alone. A lost device ends the session.
    if (!(error instanceof RangeError || error instanceof FileError)) throw error;
    process.stderr.write(`visionzip: ${error.message}\n`);
    return 'failed';
  }
}

async function answer(session: ChatSession, question: string, interactive: boolean): Promise<void> {
  const { conversation, decoding } = session;
  session.answering = 'running';
  try {
    for await (const text of conversation.ask(question, decoding)) {
      process.stdout.write(interactive ? withoutControls(text) : text);
      if (stopping(session)) break;
    }
    const ended = conversation.turns.at(-1)?.ended;
    const notes = { eos: '', stopped: ' (stopped)', length: ` (cut at ${decoding.maxNewTokens} tokens)` };
    process.stdout.write(`${interactive && ended !== undefined ? notes[ended] : ''}\n`);
  } finally {
    session.answering = 'not';
  }
}

function stopping({ answering }: ChatSession): boolean {
  return answering === 'stopping';
}

/** A terminal obeys control characters, and a model may say anything. */
function withoutControls(text: string): string {
  return text.replace(/\p{Cc}/gu, (character) =>
    character === '\n' || character === '\t' ? character : '\ufffd',
  );
}
