// No adapter: no driver at all, a driver by name that is none, and a private folder that is damaged in one way or another. One line
// and exit code 2, never a crash; and in one process a device behind the error.

import { cpSync, mkdirSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cli, expectThat, oneLine, PICTURE, refusal, run, withFolder } from './checks.mjs';

const ASK = ['ask', PICTURE, 'What color is the ring?'];
const NONE = /^visionzip: openGpu: expected a WebGPU adapter.*, got none/;

export async function adapter({ check }, driverFolder) {
  const whyNot =
    driverFolder === null ? 'set-up has built no private driver here (npm run setup -- --driver KIND)' : null;
  await check('no adapter: the list of drivers names a file that is not there', () =>
    withFolder(async (folder) => {
      const ended = await cli(ASK, { env: { VK_DRIVER_FILES: join(folder, 'none.json') } });
      return refusal(ended, NONE);
    }),
  );

  await check('no adapter: the list of drivers is empty, and no private folder', () =>
    withFolder(async (folder) => {
      const env = { VK_DRIVER_FILES: '', VK_ICD_FILENAMES: '', XDG_CACHE_HOME: folder };
      const said = refusal(await cli(ASK, { env }), NONE);
      const doctor = await cli(['doctor'], { env });
      expectThat(doctor.code === 2, `doctor ended with ${doctor.signal ?? doctor.code}`);
      return said;
    }),
  );

  const damages = {
    'is empty': (folder) => {
      for (const name of readdirSync(folder)) rmSync(join(folder, name));
    },
    'has no icd.json': (folder) => rmSync(join(folder, 'icd.json')),
    'has half an icd.json': (folder) => truncateSync(join(folder, 'icd.json'), 40),
    'has no driver': (folder) => rmSync(library(folder, /lvp|swiftshader/)),
    'has an empty driver': (folder) => truncateSync(library(folder, /lvp|swiftshader/), 0),
    'has half a driver': (folder) => truncateSync(library(folder, /lvp|swiftshader/), 1_000_000),
    'has another file as driver': (folder) =>
      writeFileSync(library(folder, /lvp|swiftshader/), 'x'.repeat(1e5)),
    'has half a loader': (folder) => truncateSync(library(folder, /libvulkan\.so/), 100_000),
  };
  for (const [name, damage] of Object.entries(damages)) {
    const spoilt = () =>
      withFolder(async (folder) => {
        const damaged = join(folder, 'vulkan');
        cpSync(driverFolder, damaged, { recursive: true });
        damage(damaged);
        const env = { VISIONZIP_DRIVER: 'private', VISIONZIP_DRIVER_FOLDER: damaged };
        return refusal(await cli(ASK, { env }), NONE);
      });
    await check(`no adapter: the private folder ${name}`, spoilt, whyNot);
  }

  const bothInTurn = () =>
    withFolder(async (folder) => {
      mkdirSync(join(folder, 'empty'));
      const program = `
          const { openGpu, read, tensor } = await import('./dist/tensor.js');
          const driver = 'private';
          const error = await openGpu({ driver, driverFolder: ${JSON.stringify(join(folder, 'empty'))} }).catch((thrown) => thrown);
          const gpu = await openGpu({ driver, driverFolder: ${JSON.stringify(driverFolder)} });
          console.log(error.name, (await read(tensor(gpu, Float32Array.of(5), [1])))[0]);
          gpu.close();`;
      const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '-e', program]);
      expectThat(stdout.trim().endsWith('GpuError 5'), `got ${oneLine(stdout)} ${oneLine(stderr)}`);
      return 'GpuError, then a device that computes';
    });
  await check('no adapter, and then one, in one process', bothInTurn, whyNot);
}

function library(folder, pattern) {
  const name = readdirSync(folder).find((entry) => pattern.test(entry));
  return join(folder, name);
}
