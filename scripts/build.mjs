// Builds dist/ from src/: `node scripts/build.mjs [--no-types]`.
//
// esbuild writes the JavaScript, the entry points sharing one copy of the code; tsc writes the
// types beside it. Set-up asks for the JavaScript alone. Files are written under a temporary name
// and renamed, old ones removed last, so that a program that is running meanwhile is not disturbed.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isAlive } from './setup/lock.mjs';

const ENTRY_POINTS = {
  index: 'src/index.ts',
  tensor: 'src/tensor/index.ts',
  models: 'src/models/index.ts',
  visionzip: 'src/visionzip/index.ts',
  cli: 'src/cli/main.ts',
  probe: 'src/cli/probe.ts',
  'doctor-report': 'src/cli/doctor-report.ts',
  'chat-template-worker': 'src/cli/chat-template-worker.ts',
};
const STAMP = '.built';

/** Whether dist/ was built from the sources as they are now, and is whole. */
export function isBuilt(root) {
  try {
    const { sources, outputs } = JSON.parse(readFileSync(join(root, 'dist', STAMP), 'utf8'));
    return sources === sourceHash(root) && outputs.every((name) => existsSync(join(root, 'dist', name)));
  } catch {
    return false;
  }
}

/** Builds the JavaScript, and the types unless told not to. Throws if either fails. */
export async function build(root, { types = true } = {}) {
  const typesDone = types ? buildTypes(root) : undefined;
  const sources = sourceHash(root);
  const outputs = await bundle(root);
  writeWhole(join(root, 'dist', STAMP), JSON.stringify({ sources, outputs }));
  await typesDone;
}

async function bundle(root) {
  const { build: esbuild } = await import('esbuild');
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const dist = join(root, 'dist');
  rmSync(join(dist, STAMP), { force: true }); // what is killed on the way is not taken for whole
  const { outputFiles } = await esbuild({
    absWorkingDir: root,
    entryPoints: Object.entries(ENTRY_POINTS)
      .filter(([, path]) => existsSync(join(root, path)))
      .map(([out, path]) => ({ in: path, out })),
    outdir: dist,
    write: false,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'neutral', // Node's modules stay imports, and none are reached by a browser
    target: 'es2022',
    external: [
      'node:*',
      ...Object.keys(manifest.dependencies ?? {}),
      ...Object.keys(manifest.optionalDependencies ?? {}),
    ],
    sourcemap: true,
    chunkNames: 'chunk-[hash]',
    logLevel: 'warning',
  });
  for (const { path, contents, text } of outputFiles) {
    const needsShebang = path === join(dist, 'cli.js') && !text.startsWith('#!');
    writeWhole(path, needsShebang ? `#!/usr/bin/env node\n${text}` : contents);
  }
  if (existsSync(join(dist, 'cli.js'))) chmodSync(join(dist, 'cli.js'), 0o755);

  const outputs = outputFiles.map(({ path }) => relative(dist, path));
  for (const name of readdirSync(dist)) {
    const isOld = /\.js(\.map)?$/.test(name) && !outputs.includes(name);
    if (isOld || isLeftBehind(name)) rmSync(join(dist, name), { force: true });
  }
  return outputs;
}

function buildTypes(root) {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, [tsc, '-p', 'tsconfig.types.json'], {
      cwd: root,
      stdio: 'inherit',
    });
    child.on('error', failed);
    child.on('exit', (code) => (code === 0 ? done() : failed(new Error(`tsc ended with ${code}.`))));
  });
}

function sourceHash(root) {
  const hash = createHash('sha256');
  const paths = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  const others = ['package.json', 'package-lock.json', 'tsconfig.json', 'scripts/build.mjs'];
  for (const path of [...paths.sort(), ...others.map((name) => join(root, name))]) {
    hash
      .update(`${relative(root, path)}\0`)
      .update(readFileSync(path))
      .update('\0');
  }
  return hash.digest('hex');
}

function writeWhole(path, contents) {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  try {
    writeFileSync(temporary, contents);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** A temporary of writeWhole whose process was killed. */
function isLeftBehind(name) {
  const pid = /^\..+\.(\d+)\.tmp$/.exec(name)?.[1];
  return pid !== undefined && !isAlive(Number(pid));
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const unknown = process.argv.slice(2).find((argument) => argument !== '--no-types');
  if (unknown !== undefined) {
    console.error(`build: expected no argument or --no-types, got ${unknown}.`);
    process.exit(2);
  }
  try {
    await build(resolve(import.meta.dirname, '..'), { types: !process.argv.includes('--no-types') });
  } catch (error) {
    console.error(`The build failed: ${error.message}`);
    process.exit(1);
  }
}
