// The packages: `npm ci` where node_modules is not what package-lock.json says.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { megabytes, run, say, seconds } from './children.mjs';

/** Whether every package of the lockfile that this platform needs is in node_modules, in its version. */
export function modulesAreInstalled(root) {
  return missingModules(root).length === 0;
}

function missingModules(root) {
  try {
    const lock = readPackages(join(root, 'package-lock.json'));
    const installed = readPackages(join(root, 'node_modules', '.package-lock.json'));
    const gone = Object.keys(installed).filter((path) => !existsSync(join(root, path, 'package.json')));
    return [...missingPackages(lock, installed), ...gone];
  } catch {
    return ['node_modules'];
  }
}

/**
 * The paths in `lock` that are absent from `installed` or there in another version. Optional packages
 * may be absent, as npm leaves out those of other platforms, but not those that the root asks for itself.
 */
export function missingPackages(lock, installed) {
  const asked = Object.keys(lock['']?.optionalDependencies ?? {}).map((name) => `node_modules/${name}`);
  return Object.entries(lock)
    .filter(([path, entry]) => {
      if (path === '' || entry.link) return false;
      const there = installed[path];
      if (there === undefined) return !entry.optional || asked.includes(path);
      return there.version !== entry.version || there.integrity !== entry.integrity;
    })
    .map(([path]) => path);
}

/** Runs `npm ci`, without install scripts: none of the packages needs one. */
export async function installModules(root) {
  const took = seconds();
  say('Installing the packages of package-lock.json into node_modules (npm ci).');
  const [command, ...prefix] = npmCommand();
  const options = ['--ignore-scripts', '--include=dev', '--include=optional', '--no-audit', '--no-fund'];
  await run(command, [...prefix, 'ci', ...options, '--loglevel=error'], { cwd: root });
  if (!modulesAreInstalled(root)) {
    throw new Error(
      'npm ci ended well, but node_modules is not what package-lock.json says. Remove it and try again.',
    );
  }
  say(`  Installed in ${took()} s, ${megabytes(folderSize(join(root, 'node_modules')))}.`);
}

/** The npm that runs this script, or else the one on the path. */
export function npmCommand(env = process.env, platform = process.platform) {
  const path = env.npm_execpath;
  if (path !== undefined && /npm-cli\.[cm]?js$/.test(path)) return [process.execPath, path];
  return [platform === 'win32' ? 'npm.cmd' : 'npm'];
}

/** The bytes of the files in a folder. */
export function folderSize(folder) {
  let bytes = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += statSync(join(entry.parentPath ?? entry.path, entry.name)).size;
  }
  return bytes;
}

function readPackages(path) {
  return JSON.parse(readFileSync(path, 'utf8')).packages;
}
