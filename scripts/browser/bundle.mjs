// A program for a page, from TypeScript, in one file that is never written to the disk.

import { createRequire } from 'node:module';
import { join } from 'node:path';

/** The JavaScript of `entry`, a path from the root of the repository. Throws if it or anything it imports needs Node. */
export async function bundlePage(root, entry) {
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    sourcemap: 'inline',
    legalComments: 'none',
    logLevel: 'silent', // what is wrong is thrown
  });
  return Buffer.from(outputFiles[0].contents);
}

/** The decoder of JPEGs, which a page looks for beside its program. */
export function jpegDecoder(root) {
  const require = createRequire(join(root, 'package.json'));
  return { name: 'mozjpeg_dec.wasm', path: require.resolve('@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm') };
}
