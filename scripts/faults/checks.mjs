// What the groups of faults share: a line for each fault, programs and their ends, folders that are full or cannot be written.

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '..', '..');
export const CLI = join(ROOT, 'dist', 'cli.js');
export const MODEL = join(ROOT, 'golden', 'tiny-llava');
export const PICTURE = join(MODEL, 'scene-0.png');

const PROGRAM_LIMIT_MS = 300_000;

/** Notes what came of each fault, and prints it. */
export function report(only) {
  const counts = { ok: 0, wrong: 0, skipped: 0 };
  const print = (outcome, fault, text) => {
    counts[outcome]++;
    console.log(`${outcome.padEnd(7)} ${fault}: ${text}`);
  };
  const isWanted = (fault) => only === undefined || fault.includes(only);
  return {
    counts,
    isWanted,
    /**
     * Runs `body`, which says what came of the fault, or throws if that is not what should. Where there is a reason why it cannot
     * be tried here, it is skipped.
     */
    async check(fault, body, whyNot = null) {
      if (!isWanted(fault)) return;
      if (whyNot !== null) return print('skipped', fault, whyNot);
      try {
        print('ok', fault, await body());
      } catch (error) {
        print('wrong', fault, oneLine(error instanceof Error ? error.message : String(error)));
      }
    },
  };
}

export function oneLine(text) {
  return text
    .trim()
    .replaceAll(/\s*\n\s*/g, ' | ')
    .slice(0, 400);
}

export function expectThat(isSo, otherwise) {
  if (!isSo) throw new Error(otherwise);
}

/** The error that `work` throws; it has to be of that name, and its message has to match. */
export async function errorOf(work, name, pattern) {
  let error;
  try {
    await work();
  } catch (thrown) {
    error = thrown;
  }
  expectThat(error !== undefined, `expected ${name}, got no error`);
  const isExpected = error.name === name && pattern.test(error.message);
  expectThat(isExpected, `expected ${name} ${pattern}, got ${error.name}: ${error.message}`);
  return error;
}

/** The parts of an answer, to its end. */
export async function partsOf(answer) {
  const parts = [];
  for await (const part of answer) parts.push(part);
  return parts;
}

/** The same files; `beforeRead(offset, length, size)` is called before each reading of weights. */
export function watchedFiles(files, beforeRead) {
  return {
    ...files,
    async open(name) {
      const file = await files.open(name);
      if (!name.endsWith('.safetensors')) return file;
      return {
        ...file,
        read(offset, length) {
          beforeRead(offset, length, file.size);
          return file.read(offset, length);
        },
      };
    },
  };
}

/** Runs a program to its end. `output` is a file descriptor in the place of standard output. */
export function run(command, args, { env = {}, cwd = ROOT, input = '', output = 'pipe', onStart } = {}) {
  return new Promise((done, failed) => {
    const child = spawn(command, args, {
      cwd,
      env: cleanEnvironment(env),
      stdio: ['pipe', output, 'pipe'],
      timeout: PROGRAM_LIMIT_MS,
      killSignal: 'SIGKILL',
    });
    const text = { stdout: '', stderr: '' };
    child.stdout?.setEncoding('utf8').on('data', (part) => (text.stdout += part));
    child.stderr.setEncoding('utf8').on('data', (part) => (text.stderr += part));
    child.stdin.on('error', () => {}); // it may end before it has read everything
    child.stdin.end(input);
    child.on('error', failed);
    child.on('close', (code, signal) => done({ code, signal, ...text }));
    onStart?.(child, text);
  });
}

/** This process's variables without those that choose a driver or a proxy, and `env` over them. */
function cleanEnvironment(env) {
  const chosen = /^(VK_|VISIONZIP_|MESA_SHADER|npm_|.*_proxy$)/i;
  const kept = Object.entries(process.env).filter(([name]) => !chosen.test(name));
  return { ...Object.fromEntries(kept), ...env };
}

export const cli = (args, options) => run(process.execPath, [CLI, ...args], options);

/** What a command that failed as it should says: one line that matches, and exit code 2. Returns the line. */
export function refusal({ code, signal, stderr }, pattern) {
  const lines = stderr.split('\n').filter((line) => line.startsWith('visionzip: '));
  const said = lines.at(-1) ?? '';
  const isRefusal = code === 2 && lines.length === 1 && pattern.test(said);
  expectThat(
    isRefusal,
    `expected exit code 2 and one line ${pattern}, got ${signal ?? code}: ${oneLine(stderr)}`,
  );
  expectThat(!/unexpected error|\n\s+at /.test(stderr), `expected no stack, got ${oneLine(stderr)}`);
  return said.replace('visionzip: ', '');
}

/** A folder of its own for `body`. */
export async function withFolder(body) {
  const folder = mkdtempSync(join(tmpdir(), 'visionzip-faults-'));
  try {
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Whether file systems can be mounted: only root may. */
export const CANNOT_MOUNT = whyNotMount();

function whyNotMount() {
  if (process.platform !== 'linux') return 'needs Linux';
  if (process.getuid() !== 0) return 'needs root, to mount a small tmpfs';
  const folder = mkdtempSync(join(tmpdir(), 'visionzip-faults-'));
  const { status, stderr } = mount('tmpfs', folder, 'size=64k');
  if (status === 0) unmount(folder);
  rmSync(folder, { recursive: true, force: true });
  return status === 0 ? null : `cannot mount a tmpfs: ${oneLine(String(stderr))}`;
}

export function mount(type, folder, options) {
  return spawnSync('mount', ['-t', type, '-o', options, 'tmpfs', folder]);
}

export function remount(folder, options) {
  const { status, stderr } = spawnSync('mount', ['-o', `remount,${options}`, folder]);
  expectThat(status === 0, `cannot remount ${folder}: ${stderr}`);
}

export function unmount(folder) {
  const { status, stderr } = spawnSync('umount', [folder]);
  if (status !== 0) spawnSync('umount', ['-l', folder]);
  return stderr;
}

/** A small disk for `body`. */
export async function withDisk(size, body) {
  return withFolder(async (folder) => {
    const disk = join(folder, 'disk');
    mkdirSync(disk);
    const { status, stderr } = mount('tmpfs', disk, `size=${size}`);
    expectThat(status === 0, `cannot mount a tmpfs: ${stderr}`);
    try {
      return await body(disk);
    } finally {
      unmount(disk);
    }
  });
}

/** Fills the disk that `folder` is on, but for `left` bytes. */
export function fill(folder, left = 0) {
  const path = join(folder, 'filler');
  const page = Buffer.alloc(4096, 1);
  let pages = 0;
  try {
    for (;;) {
      writeFileSync(path, page, { flag: 'a' });
      pages++;
    }
  } catch (error) {
    if (error.code !== 'ENOSPC') throw error;
  }
  writeFileSync(path, Buffer.alloc(4096 * Math.max(0, pages - Math.ceil(left / 4096)), 1));
}

/** Name and content of every file below a folder, as text to compare. */
export function contentsOf(folder) {
  if (!existsSync(folder)) return '';
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort()
    .map((path) => `${path} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`)
    .join('\n');
}

/** The folder of the private driver that set-up has built, or why there is none to try things with. */
export async function privateDriver() {
  const { driverFolderHolds, driverFolder } = JSON.parse(
    (await cli(['doctor', '--json'])).stdout.replace(/^[^{]*/, ''),
  );
  return driverFolderHolds === null ? null : driverFolder;
}
