// SwiftShader from the npm package @sparticuz/chromium: for systems without apt that reach a registry.

import { createHash } from 'node:crypto';
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { writeDriverFile } from './apt-driver.mjs';
import { run, say } from './children.mjs';
import { npmCommand } from './node-modules.mjs';

const PACKAGE = '@sparticuz/chromium@153.0.0';
const INTEGRITY =
  'sha512-jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/NqNO/EHYzF/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA==';
const LARGEST_ARCHIVE = 32e6; // twice what the package holds

/** Puts SwiftShader into `folder` and says what it put there. x64 only, as the package is. */
export async function swiftshaderFromNpm(work, folder, host) {
  if (host.arch !== 'x64') throw new Error(`The npm package is for x64, and this is ${host.arch}.`);
  say(`  Fetching ${PACKAGE}: 70 MB.`);
  const [command, ...prefix] = npmCommand();
  await run(command, [...prefix, 'pack', PACKAGE, '--ignore-scripts', '--loglevel=error'], { cwd: work });
  const archive = readdirSync(work).find((name) => name.endsWith('.tgz'));
  if (archive === undefined) throw new Error(`npm pack fetched no archive of ${PACKAGE}.`);
  const hash = createHash('sha512').update(readFileSync(join(work, archive)));
  const integrity = `sha512-${hash.digest('base64')}`;
  if (integrity !== INTEGRITY) {
    throw new Error(`Of ${PACKAGE} another file was published than the one that was tried: ${integrity}.`);
  }
  await run('tar', ['-xzf', archive, 'package/bin/swiftshader.tar.br'], { cwd: work });
  const packed = readFileSync(join(work, 'package', 'bin', 'swiftshader.tar.br'));
  writeFileSync(
    join(work, 'swiftshader.tar'),
    brotliDecompressSync(packed, { maxOutputLength: LARGEST_ARCHIVE }),
  );
  await run('tar', ['-xf', 'swiftshader.tar'], { cwd: work });
  for (const name of ['libvk_swiftshader.so', 'libvulkan.so.1'])
    copyFileSync(join(work, name), join(folder, name));
  writeDriverFile(folder, 'libvk_swiftshader.so');
  return `SwiftShader of the npm package ${PACKAGE}`;
}
