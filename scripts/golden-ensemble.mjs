// This library in every way that it can compute here, each against every golden: `npm run golden:ensemble [-- --driver KIND ...]`.
// SPEC G-1.7, docs/numerics.md.
//
// The ways are the adapter, the kernels (those that are fastest on it, or those for every adapter) and the type in which
// matrices are held, f32 or f16. Adapters are the one that everything else uses and, for each --driver, the software adapter that
// the set-up makes of that name (by default swiftshader-npm), in a cache folder of its own. The table says of each way and
// group what part of its tolerance the largest error is. Ends with 1 if a golden is red.

import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { optionsOf, refuse } from './options.mjs';

const ROOT = resolve(import.meta.dirname, '..');
const SPECS = ['spec/golden.spec.ts', 'spec/embedded.spec.ts', 'spec/models/llava/layouts-golden.spec.ts'];
const { values } = optionsOf('golden-ensemble', {
  options: { driver: { type: 'string', multiple: true, default: ['swiftshader-npm'] } },
});

const adapters = [{ name: 'usual adapter', env: {} }];
for (const name of values.driver) {
  const env = { XDG_CACHE_HOME: join(ROOT, '.cache', 'golden-ensemble', name) };
  const { code, output } = await node(['scripts/setup.mjs', '--driver', name], env);
  if (code !== 0) {
    refuse('golden-ensemble', `expected a driver ${name}, got\n${output}`);
  }
  adapters.push({ name, env });
}

let failed = 0;
for (const adapter of adapters) {
  for (const kernels of ['fastest', 'portable']) {
    for (const weights of ['f32', 'f16']) {
      const start = performance.now();
      const run = ['node_modules/vitest/vitest.mjs', 'run', ...SPECS];
      const { code, output } = await node(run, {
        ...adapter.env,
        SPEC_KERNELS: kernels,
        SPEC_WEIGHTS: weights,
      });
      if (code !== 0) failed++;
      const seconds = ((performance.now() - start) / 1000).toFixed(0);
      console.log(
        `${adapter.name}, ${kernels} kernels, ${weights} matrices: ${code === 0 ? 'pass' : 'FAIL'}, ${seconds} s`,
      );
      if (code !== 0) console.log(output);
      for (const [, group, part, stage] of output.matchAll(
        /golden (\S+): the largest error is (\S+) of its tolerance, at (\S+)/g,
      ))
        console.log(`  ${group.padEnd(14)} ${part}  ${stage}`);
    }
  }
}
process.exitCode = failed > 0 ? 1 : 0;

function node(args, env) {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, args, {
      cwd: ROOT,
      env: { ...process.env, NO_COLOR: '1', ...env },
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
      });
    }
    child.on('error', fail);
    child.on('close', (code) => done({ code: code ?? 1, output }));
  });
}
