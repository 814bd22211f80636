// The goldens with the whole CLIP-L/14 tower, which takes minutes on a CPU: `npm run golden:full`. SPEC G-1.7.

import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { optionsOf } from './options.mjs';

optionsOf('golden-full');
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
const child = spawn(process.execPath, [vitest, 'run', 'spec/golden.spec.ts'], {
  stdio: 'inherit',
  env: { ...process.env, GOLDEN_FULL: '1' },
});
child.on('exit', (code) => {
  process.exitCode = code ?? 1;
});
