// --template, --chat-template and --raw-prompt: three ways to say what a prompt looks like.

import { type PromptTemplate, promptTemplate } from '../models/index.ts';

export interface TemplateFlags {
  readonly template?: string | undefined;
  readonly 'chat-template'?: boolean | undefined;
  readonly 'raw-prompt'?: boolean | undefined;
}

/**
 * The template that is asked for by name, 'own' for that of the checkpoint, or undefined where nothing is said. Throws
 * RangeError for a name that is none, and for two flags at once.
 */
export function templateChoice(command: string, flags: TemplateFlags): PromptTemplate | 'own' | undefined {
  const { template, 'chat-template': own, 'raw-prompt': raw } = flags;
  const given = [
    ...(template === undefined ? [] : ['--template']),
    ...(own === true ? ['--chat-template'] : []),
    ...(raw === true ? ['--raw-prompt'] : []),
  ];
  if (given.length > 1) throw new RangeError(`${command}: expected ${given.join(' or ')}, got both`);
  if (own === true) return 'own';
  return template === undefined ? undefined : promptTemplate(template);
}
