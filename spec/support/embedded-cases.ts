// Single questions about the embedded model's pictures, from golden/tiny-llava/cases.json and golden/embedded.

import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { readTold, type ToldQuestion } from './told-answers.ts';

const pictures = await readTold(readFile);

/** The question of a type that is asked about a picture. */
export function caseQuestion(image: string, type: string): ToldQuestion {
  const found = pictures
    .find((one) => one.image === image)
    ?.questions.find((question) => question.type === type);
  if (found === undefined) throw new Error(`cases.json: no question of type ${type} about ${image}`);
  return found;
}

interface Chat {
  readonly questions: readonly string[];
  readonly answers: readonly string[];
}

/** A conversation of golden/embedded, such as `scene-0-chat-hf-54+10`. */
export function goldenChat(name: string): Chat {
  const { cases } = JSON.parse(readFileSync('golden/embedded/manifest.json', 'utf8'));
  return cases.find((one: { readonly id: string }) => one.id === name).params;
}
