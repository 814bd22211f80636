#!/usr/bin/env node
// The command line. Every expected error ends with one line and exit code 2.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FileError } from '../tensor/index.ts';
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
    process.stdout.write(usage[rest[0] ?? ''] ?? usage[''] ?? '');
    return 0;
  }
  if (name === '--version') {
    const manifest = JSON.parse(readFileSync(join(packageFolder(), 'package.json'), 'utf8'));
    process.stdout.write(`${manifest.version}\n`);
    return 0;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) {
    throw new RangeError(`command: expected ${Object.keys(commands).join(', ')} or --help, got ${name}`);
  }
  if (rest.includes('--help') || rest.includes('-h')) {
    process.stdout.write(usage[name] ?? '');
    return 0;
  }
  return command(rest);
}

/** Errors that a user can cause. Anything else is a bug of ours, and says so. */
function isExpected(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error ? String(error.code) : '';
  return (
    ['RangeError', 'ShapeError', 'FileError', 'GpuError'].includes(error.name) ||
    code.startsWith('ERR_PARSE_ARGS')
  );
}

function report(error: unknown, verbose: boolean): void {
  const line = isExpected(error) ? error.message : `unexpected error, please report it: ${String(error)}`;
  process.stderr.write(`visionzip: ${line}\n`);
  if (verbose && error instanceof Error) process.stderr.write(`${error.stack}\n`);
}

listenForSignals();

const args = process.argv.slice(2);

// `visionzip … | head` closes our output early; that is no error. A full disk behind `visionzip … > FILE` is one.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  removeUnfinished();
  if (error.code === 'EPIPE') process.exit(0);
  report(
    new FileError(`standard output: expected to write, got ${error.message}`),
    args.includes('--verbose'),
  );
  process.exit(2);
});

try {
  process.exitCode = await main(args);
} catch (error) {
  report(error, args.includes('--verbose'));
  process.exitCode = isExpected(error) ? 2 : 1;
}
