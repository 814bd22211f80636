// A command of dist/cli.js in a process of its own, with something on its standard input or nothing.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Ended>;
}

/** Starts it; standard input stays open. */
export function startCommand(args: readonly string[]): Running {
  const child = spawn(process.execPath, ['dist/cli.js', ...args], { stdio: 'pipe' });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return { child, ended };
}

/** Runs it to its end. */
export function runCommand(args: readonly string[], input = ''): Promise<Ended> {
  const { child, ended } = startCommand(args);
  child.stdin.on('error', () => undefined); // it may end before it has read everything
  child.stdin.end(input);
  return ended;
}
