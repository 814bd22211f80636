// What a reader may do with a file that was tampered with: give a value that keeps its promises, or refuse it by name.

import { FileError } from '../../../src/tensor/index.ts';
import { type Draw, drawFor } from './draw.ts';
import type { Watchdog } from './watchdog.ts';

/** One kind of file, and who reads it. `F` is what is mutated: bytes, or a folder of them. */
export interface Target<F> {
  readonly name: string;
  /** What a refusal calls the file. */
  readonly file: RegExp;
  readonly mutate: (draw: Draw) => F;
  /** Throws a plain Error for a value that breaks a promise. */
  readonly read: (file: F) => Promise<void>;
  /** The rule by which the file must be refused, null where it must be taken, undefined where only the reader knows. */
  readonly broken: (file: F) => string | null | undefined;
}

export interface Tally {
  accepted: number;
  refused: number;
  slowestMs: number;
  readonly failures: string[];
}

const SLOWEST_MS = 2000;

/** Runs `count` mutations, and describes those that go wrong. */
export async function fuzz<F>(target: Target<F>, seed: number, count: number, dog: Watchdog): Promise<Tally> {
  const tally: Tally = { accepted: 0, refused: 0, slowestMs: 0, failures: [] };
  for (let mutation = 0; mutation < count; mutation++) {
    const label = `${target.name}, mutation ${mutation}, SPEC_SEED=${seed}`;
    dog.at(label);
    const file = target.mutate(drawFor(seed, target.name, mutation));
    const broken = target.broken(file);
    const start = performance.now();
    const error = await target.read(file).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    const ms = performance.now() - start;
    tally.slowestMs = Math.max(tally.slowestMs, ms);
    tally[error === null ? 'accepted' : 'refused']++;
    const wrong = whatIsWrong(target.file, error, broken) ?? (ms > SLOWEST_MS ? `took ${ms} ms` : null);
    if (wrong !== null) tally.failures.push(`${label}: ${wrong}\n    ${shown(file)}`);
  }
  return tally;
}

function whatIsWrong(file: RegExp, error: unknown, broken: string | null | undefined): string | null {
  if (error === null) {
    return typeof broken === 'string' ? `expected a refusal (${broken}), got a value` : null;
  }
  if (!(error instanceof FileError)) {
    return `expected a value or FileError, got ${error instanceof Error ? (error.stack ?? error.message) : error}`;
  }
  if (broken === null) return `expected a value, got ${error.message}`;
  if (!file.test(error.message)) return `expected a message with ${file}, got ${error.message}`;
  const isTold = /: expected .+, (got|but) .+/s.test(error.message);
  return isTold ? null : `expected what was expected and what came, got ${error.message}`;
}

function shown(file: unknown): string {
  const text =
    file instanceof Uint8Array
      ? textOf(file)
      : Object.entries(file as object)
          .map(entryText)
          .join('  ');
  return text.length > 1500 ? `${text.slice(0, 1500)}... (${text.length})` : text;
}

function entryText([name, content]: [string, unknown]): string {
  return `${name} ${content instanceof Uint8Array ? textOf(content) : JSON.stringify(content)}`;
}

function textOf(bytes: Uint8Array): string {
  return JSON.stringify(String.fromCharCode(...bytes.subarray(0, 2000)));
}
