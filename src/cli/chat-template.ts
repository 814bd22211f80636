// --chat-template: the checkpoint's own template, rendered in a worker before there is a device. SPEC M-3.17, M-3.18.
//
// The worker is gone before Dawn is loaded: a thread that ends while GPU work is pending takes the process with it.

import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { modelDirectory } from '../models/index.ts';
import {
  type ChatTemplate,
  compileChatTemplate,
  type Rendering,
  readChatTemplate,
  type TemplateRenderer,
} from '../models/tokenizer/chat-template.ts';
import { FileError } from '../tensor/index.ts';
import type { RenderRequest } from './chat-template-worker.ts';
import { embeddedModel, packageFolder } from './model.ts';

const LONGEST_MS = 2000;
const LARGEST_OUTPUT = 1_000_000; // characters
const LARGEST_HEAP_MB = 256;

/**
 * Reads and renders the chat template of a model folder; `turns` says that a conversation is to follow. Throws FileError
 * for a template that is missing, fails, takes too long, changes a text, or has turns that do not follow each other alike.
 */
export async function openChatTemplate(
  folder: string = embeddedModel(),
  turns = false,
): Promise<ChatTemplate> {
  const source = await readChatTemplate(modelDirectory(folder));
  const template = await compileChatTemplate(source, renderInWorker, randomBytes(16).toString('hex'));
  if (turns && template.turn === null) {
    throw new FileError(
      `${source.where}: expected turns that follow each other alike, got a template that writes them otherwise`,
    );
  }
  return template;
}

/** Renders in a worker with bounded time, heap and output. Throws FileError. */
export const renderInWorker: TemplateRenderer = async ({ where, source }, variables) => {
  const program = join(packageFolder(), 'dist', 'chat-template-worker.js');
  const worker = new Worker(program, {
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: LARGEST_HEAP_MB },
  });
  let timer: NodeJS.Timeout | undefined;
  const request: RenderRequest = {
    source,
    variables: variables.map((values) => ({ ...values })),
    largestOutput: LARGEST_OUTPUT,
  };
  try {
    return await new Promise<readonly Rendering[]>((resolve, reject) => {
      const refuse = (got: string): void =>
        reject(new FileError(`${where}: expected a template that renders, got ${got}`));
      worker.on('message', (message: 'ready' | readonly Rendering[]) => {
        if (message !== 'ready') return resolve(message);
        timer = setTimeout(() => refuse(`one that takes more than ${LONGEST_MS / 1000} s`), LONGEST_MS);
        worker.postMessage(request);
      });
      worker.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ERR_WORKER_OUT_OF_MEMORY') return reject(error);
        refuse(`one that takes more than ${LARGEST_HEAP_MB} MB`);
      });
      worker.on('exit', () => refuse('a worker that ended before it answered'));
    });
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
};
