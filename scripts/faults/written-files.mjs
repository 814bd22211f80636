// Every file that a command writes, on a full disk, on a nearly full one and in a folder that cannot be written: one line, exit code
// 2, what was there before is whole and nothing is beside it. And a cache folder that cannot be written or is full: commands do
// without it.

import {
  chmodSync,
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { basename, join } from 'node:path';
import { folderSize } from '../setup/node-modules.mjs';
import {
  CANNOT_MOUNT,
  CLI,
  cli,
  contentsOf,
  expectThat,
  fill,
  MODEL,
  oneLine,
  PICTURE,
  refusal,
  run,
  withDisk,
  withFolder,
} from './checks.mjs';

const QUESTION = 'What color is the ring?';

/** What a command writes: its arguments for a folder, the files, and what is typed into it. */
const WRITERS = {
  'zip --out': { args: (to) => ['zip', PICTURE, '--out', to], files: ['tokens.safetensors', 'overlay.png'] },
  'ask --trace': {
    args: (to) => ['ask', PICTURE, QUESTION, '--trace', join(to, 'trace.safetensors')],
    files: ['trace.safetensors'],
  },
  'zip --tensors': {
    args: (to, trace) => ['zip', '--tensors', trace, '--dominant', '54', '--contextual', '10', '--out', to],
    files: ['tokens.safetensors'],
  },
  'demo --out': { args: (to) => ['demo', '--out', to], files: ['tokens.safetensors', 'overlay.png'] },
  'eval --out': {
    args: (to) => ['eval', '--questions', '1', '--budget', '64', '--out', to],
    files: ['accuracy.svg'],
  },
  'chat /save': {
    args: () => ['chat', PICTURE],
    input: (to) => `${QUESTION}\n/save ${join(to, 'chat.json')}\n`,
    files: ['chat.json'],
  },
};

export async function writtenFiles({ check }, driverFolder) {
  for (const [name, writer] of Object.entries(WRITERS)) {
    for (const [how, left] of Object.entries({ full: 0, 'nearly full': 4096 })) {
      const fault = `disk ${how}: ${name}`;
      if (left > 0 && name === 'chat /save') continue; // less than a page
      await check(fault, () => withDisk('2m', (disk) => onFullDisk(disk, writer, left)), CANNOT_MOUNT);
    }
  }

  for (const name of ['zip --json', 'ask --json', 'bench --json']) {
    await check(`disk full: standard output of ${name}`, () =>
      withFolder(async (folder) => {
        const options = name.startsWith('bench')
          ? ['--repeat', '1', '--tokens', '2', '--budget', '64']
          : [PICTURE];
        const args = [
          name.split(' ')[0],
          ...options,
          ...(name.startsWith('ask') ? [QUESTION] : []),
          '--json',
        ];
        const output = openSync('/dev/full', 'w');
        try {
          const ended = await cli(name.startsWith('zip') ? [...args, '--out', folder] : args, { output });
          return refusal(ended, /^visionzip: stdout: expected to write, got a full disk/);
        } finally {
          closeSync(output);
        }
      }),
    );
  }

  const noRoot = process.getuid?.() !== 0;
  const canSet = !noRoot && (await run('setpriv', ['--version']).catch(() => ({ code: 1 }))).code === 0;
  const asUser = canSet ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
  const cannotDrop = noRoot || canSet ? null : 'root may write everywhere, and there is no setpriv';

  const readOnlyFolder = () =>
    withFolder(async (folder) => {
      chmodSync(folder, 0o555);
      const ended = await runAs(asUser, [CLI, 'zip', PICTURE, '--out', folder]);
      return refusal(ended, /^visionzip: --out .+: expected a folder that can be written, got /);
    });
  await check('folder read-only: zip --out', readOnlyFolder, cannotDrop);

  const readOnlyCache = () =>
    withFolder(async (folder) => {
      const { env, cache } = copiedCache(folder, driverFolder);
      chmodSync(folder, 0o755); // others may look
      chmodSync(cache, 0o555);
      const before = contentsOf(cache);
      const ended = await runAs(asUser, [CLI, 'ask', PICTURE, QUESTION], { env });
      return answered(ended, contentsOf(cache) === before);
    });
  await check('cache folder read-only: ask', readOnlyCache, cannotDrop);

  const fullCache = () =>
    withDisk(driverFolder === null ? '1m' : folderSize(driverFolder) + 2 ** 20, async (disk) => {
      const { env, cache } = copiedCache(disk, driverFolder);
      fill(disk);
      const driver = join(cache, 'vulkan-1');
      const before = contentsOf(driver);
      const ask = async () =>
        answered(await cli(['ask', PICTURE, QUESTION], { env }), contentsOf(driver) === before);
      const said = await ask();
      // What Mesa has begun of its shader cache is its own; with room it goes on.
      rmSync(join(disk, 'filler'));
      await ask();
      return `${said}, and again when there is room`;
    });
  await check('cache folder full: ask', fullCache, CANNOT_MOUNT);

  // A model that is fetched is never on the disk, so a full one is no hindrance; broken connections: fetched-model.spec.ts.
  const fetchedModel = () =>
    withDisk('1m', async (disk) => {
      fill(disk);
      const before = contentsOf(disk);
      const server = createServer((request, response) => {
        try {
          response.end(readFileSync(join(MODEL, basename(request.url))));
        } catch {
          response.writeHead(404).end();
        }
      });
      await new Promise((done) => server.listen(0, '127.0.0.1', done));
      try {
        const program = `
            const { fetchedModel, loadLlava, openGpu } = await import('./dist/index.js');
            const gpu = await openGpu();
            const llava = await loadLlava(gpu, fetchedModel('http://127.0.0.1:${server.address().port}/model'));
            console.log('loaded', llava.config.text.layerCount > 0);
            gpu.close();`;
        const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '-e', program], {
          env: { TMPDIR: disk },
        });
        expectThat(stdout.trim().endsWith('loaded true'), `got ${oneLine(stdout)} ${oneLine(stderr)}`);
        expectThat(contentsOf(disk) === before, 'something was written');
        return 'it loads; nothing is written';
      } finally {
        server.closeAllConnections();
        server.close();
      }
    });
  await check('disk full: a fetched model', fetchedModel, CANNOT_MOUNT);
}

/** Node as this user, or as the one that `prefix` changes to. */
function runAs(prefix, args, options) {
  const [command, ...rest] = [...prefix, process.execPath, ...args];
  return run(command, rest, options);
}

/** On a disk with an older file under each name and `left` bytes of room. */
async function onFullDisk(disk, { args, input, files }, left) {
  const to = join(disk, 'out');
  mkdirSync(to);
  for (const file of files) writeFileSync(join(to, file), `the older ${file}`);
  return withFolder(async (folder) => {
    const trace = join(folder, 'trace.safetensors');
    const list = args(to, trace);
    if (list.includes('--tensors')) await cli(['ask', PICTURE, QUESTION, '--trace', trace]);
    fill(disk, left);
    const before = contentsOf(to);
    const ended = await cli(list, { input: input?.(to) });
    const said = saidInstead(ended);
    expectThat(
      contentsOf(to) === before,
      'the older files are not as they were, or something is beside them',
    );
    return said;
  });
}

/** In a conversation, errors of commands go on stderr and the conversation goes on. */
function saidInstead(ended) {
  const pattern = /expected to write \d+ bytes, got a full disk/;
  if (pattern.test(ended.stderr) && ended.code === 2)
    return oneLine(ended.stderr.split('\n').find((line) => pattern.test(line)));
  return refusal(ended, pattern);
}

function answered({ code, stdout, stderr }, isUntouched) {
  expectThat(
    code === 0 && /^Purple$/m.test(stdout),
    `ended with ${code}: ${oneLine(stdout)} ${oneLine(stderr)}`,
  );
  expectThat(isUntouched, 'something was written');
  return 'it answers';
}

/** The private driver, where there is one, in a cache folder of its own. */
function copiedCache(folder, driverFolder) {
  const cache = join(folder, 'visionzip-webgpu');
  mkdirSync(cache);
  if (driverFolder !== null) cpSync(driverFolder, join(cache, 'vulkan-1'), { recursive: true });
  return { cache, env: { XDG_CACHE_HOME: folder } };
}
