// What a reader may do with a file that was tampered with: give a value that keeps its promises, or refuse it by name.

import { FileError } from '../../../src/tensor/index.ts';
import { timed } from '../processor-time.ts';
import { type Draw, drawFor } from './draw.ts';
import type { Watchdog } from './watchdog.ts';

/** Several files by their paths; to `cli`, the command with them. */
export type Folder = Readonly<Record<string, Uint8Array>>;
/** What is mutated. */
export type Files = Uint8Array | Folder;

/** One kind of file, and who reads it. (Methods, so that targets of bytes and of folders stand in one list.) */
export interface Target<F extends Files = Files> {
  readonly name: string;
  /** What a refusal calls the file. */
  readonly file: RegExp;
  /** The typed error of the reader; FileError where nothing is said. */
  readonly refusal?: new (
    message: string,
  ) => Error;
  /** Whether each reading is a process of its own, which takes its time and is timed by the reader. */
  readonly processes?: true;
  mutate(draw: Draw): F;
  /** Throws a plain Error for a value that breaks a promise. */
  read(file: F): Promise<void>;
  /** The rule by which the file must be refused, null where it must be taken, undefined where only the reader knows. */
  broken(file: F): string | null | undefined;
}

export interface Tally {
  accepted: number;
  refused: number;
  slowestMs: number;
  readonly failures: string[];
}

/** What went wrong. `kind` is the same for files that find the same fault. */
export interface Wrong {
  readonly kind: string;
  readonly text: string;
}

export interface Examined {
  readonly accepted: boolean;
  readonly ms: number; // of processor time: a busy machine makes no file slow
  readonly wrong: Wrong | null;
}

export const SLOWEST_MS = 2000;

/** Reads one file and judges what came of it. */
export async function examine(target: Target, file: Files): Promise<Examined> {
  const broken = target.broken(file);
  const { result: error, ms } = await timed(() =>
    target.read(file).then(
      () => null,
      (thrown: unknown) => thrown,
    ),
  );
  const tooSlow = ms > SLOWEST_MS ? { kind: 'hang', text: `took ${ms} ms` } : null;
  return { accepted: error === null, ms, wrong: whatIsWrong(target, error, broken) ?? tooSlow };
}

/** Runs `count` mutations, and describes those that go wrong. */
export async function fuzz(target: Target, seed: number, count: number, dog: Watchdog): Promise<Tally> {
  const tally: Tally = { accepted: 0, refused: 0, slowestMs: 0, failures: [] };
  for (let mutation = 0; mutation < count; mutation++) {
    const label = `${target.name}, mutation ${mutation}, SPEC_SEED=${seed}`;
    dog.at(label);
    const file = target.mutate(drawFor(seed, target.name, mutation));
    const { accepted, ms, wrong } = await examine(target, file);
    tally.slowestMs = Math.max(tally.slowestMs, ms);
    tally[accepted ? 'accepted' : 'refused']++;
    if (wrong !== null) tally.failures.push(`${label}: ${wrong.text}\n    ${shown(file)}`);
  }
  return tally;
}

function whatIsWrong(
  { file, refusal = FileError }: Target,
  error: unknown,
  broken: string | null | undefined,
): Wrong | null {
  if (error === null) {
    if (typeof broken !== 'string') return null;
    return { kind: `silent acceptance: ${broken}`, text: `expected a refusal (${broken}), got a value` };
  }
  if (!(error instanceof refusal)) {
    const got = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { kind: kindOf(error), text: `expected a value or ${refusal.name}, got ${got}` };
  }
  const { message } = error;
  if (broken === null) return { kind: 'refusal of what is valid', text: `expected a value, got ${message}` };
  if (!file.test(message)) {
    return { kind: 'a refusal that names no file', text: `expected a message with ${file}, got ${message}` };
  }
  const isTold = /: expected .+, (got|but) .+/s.test(message);
  const text = `expected what was expected and what came, got ${message}`;
  return isTold ? null : { kind: 'a refusal that does not say what was expected', text };
}

/** An error without what differs from file to file. */
function kindOf(error: unknown): string {
  if (!(error instanceof Error)) return `thrown ${typeof error}`;
  const line = error.message.split('\n', 1)[0] as string;
  return `${error.name}: ${line.replace(/"[^"]*"|'[^']*'|\d+/g, '#').slice(0, 80)}`;
}

function shown(file: Files): string {
  const text =
    file instanceof Uint8Array
      ? textOf(file)
      : Object.entries(file)
          .map(([name, content]) => `${name} ${textOf(content)}`)
          .join('  ');
  return text.length > 1500 ? `${text.slice(0, 1500)}... (${text.length})` : text;
}

function textOf(bytes: Uint8Array): string {
  return JSON.stringify(String.fromCharCode(...bytes.subarray(0, 2000)));
}
