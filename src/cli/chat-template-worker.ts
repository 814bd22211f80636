// The worker that renders a chat template, which is code of whoever made the checkpoint. SPEC M-3.18.
//
// It holds no GPU objects and ends with the one request it is given; chat-template.ts ends it when it takes too long.

import { parentPort } from 'node:worker_threads';
import { Template } from '@huggingface/jinja';
import type { Rendering } from '../models/tokenizer/chat-template.ts';

/** What the worker is asked. */
export interface RenderRequest {
  readonly source: string;
  readonly variables: readonly Readonly<Record<string, unknown>>[];
  readonly largestOutput: number; // characters
}

function renderings({ source, variables, largestOutput }: RenderRequest): Rendering[] {
  let template: Template;
  try {
    template = new Template(source);
  } catch (error) {
    return variables.map(() => ({ error: said(error) }));
  }
  return variables.map((values) => {
    try {
      const text = template.render({ ...values });
      if (text.length <= largestOutput) return { text };
      return { error: `an output of ${text.length} characters, where at most ${largestOutput} are allowed` };
    } catch (error) {
      return { error: said(error) };
    }
  });
}

function said(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return `the error: ${message.slice(0, 200).replace(/\p{Cc}/gu, ' ')}`;
}

const port = parentPort;
port?.once('message', (request: RenderRequest) => port.postMessage(renderings(request)));
port?.postMessage('ready');
