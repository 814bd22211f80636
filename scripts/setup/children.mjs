// Child processes that end when set-up ends, what has to be removed then, and what is printed.

import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { basename } from 'node:path';

const running = new Set();
const temporary = new Set();
let signalled = null;

export function say(text) {
  process.stderr.write(`${text}\n`);
}

/** A clock: the function it returns says how many seconds have passed, as text. */
export function seconds() {
  const start = performance.now();
  return () => ((performance.now() - start) / 1000).toFixed(1);
}

export function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

/** `path` is removed if set-up is ended by a signal before keep() is called. */
export function removeOnSignal(path) {
  temporary.add(path);
}

export function keep(path) {
  temporary.delete(path);
}

export function endedBySignal() {
  return signalled !== null;
}

/** On Ctrl-C and its like: the children are ended, what is temporary is removed, then the signal takes its course. */
export function listenForSignals() {
  process.stderr.on('error', () => {}); // nobody reads any more: go on without a word
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, async () => {
      if (signalled !== null) return;
      signalled = signal;
      await Promise.all([...running].map(end));
      for (const path of temporary) rmSync(path, { recursive: true, force: true });
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    });
  }
}

function end(child) {
  const ended = new Promise((done) => child.once('close', done));
  killGroup(child, 'SIGTERM');
  const timer = setTimeout(() => killGroup(child, 'SIGKILL'), 3000);
  return ended.then(() => clearTimeout(timer));
}

function killGroup(child, signal) {
  try {
    if (process.platform === 'win32') child.kill(signal);
    else process.kill(-child.pid, signal);
  } catch {
    // It has ended by itself.
  }
}

/**
 * Runs a program to its end and returns its stdout. Throws an Error with the last lines of what it
 * printed if it cannot be started or ends with another code than 0.
 */
export function run(command, args, { cwd, env, whileRunning } = {}) {
  if (signalled !== null) return Promise.reject(new Error('Set-up was interrupted.'));
  return new Promise((done, failed) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: process.platform !== 'win32', // a group of its own, so that its children end with it
      shell: process.platform === 'win32' && command.endsWith('.cmd'),
    });
    running.add(child);
    const timer = whileRunning === undefined ? undefined : setInterval(whileRunning, 1000);
    const text = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (part) => (text.stdout += part));
    child.stderr.setEncoding('utf8').on('data', (part) => (text.stderr += part));
    const finish = (error) => {
      running.delete(child);
      clearInterval(timer);
      if (error === null) done(text.stdout);
      else failed(error);
    };
    child.on('error', (error) =>
      finish(new Error(`${nameOf(command, args)} could not be started: ${error.message}.`)),
    );
    child.on('close', (code, signal) => {
      if (code === 0) return finish(null);
      const said = (text.stderr.trim() || text.stdout.trim()).split('\n').slice(-8).join('\n    ');
      finish(new Error(`${nameOf(command, args)} ended with ${signal ?? `code ${code}`}:\n    ${said}`));
    });
  });
}

/** `apt-get update`, `npm ci`: the program and what it was asked to do, without options and paths. */
function nameOf(command, args) {
  const verb = args.find((argument) => /^[a-z]+$/.test(argument));
  const program = command === process.execPath ? 'npm' : basename(command);
  return verb === undefined ? program : `${program} ${verb}`;
}
