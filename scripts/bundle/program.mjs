// The program of the bundle: the command line with the packages that it is made of, in a few files.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROGRAMS } from './layout.mjs';

/** Writes app/dist and app/package.json; returns the folders, in node_modules, of the packages that went into it. */
export async function buildProgram(root, stage, manifest) {
  const { build } = await import('esbuild');
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: Object.entries(PROGRAMS).map(([out, path]) => ({ in: path, out })),
    outdir: join(stage, 'app', 'dist'),
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: ['webgpu'], // an addon: it stays a package
    legalComments: 'none', // the licences lie beside the program
    minifyWhitespace: true,
    metafile: true,
    chunkNames: 'chunk-[hash]',
    logLevel: 'warning',
  });
  const { name, version, license } = manifest;
  writeFileSync(
    join(stage, 'app', 'package.json'),
    `${JSON.stringify({ name, version, license, type: 'module' }, null, 2)}\n`,
  );
  return packagesOf(Object.keys(metafile.inputs));
}

/** From the paths of files the folders of their packages, each once: node_modules/a, node_modules/@b/c. */
export function packagesOf(paths) {
  const folders = paths.map((path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0]);
  return [...new Set(folders.filter((folder) => folder !== undefined))].sort();
}
