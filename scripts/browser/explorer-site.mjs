// The files of the explorer's page: its own, the program, and the embedded model.

import { join } from 'node:path';
import { bundlePage, jpegDecoder } from './bundle.mjs';

const OWN = ['index.html', 'style.css', 'icon.svg'];
const MODEL_FILE = /^\/model\/([a-z0-9_-]+(?:\.[a-z]+)*)$/i;

/** For the path of a request, what is there (see serveSite). */
export async function explorerSite(root) {
  const program = await bundlePage(root, 'explorer/main.ts');
  const decoder = jpegDecoder(root);
  const files = new Map([
    ['/main.js', program],
    [`/${decoder.name}`, decoder.path],
    ...OWN.map((name) => [`/${name}`, join(root, 'explorer', name)]),
  ]);
  return (path) => {
    const name = MODEL_FILE.exec(path)?.[1];
    return name === undefined ? (files.get(path) ?? null) : join(root, 'golden', 'tiny-llava', name);
  };
}
