// Serves the explorer, a page that shows what VisionZip keeps of a picture: `npm run explorer [-- --port N]`.

import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { explorerSite } from './browser/explorer-site.mjs';
import { serveSite } from './browser/site.mjs';
import { installModules, modulesAreInstalled } from './setup/node-modules.mjs';

const root = resolve(import.meta.dirname, '..');

try {
  const port = portOf(process.argv.slice(2));
  if (!modulesAreInstalled(root)) await installModules(root);
  const { origin } = await serveSite(await explorerSite(root), port);
  console.log(`The explorer is at ${origin}/ for browsers on this machine. Ctrl-C ends it.`);
} catch (error) {
  console.error(`explorer: ${error.message}`);
  process.exitCode = 2;
}

function portOf(args) {
  const { port = '8336' } = parseArgs({ args, options: { port: { type: 'string' } } }).values;
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65535)
    throw new RangeError(`--port: expected 0 to 65535, got ${port}`);
  return Number(port);
}
