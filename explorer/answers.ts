// The list of answers, each growing as its tokens come.

import { ask, type Llava } from '../src/models/index.ts';
import type { Tensor } from '../src/tensor/index.ts';
import { element } from './dom.ts';

export interface Asked {
  readonly question: string;
  readonly tokens: Tensor; // [1, V, C]
  readonly isStopped: () => boolean;
}

/** Asks, and shows the answer at the head of `list` while it comes. Screen readers are told when it is whole. */
export async function showAnswer(
  list: HTMLElement,
  llava: Llava,
  { question, tokens, isStopped }: Asked,
): Promise<void> {
  const answer = element('span', { class: 'answer', 'aria-busy': 'true' });
  const took = element('span', { class: 'took' });
  const heading = `${question} (${tokens.shape[1]} visual tokens)`;
  const item = element(
    'li',
    { 'aria-busy': 'true' },
    element('span', { class: 'asked' }, heading),
    answer,
    took,
  );
  list.prepend(item);
  const start = performance.now();
  const seconds = (): string => `${((performance.now() - start) / 1000).toFixed(1)} s`;
  try {
    for await (const text of ask(llava, tokens, question)) {
      if (isStopped()) break;
      if (answer.textContent === '') took.textContent = `first token after ${seconds()}`;
      answer.append(text);
    }
    took.append(isStopped() ? `, stopped after ${seconds()}` : `, whole after ${seconds()}`);
  } catch (error) {
    item.remove();
    throw error;
  } finally {
    answer.removeAttribute('aria-busy');
    item.removeAttribute('aria-busy');
  }
}
