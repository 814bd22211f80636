// The sides as processes: a line of JSON in, a line of JSON out.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const children = new Set();

/** Starts a side. Resolves to { about, ask(order), end() }; about.failed tells why there is none. */
export async function startSide(command, args, env) {
  const child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  children.add(child);
  let complaints = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    complaints = (complaints + text).slice(-2000);
  });
  child.stdin.on('error', () => undefined); // it is gone; its last words say so
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = new Promise((resolve) => {
    child.on('error', (error) => resolve({ failed: error.message }));
    child.on('close', (code, signal) => {
      children.delete(child);
      resolve({ failed: `ended with ${signal ?? code}: ${complaints.trim().split('\n').at(-1)}` });
    });
  });
  const next = async () => {
    for (;;) {
      const { done, value } = await lines.next();
      if (done) return ended;
      if (value.startsWith('{')) return JSON.parse(value); // a peer may print lines of its own
    }
  };
  const hear = () => Promise.race([next(), ended]);
  return {
    about: await hear(),
    ask(order) {
      child.stdin.write(`${JSON.stringify(order)}\n`);
      return hear();
    },
    async end() {
      if (!children.has(child)) return;
      child.stdin.write('{"close":true}\n');
      await ended;
    },
  };
}

/** Ends all sides at once. */
export function killSides() {
  for (const child of children) child.kill('SIGKILL');
}
