// `visionzip ask IMAGE "QUESTION"...`: answers about a picture, at one budget of visual tokens or several.

import {
  encodePrompt,
  encodeQuestion,
  type Llava,
  type PromptIds,
  questionPrompt,
  streamText,
} from '../models/index.ts';
import { dispose, read } from '../tensor/index.ts';
import { type ChosenBudget, chosenBudgets } from './budget-options.ts';
import { openChatTemplate } from './chat-template.ts';
import { adapterRecord, budgetLabel } from './labels.ts';
import { modelFlags, modelOptions, openModel } from './model.ts';
import { readOptions, wholeNumber } from './options.ts';
import { checkOutputFile } from './output-files.ts';
import { imageMode, readPicture } from './picture.ts';
import { profiled, profileTable } from './profile.ts';
import {
  checkBudgets,
  checkLengths,
  type EncodedPicture,
  encodePicture,
  finishAnswer,
  reduceTokens,
  type StartedAnswer,
  startAnswer,
  type VisualTokens,
} from './stages.ts';
import { templateChoice } from './template-options.ts';
import { writeTrace } from './trace.ts';

const options = {
  ...modelFlags,
  budget: { type: 'string' },
  dominant: { type: 'string' },
  contextual: { type: 'string' },
  'no-zip': { type: 'boolean' },
  'image-mode': { type: 'string' },
  template: { type: 'string' },
  'chat-template': { type: 'boolean' },
  'raw-prompt': { type: 'boolean' },
  'max-new-tokens': { type: 'string' },
  profile: { type: 'boolean' },
  json: { type: 'boolean' },
  trace: { type: 'string' },
} as const;

interface AskRequest {
  readonly questions: readonly string[];
  readonly budgets: readonly ChosenBudget[];
  readonly maxNewTokens: number;
  readonly rawPrompt: boolean;
  readonly json: boolean;
  readonly trace: string | undefined;
}

/** One question at one budget, as `--json` prints it. */
interface Answer {
  readonly question: string;
  readonly visualTokens: number;
  readonly dominant: number | null;
  readonly contextual: number | null;
  readonly text: string;
  readonly tokenIds: readonly number[];
  readonly keptTokenIndices: readonly number[] | null;
  readonly timingsMs: {
    readonly preprocess: number;
    readonly encode: number;
    readonly zip: number;
    readonly project: number;
    readonly prefill: number;
    readonly decode: number;
    readonly total: number;
  };
}

export async function ask(args: string[]): Promise<number> {
  const { values, positionals } = readOptions('ask', args, options);
  const [imagePath, ...questions] = positionals;
  if (imagePath === undefined) throw new RangeError('ask: expected a picture and a question, got neither');
  if (questions.length === 0) throw new RangeError('ask: expected at least one question, got none');
  const request: AskRequest = {
    questions,
    budgets: chosenBudgets(values),
    maxNewTokens: wholeNumber('--max-new-tokens', values['max-new-tokens'] ?? '64', 1),
    rawPrompt: values['raw-prompt'] === true,
    json: values.json === true,
    trace: values.trace,
  };
  if (!request.rawPrompt) for (const question of questions) questionPrompt(question);
  const template = templateChoice('ask', values);
  const mode = imageMode(values['image-mode']);
  if (request.trace !== undefined) await checkOutputFile('--trace', request.trace);
  const opening = modelOptions(values);
  const image = await readPicture(imagePath);

  const ownTemplate = template === 'own' ? await openChatTemplate(values.model) : template;
  const llava = await openModel(values.model, opening);
  try {
    checkBudgets(llava, request.budgets);
    const prompts = questions.map((question) =>
      request.rawPrompt
        ? encodePrompt(llava.tokenizer, question)
        : encodeQuestion(llava.tokenizer, question, ownTemplate ?? llava.template),
    );
    checkLengths(llava, prompts, request.budgets, request.maxNewTokens);
    const { value: answers, profile } = await profiled(llava.gpu, values.profile === true, async () => {
      const picture = await encodePicture(llava, image, mode ?? llava.imageMode);
      return answerAll(llava, picture, prompts, request);
    });
    if (request.json) {
      const record = { answers, ...(profile && { profile }), adapter: adapterRecord(llava.gpu) };
      process.stdout.write(`${JSON.stringify(record, null, 2)}\n`);
    } else if (profile !== undefined) process.stderr.write(`\n${profileTable(profile)}`);
  } finally {
    llava.gpu.close();
  }
  return 0;
}

/** Questions outermost; the tokens of a budget are made once. */
async function answerAll(
  llava: Llava,
  picture: EncodedPicture,
  prompts: readonly PromptIds[],
  request: AskRequest,
): Promise<Answer[]> {
  const reduced: VisualTokens[] = [];
  const answers: Answer[] = [];
  const single = prompts.length === 1 && request.budgets.length === 1;
  const width = Math.max(...request.budgets.map((budget) => budgetLabel(budget).length));
  for (const [i, prompt] of prompts.entries()) {
    const question = request.questions[i] as string;
    if (!request.json && !single) process.stdout.write(`${i > 0 ? '\n' : ''}${question}\n`);
    for (const [j, budget] of request.budgets.entries()) {
      reduced[j] ??= await reduceTokens(llava, picture.encoding, budget);
      const visual = reduced[j];
      const started = await startAnswer(llava, prompt, visual, request);
      if (i === 0 && j === 0 && request.trace !== undefined) {
        await writeTrace(request.trace, llava, picture, visual, started);
      }
      if (!request.json && !single) process.stdout.write(`  ${budgetLabel(budget).padEnd(width)}  `);
      answers.push(await answerOne(llava, question, picture, visual, started, !request.json));
    }
  }
  dispose(reduced, picture.encoding);
  return answers;
}

async function answerOne(
  llava: Llava,
  question: string,
  picture: EncodedPicture,
  visual: VisualTokens,
  started: StartedAnswer,
  print: boolean,
): Promise<Answer> {
  const stream = streamText(llava.tokenizer);
  const { tokenIds, decodeMs } = await finishAnswer(llava, started, (tokenId) => {
    if (print) process.stdout.write(stream.push(tokenId));
  });
  if (print) process.stdout.write(`${stream.flush()}\n`);
  const { zip, budget } = visual;
  const stages = {
    preprocess: picture.preprocessMs,
    encode: picture.encodeMs,
    zip: visual.zipMs,
    project: visual.projectMs,
    prefill: started.prefillMs,
    decode: decodeMs,
  };
  return {
    question,
    visualTokens: visual.count,
    dominant: budget?.dominantCount ?? null,
    contextual: budget?.contextualCount ?? null,
    text: llava.tokenizer.decode(tokenIds).trim(),
    tokenIds,
    keptTokenIndices: zip === null ? null : Array.from(await read(zip.keptTokenIndices)),
    timingsMs: { ...stages, total: Object.values(stages).reduce((sum, ms) => sum + ms, 0) },
  };
}
