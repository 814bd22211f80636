#!/usr/bin/env node
// The command line. Every expected error ends with one line and exit code 2.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemReason } from '../models/checkpoint/model-directory.ts';
import { ask } from './ask.ts';
import { bench } from './bench.ts';
import { chat } from './chat.ts';
import { demo } from './demo.ts';
import { doctor } from './doctor.ts';
import { evalCommand } from './eval.ts';
import { packageFolder } from './model.ts';
import { removeUnfinished } from './output-files.ts';
import { listenForSignals } from './signals.ts';
import { usage } from './usage.ts';
import { zip } from './zip.ts';

const commands: Readonly<Record<string, (args: string[]) => Promise<number>>> = {
  ask,
  chat,
  zip,
  eval: evalCommand,
  bench,
  demo,
  doctor,
};

async function main(args: readonly string[]): Promise<number> {
  const [name = '', ...rest] = args.filter((arg) => arg !== '--verbose');
  if (name === '' || name === '--help' || name === '-h' || name === 'help') {
    const [topic = ''] = rest;
    if (topic !== '' && !Object.hasOwn(commands, topic)) throw noSuchCommand(topic);
    process.stdout.write(usage[topic] ?? '');
    return 0;
  }
  if (name === '--version') {
    const manifest = JSON.parse(readFileSync(join(packageFolder(), 'package.json'), 'utf8'));
    process.stdout.write(`${manifest.version}\n`);
    return 0;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) throw noSuchCommand(name);
  if (rest.includes('--help') || rest.includes('-h')) {
    process.stdout.write(usage[name] ?? '');
    return 0;
  }
  return command(rest);
}

function noSuchCommand(name: string): RangeError {
  return new RangeError(`command: expected ${Object.keys(commands).join(', ')} or --help, got ${name}`);
}

/** Errors that a user can cause. Anything else is a bug of ours, and says so. */
function isExpected(error: unknown): error is Error {
  return error instanceof Error && ['RangeError', 'ShapeError', 'FileError', 'GpuError'].includes(error.name);
}

function report(error: unknown, verbose: boolean): void {
  const line = isExpected(error) ? error.message : `unexpected error, please report it: ${String(error)}`;
  process.stderr.write(`visionzip: ${line}\n`);
  if (verbose && error instanceof Error) process.stderr.write(`${error.stack}\n`);
}

listenForSignals();

const args = process.argv.slice(2);

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  removeUnfinished();
  if (error.code === 'EPIPE') process.exit(0); // `visionzip … | head` closes our output early; that is no error
  process.stderr.write(`visionzip: stdout: expected to write, got ${systemReason(error)}\n`);
  process.exit(2);
});
process.stderr.on('error', () => undefined); // the exit code still tells

try {
  process.exitCode = await main(args);
} catch (error) {
  report(error, args.includes('--verbose'));
  process.exitCode = isExpected(error) ? 2 : 1;
}
