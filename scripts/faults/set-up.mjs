// Set-up that is killed, that runs twice at once, whose disk is full or whose cache folder cannot be written. The next run leaves a
// folder that works and nothing beside it. The lock by itself: spec/scripts/setup.spec.ts.

import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  statfsSync,
  symlinkSync,
  truncateSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CANNOT_MOUNT,
  contentsOf,
  expectThat,
  fill,
  oneLine,
  ROOT,
  remount,
  run,
  withDisk,
  withFolder,
} from './checks.mjs';
import { openRepository, whyNoRepository } from './repository.mjs';

/** When set-up is killed: a request that the repository answers to the half, or what is there by then. */
const MOMENTS = {
  'while it fetches the package lists': { request: /Packages$/ },
  'while it fetches the driver': { request: /mesa-vulkan-drivers/ },
  'while it unpacks': { said: /Unpacking/ },
  'while the new folder is tried': { file: 'folder/contents.txt' },
};

export async function setUpFaults({ check, isWanted }, driverFolder) {
  const reason = whyNoRepository(driverFolder);
  const faults = [
    ...Object.keys(MOMENTS).map((moment) => `set-up killed ${moment}`),
    'set-up killed over a folder that works',
    'two set-ups at once',
    'set-up over a damaged folder',
    'disk full in set-up',
    'disk full before set-up',
    'disk small before set-up',
    'cache folder read-only in set-up',
  ];
  if (reason !== null) for (const fault of faults) await check(fault, null, reason);
  else if (faults.some(isWanted)) {
    await withFolder(async (folder) => {
      const repository = await openRepository(folder, driverFolder);
      try {
        await withDriver(check, repository);
      } finally {
        repository.close();
      }
    });
  }
  await building({ check });
}

async function withDriver(check, repository) {
  for (const [name, moment] of Object.entries(MOMENTS)) {
    await check(`set-up killed ${name}`, () =>
      withFolder(async (cache) => {
        await killedAt(repository, cache, moment);
        return repaired(repository, cache);
      }),
    );
  }

  await check('set-up killed over a folder that works', () =>
    withFolder(async (cache) => {
      await repaired(repository, cache);
      const before = contentsOf(join(cacheIn(cache), 'vulkan-1'));
      await killedAt(repository, cache, { request: /mesa-vulkan-drivers/, driver: 'lavapipe-apt' });
      const after = contentsOf(join(cacheIn(cache), 'vulkan-1'));
      expectThat(after === before, 'the folder that worked is another');
      return repaired(repository, cache);
    }),
  );

  await check('two set-ups at once', () =>
    withFolder(async (cache) => {
      const both = await Promise.all([repository.setUp(cache), repository.setUp(cache)]);
      for (const { code, stderr } of both)
        expectThat(code === 0, `one ended with ${code}: ${oneLine(stderr)}`);
      const built = both.filter(({ stderr }) => /Built in/.test(stderr)).length;
      expectThat(built === 1, `${built} of them built the folder`);
      return repaired(repository, cache);
    }),
  );

  await check('set-up over a damaged folder', () =>
    withFolder(async (cache) => {
      await repaired(repository, cache);
      truncateSync(join(cacheIn(cache), 'vulkan-1', 'libvulkan_lvp.so'), 1_000_000);
      return repaired(repository, cache);
    }),
  );

  const filledMeanwhile = () =>
    withDisk('800m', async (disk) => {
      const reached = repository.hold(/mesa-vulkan-drivers/);
      const ending = repository.setUp(disk);
      await reached;
      // Somebody else fills the disk: what is left is less than the driver.
      shrinkToUsed(disk);
      repository.letGo();
      const { code, stderr } = await ending;
      const hasSaid = /space|write|No space left/i.test(stderr);
      expectThat(code === 2 && hasSaid && !/\n\s+at /.test(stderr), `ended with ${code}: ${oneLine(stderr)}`);
      expectThat(leftIn(disk) === '', `left behind: ${leftIn(disk)}`);
      remount(disk, 'size=800m');
      return `${oneLine(/.*space.*/i.exec(stderr)?.[0] ?? '')}; ${await repaired(repository, disk)}`;
    });
  await check('disk full in set-up', filledMeanwhile, CANNOT_MOUNT);

  const tooSmall = (prepare) =>
    withDisk('64k', async (disk) => {
      prepare(disk);
      const { code, stderr } = await repository.setUp(disk);
      const hasSaid = /XDG_CACHE_HOME/.test(stderr) && !/\n\s+at /.test(stderr);
      expectThat(code === 1 && hasSaid, `ended with ${code}: ${oneLine(stderr)}`);
      expectThat(leftIn(disk) === '', `left behind: ${leftIn(disk)}`);
      return oneLine(stderr.split('\n').find((line) => line.includes('XDG_CACHE_HOME')));
    });
  await check('disk full before set-up', () => tooSmall(fill), CANNOT_MOUNT);
  await check('disk small before set-up', () => tooSmall(() => {}), CANNOT_MOUNT);

  const readOnly = () =>
    withDisk('1m', async (disk) => {
      remount(disk, 'ro');
      const { code, stderr } = await repository.setUp(disk);
      const hasSaid = /cannot be (made|written): .*EROFS.*XDG_CACHE_HOME/.test(stderr);
      expectThat(code === 1 && hasSaid, `ended with ${code}: ${oneLine(stderr)}`);
      return oneLine(stderr.split('\n').find((line) => line.includes('EROFS')));
    });
  await check('cache folder read-only in set-up', readOnly, CANNOT_MOUNT);
}

/** Leaves a MB of a disk. What is written meanwhile may be more than that: then it is measured again. */
function shrinkToUsed(disk, tries = 20) {
  const { blocks, bfree, bsize } = statfsSync(disk);
  try {
    remount(disk, `size=${(blocks - bfree) * bsize + 2 ** 20}`);
  } catch (error) {
    if (tries === 1) throw error;
    shrinkToUsed(disk, tries - 1);
  }
}

/** Runs set-up and kills it, and it alone, at the moment: its children live on until what they wait for breaks. */
async function killedAt(repository, cache, { request, said, file, driver }) {
  const reached = request === undefined ? null : repository.hold(request);
  let program;
  let text;
  const ending = repository.setUp(cache, {
    driver,
    onStart: (child, sofar) => {
      program = child;
      text = sofar;
    },
  });
  const isThere = () => said?.test(text.stderr) || (file !== undefined && temporaryFile(cache, file));
  if (reached === null) {
    let isOver = false;
    ending.finally(() => {
      isOver = true;
    });
    while (!isThere() && !isOver) await sleep(5);
  } else await Promise.race([reached, ending]);
  program.kill('SIGKILL');
  const { signal, stderr } = await ending;
  repository.letGo();
  expectThat(signal === 'SIGKILL', `it ended before it was killed: ${oneLine(stderr)}`);
}

function temporaryFile(cache, file) {
  const folder = cacheIn(cache);
  if (!existsSync(folder)) return false;
  return readdirSync(folder).some((name) => name.includes('.tmp.') && existsSync(join(folder, name, file)));
}

/** Set-up again, and then once more: the folder works, nothing lies beside it, and the last has nothing to do. */
async function repaired(repository, cache) {
  const first = await repository.setUp(cache);
  expectThat(first.code === 0, `the next run ended with ${first.code}: ${oneLine(first.stderr)}`);
  const again = await repository.setUp(cache);
  expectThat(again.code === 0, `the run behind it ended with ${again.code}: ${oneLine(again.stderr)}`);
  expectThat(!/Building/.test(again.stderr), 'the run behind it builds again');
  expectThat(leftIn(cache) === 'vulkan-1', `left behind: ${leftIn(cache)}`);
  return /Built in/.test(first.stderr) ? 'the next run builds it' : 'the next run finds it whole';
}

const cacheIn = (folder) => join(folder, 'visionzip-webgpu');

/** What is in the cache folder, but for Mesa's own. */
function leftIn(folder) {
  if (!existsSync(cacheIn(folder))) return '';
  return readdirSync(cacheIn(folder))
    .filter((name) => name !== 'shader-cache')
    .sort()
    .join(', ');
}

/** The build of dist, in a copy of the clone. */
async function building({ check }) {
  for (const count of [1, 12]) {
    await check(`set-up killed while it builds dist, with ${count} files there`, () =>
      inCopy(async (copy) => {
        const dist = join(copy, 'dist');
        const ending = setUpIn(copy, (child) => {
          const timer = setInterval(() => {
            if (existsSync(dist) && readdirSync(dist).length >= count) child.kill('SIGKILL');
          }, 1);
          child.on('exit', () => clearInterval(timer));
        });
        const { signal } = await ending;
        const wasKilled = signal === 'SIGKILL' ? '' : ' (it was faster than the signal)';
        return `${await builtIn(copy)}${wasKilled}`;
      }),
    );
  }

  await check('two set-ups at once, dist to be built', () =>
    inCopy(async (copy) => {
      const both = await Promise.all([setUpIn(copy), setUpIn(copy)]);
      for (const { code, stderr } of both)
        expectThat(code === 0, `one ended with ${code}: ${oneLine(stderr)}`);
      const built = both.filter(({ stderr }) => /Building dist/.test(stderr)).length;
      expectThat(built === 1, `${built} of them built it`);
      return builtIn(copy);
    }),
  );
}

const setUpIn = (copy, onStart) =>
  run(process.execPath, [join(copy, 'scripts', 'setup.mjs')], { cwd: copy, onStart });

/** Sources and packages of this clone, without dist. */
function inCopy(body) {
  return withFolder(async (folder) => {
    for (const name of ['package.json', 'package-lock.json', 'tsconfig.json', 'scripts', 'src']) {
      cpSync(join(ROOT, name), join(folder, name), { recursive: true });
    }
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    return body(folder);
  });
}

async function builtIn(copy) {
  const { code, stderr } = await setUpIn(copy);
  expectThat(code === 0, `the next run ended with ${code}: ${oneLine(stderr)}`);
  const { isBuilt } = await import(join(copy, 'scripts', 'build.mjs'));
  expectThat(isBuilt(copy), 'dist is not whole');
  const names = readdirSync(join(copy, 'dist'));
  const strays = names.filter((name) => name.endsWith('.tmp'));
  expectThat(strays.length === 0, `left behind: ${strays.join(', ')}`);
  const { outputs } = JSON.parse(readFileSync(join(copy, 'dist', '.built'), 'utf8'));
  expectThat(
    names.length === outputs.length + 1,
    `dist holds ${names.length} files, and ${outputs.length} were built`,
  );
  expectThat(!existsSync(join(copy, '.cache', 'setup.lock')), 'the lock is still there');
  const version = await run(process.execPath, [join(copy, 'dist', 'cli.js'), '--version'], { cwd: copy });
  expectThat(version.code === 0, `dist/cli.js ended with ${version.code}`);
  return 'the next run leaves it whole';
}
