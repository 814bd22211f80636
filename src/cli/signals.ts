// What a signal does: the process dies of it, once what it would leave behind is tidied up. A command may take Ctrl-C for
// itself for a while.

import { removeUnfinished } from './output-files.ts';

/** What shells give a command that Ctrl-C has ended. */
export const INTERRUPTED = 130;

const lastDeeds = new Set<() => void>([removeUnfinished]);
let interrupted: (() => void) | null = null;

/** Handles the signals that end a process. Called once, at the start. */
export function listenForSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (signal === 'SIGINT' && interrupted !== null) interrupted();
      else dieOf(signal);
    });
  }
}

/** From now on `handler` takes Ctrl-C; null gives it back. */
export function takeInterrupts(handler: (() => void) | null): void {
  interrupted = handler;
}

/**
 * Takes the first Ctrl-C and says on stderr that the command ends `when`; a second one ends the process at once. The function
 * returned tells whether it has come.
 */
export function noteInterrupt(when: string): () => boolean {
  let isInterrupted = false;
  takeInterrupts(() => {
    isInterrupted = true;
    takeInterrupts(null);
    process.stderr.write(`visionzip: Ctrl-C: ending ${when}; once more ends at once\n`);
  });
  return () => isInterrupted;
}

/** `deed` is done before the process dies of a signal. */
export function beforeDying(deed: () => void): void {
  lastDeeds.add(deed);
}

/** Dying by the signal itself tells a shell what happened; process.exit would not. */
export function dieOf(signal: NodeJS.Signals): void {
  for (const deed of lastDeeds) deed();
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}
