// The library and the explorer in a headless Chromium: `npm run test:browser [-- [--report FILE] [-t TITLE] [FILE]]`.
//
// Where there is no Chromium and none can be installed, says why and passes: the suite of Node does not need one.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { findChromium } from './browser/chromium.mjs';
import { optionsOf } from './options.mjs';
import { installModules, modulesAreInstalled } from './setup/node-modules.mjs';

const root = resolve(import.meta.dirname, '..');
const { values, positionals } = optionsOf('test-browser', {
  options: { report: { type: 'string' }, title: { type: 'string', short: 't' } },
  allowPositionals: true,
});

if (!modulesAreInstalled(root)) await installModules(root);
const chromium = await findChromium();
if (typeof chromium !== 'string') {
  console.log(`test:browser was skipped: ${chromium.missing}.`);
  console.log('0 passed, 0 failed');
} else {
  const folder = mkdtempSync(join(tmpdir(), 'visionzip-browser-'));
  const report = values.report ?? join(folder, 'report.json');
  try {
    const titles = values.title === undefined ? [] : ['-t', values.title];
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const run = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'vitest.browser.config.ts'];
    const env = { ...process.env, CHROMIUM: chromium };
    const status = await node([...run, ...reporters, ...titles, ...positionals], env);
    await node(['scripts/count-tests.mjs', String(status), report], process.env);
    process.exitCode = status;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function node(args, env) {
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, args, { cwd: root, env, stdio: 'inherit' });
    child.on('error', failed);
    child.on('close', (code) => done(code ?? 1));
  });
}
