// A headless Chromium with WebGPU on SwiftShader, and the sites that it looks at. `npm run test:browser` names the program.

import { readFile } from 'node:fs/promises';
import { type Browser, chromium } from 'playwright-core';

// The scripts are plain JavaScript without types: they are given here.

export type Find = (path: string) => Uint8Array | string | null;

export interface Site {
  readonly origin: string;
  close(): void;
}

async function load<T>(name: string): Promise<T> {
  return (await import(new URL(`../../scripts/browser/${name}.mjs`, import.meta.url).href)) as T;
}

const { CHROMIUM_FLAGS } = await load<{ CHROMIUM_FLAGS: string[] }>('chromium');
const { serveSite } = await load<{ serveSite(find: Find): Promise<Site> }>('site');
const { bundlePage, jpegDecoder } = await load<{
  bundlePage(root: string, entry: string): Promise<Uint8Array>;
  jpegDecoder(root: string): { readonly name: string; readonly path: string };
}>('bundle');
const { explorerSite } = await load<{ explorerSite(root: string): Promise<Find> }>('explorer-site');

const ROOT = process.cwd();

/** Throws unless CHROMIUM names a program. */
export async function openBrowser(): Promise<Browser> {
  const { CHROMIUM } = process.env;
  if (CHROMIUM === undefined)
    throw new Error('expected CHROMIUM to name a Chromium, got nothing: use npm run test:browser');
  return chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_FLAGS, timeout: 120_000 });
}

/** The page of the tests, and the goldens. */
export async function openTestSite(): Promise<Site> {
  const program = await bundlePage(ROOT, 'spec/browser/page/main.ts');
  const decoder = jpegDecoder(ROOT);
  const html = new TextEncoder().encode(
    '<!doctype html><title>tests</title><script type="module" src="/main.js"></script>',
  );
  const files: Readonly<Record<string, Uint8Array | string>> = {
    '/index.html': html,
    '/main.js': program,
    [`/${decoder.name}`]: decoder.path,
  };
  return serveSite(
    (path) => files[path] ?? (path.startsWith('/golden/') && !path.includes('..') ? `.${path}` : null),
  );
}

export async function openExplorerSite(): Promise<Site> {
  return serveSite(await explorerSite(ROOT));
}

/** The bytes of a file of this repository, by its path from the root. */
export const fileBytes = (path: string): Promise<Buffer<ArrayBuffer>> => readFile(path);
