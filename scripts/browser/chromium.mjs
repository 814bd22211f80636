// The Chromium that the browser tests run in: one that is there, or, for root on a system with apt, one that is installed.

import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run, say } from '../setup/children.mjs';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'chrome'];
const ENGLISH = { LC_ALL: 'C', LANGUAGE: 'C', DEBIAN_FRONTEND: 'noninteractive' };

/**
 * What starts a browser with WebGPU on SwiftShader and without a sandbox, which neither root nor a container has. Pages of
 * this repository alone are opened in it.
 */
export const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-features=Vulkan',
];

/** The path of a Chromium, or, as { missing }, in one line why there is none. */
export async function findChromium(env = process.env) {
  if (env.CHROMIUM)
    return isProgram(env.CHROMIUM)
      ? env.CHROMIUM
      : { missing: `CHROMIUM names ${env.CHROMIUM}, which is no program` };
  const found = onPath(NAMES, env);
  if (found !== null) return found;
  if (onPath(['apt-get'], env) === null)
    return { missing: 'there is no Chromium, and no apt to install one' };
  if (process.getuid?.() !== 0)
    return { missing: 'there is no Chromium, and installing one (apt-get install chromium) needs root' };
  try {
    await install();
  } catch (error) {
    return { missing: `apt could not install Chromium: ${error.message.split('\n').join(' ')}` };
  }
  return onPath(NAMES, env) ?? { missing: 'the package chromium brought no program of that name' };
}

async function install() {
  say('Installing Chromium with apt (about 100 MB).');
  await run('apt-get', ['-qq', 'update'], { env: ENGLISH });
  await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'], { env: ENGLISH });
}

/** The first of the programs that is in a folder of PATH, or null. */
export function onPath(names, { PATH = '' }) {
  const folders = PATH.split(delimiter).filter((folder) => folder !== '');
  const paths = names.flatMap((name) => folders.map((folder) => join(folder, name)));
  return paths.find(isProgram) ?? null;
}

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
