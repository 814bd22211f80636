import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

// Set-up runs before anything is installed, hence in plain JavaScript without types: they are given here.

interface SourceFile {
  readonly name: string;
  readonly text: string;
}

interface AptSources {
  privateSources(
    files: readonly SourceFile[],
    codenames: readonly string[],
  ): { readonly files: readonly SourceFile[]; readonly preferredSuite: string | null };
  isMesaNewEnough(version: string): boolean;
  candidateVersion(policy: string): string | null;
  downloadSize(uris: string): { readonly count: number; readonly bytes: number };
}

type Packages = Readonly<Record<string, object>>;

interface NodeModules {
  missingPackages(lock: Packages, installed: Packages): readonly string[];
  npmCommand(env: object, platform: string): readonly string[];
}

interface Lock {
  withLock<T>(path: string, body: (hasWaited: boolean) => Promise<T>): Promise<T>;
  isStale(path: string): boolean;
}

interface Driver {
  readonly DRIVER_KINDS: readonly string[];
  removeStale(driverFolder: string): void;
}

async function load<T>(name: string): Promise<T> {
  return (await import(new URL(`../../scripts/setup/${name}.mjs`, import.meta.url).href)) as T;
}

const { privateSources, isMesaNewEnough, candidateVersion, downloadSize } =
  await load<AptSources>('apt-sources');
const { missingPackages, npmCommand } = await load<NodeModules>('node-modules');
const { withLock, isStale } = await load<Lock>('lock');
const { DRIVER_KINDS, removeStale } = await load<Driver>('driver');

describe('apt sources', () => {
  const classic = (text: string) => privateSources([{ name: 'sources.list', text }], ['bookworm']);

  it('set-up: Debian 12 gets its backports from the mirror that is configured', () => {
    const { files, preferredSuite } = classic('deb http://mirror.example/debian bookworm main\n');
    expect(preferredSuite).toBe('bookworm-backports');
    expect(files).toEqual([
      {
        name: 'private.list',
        text: 'deb http://mirror.example/debian bookworm main\ndeb http://mirror.example/debian bookworm-backports main\n',
      },
    ]);
  });

  it('set-up: options in brackets go with the mirror, and a comment does not', () => {
    const line =
      'deb [arch=amd64 signed-by=/etc/keys/a.gpg] https://mirror.example/debian bookworm main contrib # ours';
    const { files } = classic(line);
    expect(files[0]?.text.split('\n')).toEqual([
      'deb [arch=amd64 signed-by=/etc/keys/a.gpg] https://mirror.example/debian bookworm main contrib',
      'deb [arch=amd64 signed-by=/etc/keys/a.gpg] https://mirror.example/debian bookworm-backports main',
      '',
    ]);
  });

  it('set-up: backports that are configured are not added again', () => {
    const { files, preferredSuite } = classic(
      'deb http://m.example/debian bookworm main\ndeb http://m.example/debian bookworm-backports main\n',
    );
    expect(preferredSuite).toBe('bookworm-backports');
    expect(files[0]?.text.match(/bookworm-backports/g)).toHaveLength(1);
  });

  it('set-up: deb822 sources keep their key and get backports', () => {
    const text =
      'Types: deb deb-src\n# a note\nURIs: http://m.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n' +
      'Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n -----END PGP PUBLIC KEY BLOCK-----\n\n' +
      'Types: deb\nURIs: http://s.example/debian-security\nSuites: bookworm-security\nComponents: main\n';
    const { files, preferredSuite } = privateSources([{ name: 'debian.sources', text }], ['bookworm']);
    expect(preferredSuite).toBe('bookworm-backports');
    expect(files).toHaveLength(1);
    const stanzas = files[0]?.text.trim().split('\n\n') ?? [];
    expect(stanzas).toHaveLength(3);
    expect(stanzas[0]).toContain('Suites: bookworm bookworm-updates');
    expect(stanzas[2]).toContain(
      'Types: deb\nSuites: bookworm-backports\nComponents: main\nURIs: http://m.example/debian',
    );
    expect(stanzas[2]).toContain('Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc');
  });

  it('set-up: other repositories, discs, sources and what is switched off stay out', () => {
    const { files } = privateSources(
      [
        {
          name: 'sources.list',
          text:
            'deb http://m.example/debian bookworm main\n#deb http://off.example/debian bookworm main\n' +
            'deb cdrom:[Debian_12]/ bookworm main\ndeb-src http://src.example/debian bookworm main\n' +
            'deb https://docker.example/linux/debian bookworm stable\ndeb https://pg.example/apt bookworm-pgdg main\n',
        },
        {
          name: 'node.sources',
          text: 'Types: deb\nURIs: https://node.example\nSuites: nodistro\nComponents: main\n',
        },
        {
          name: 'off.sources',
          text: 'Enabled: no\nTypes: deb\nURIs: http://o.example\nSuites: bookworm\nComponents: main\n',
        },
      ],
      ['bookworm'],
    );
    expect(files).toEqual([
      {
        name: 'private.list',
        text: 'deb http://m.example/debian bookworm main\ndeb http://m.example/debian bookworm-backports main\n',
      },
    ]);
  });

  it('set-up: Debian 13 and Ubuntu use what they have', () => {
    const trixie = privateSources(
      [{ name: 'sources.list', text: 'deb http://m.example/debian trixie main' }],
      ['trixie'],
    );
    expect(trixie.preferredSuite).toBeNull();
    expect(trixie.files[0]?.text).toBe('deb http://m.example/debian trixie main\n');

    const ubuntu =
      'Types: deb\nURIs: http://u.example/ubuntu\nSuites: noble noble-updates noble-backports\nComponents: main universe\n';
    const noble = privateSources([{ name: 'ubuntu.sources', text: ubuntu }], ['noble']);
    expect(noble.preferredSuite).toBeNull();
    expect(noble.files[0]?.text).toContain('Suites: noble noble-updates noble-backports');
  });

  it('set-up: a system whose suites are unknown is used as it is', () => {
    const text = 'deb http://m.example/devuan daedalus main';
    expect(privateSources([{ name: 'sources.list', text }], ['other'])).toEqual({
      files: [],
      preferredSuite: null,
    });
    expect(privateSources([], ['bookworm'])).toEqual({ files: [], preferredSuite: null });
  });

  it.each([
    ['22.3.6-1+deb12u2', false],
    ['23.1.9-1', false],
    ['23.2.1-1ubuntu3.1~22.04.2', true],
    ['24.0.5-1ubuntu1', true],
    ['25.0.7-2~bpo12+1', true],
    ['1:25.0.7', true],
    ['unknown', false],
  ])('set-up: Mesa %s is new enough: %s', (version, expected) => {
    expect(isMesaNewEnough(version)).toBe(expected);
  });

  it('set-up: the answers of apt are read', () => {
    expect(
      candidateVersion(
        'mesa-vulkan-drivers:\n  Installed: (none)\n  Candidate: 25.0.7-2\n  Version table:\n',
      ),
    ).toBe('25.0.7-2');
    expect(candidateVersion('mesa-vulkan-drivers:\n  Installed: (none)\n  Candidate: (none)\n')).toBeNull();
    expect(candidateVersion('')).toBeNull();
    const uris =
      "'http://m.example/a.deb' a_1_amd64.deb 100 MD5Sum:x\n'http://m.example/b.deb' b_1_amd64.deb 23 SHA256:y\n";
    expect(downloadSize(uris)).toEqual({ count: 2, bytes: 123 });
  });
});

describe('packages', () => {
  const a = { version: '1.0.0', integrity: 'sha512-a' };

  it('set-up: packages that are absent or in another version are missing', () => {
    const lock = { '': {}, 'node_modules/a': a, 'node_modules/b': { version: '2.0.0' } };
    expect(missingPackages(lock, { 'node_modules/a': a, 'node_modules/b': { version: '2.0.0' } })).toEqual(
      [],
    );
    expect(missingPackages(lock, { 'node_modules/a': a, 'node_modules/b': { version: '1.9.9' } })).toEqual([
      'node_modules/b',
    ]);
    expect(missingPackages(lock, { 'node_modules/a': { ...a, integrity: 'sha512-b' } })).toHaveLength(2);
  });

  it('set-up: packages of other platforms may be absent, Dawn may not', () => {
    const lock = {
      '': { optionalDependencies: { webgpu: '0.6.2' } },
      'node_modules/fsevents': { version: '2.3.3', optional: true },
      'node_modules/webgpu': { version: '0.6.2', optional: true },
    };
    expect(missingPackages(lock, {})).toEqual(['node_modules/webgpu']);
    expect(missingPackages(lock, { 'node_modules/webgpu': { version: '0.6.2' } })).toEqual([]);
  });

  it('set-up: the npm that runs the script is used, and no other package manager', () => {
    expect(npmCommand({ npm_execpath: '/n/bin/npm-cli.js' }, 'linux')).toEqual([
      process.execPath,
      '/n/bin/npm-cli.js',
    ]);
    expect(npmCommand({ npm_execpath: '/y/yarn.js' }, 'linux')).toEqual(['npm']);
    expect(npmCommand({}, 'win32')).toEqual(['npm.cmd']);
  });
});

const NO_PROCESS = 4194304; // beyond the largest process id

describe('the folders', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'visionzip-setup-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const age = (path: string, seconds: number) => {
    const then = new Date(Date.now() - 1000 * seconds);
    utimesSync(path, then, then);
  };

  it('set-up: the drivers are tried from the fullest to the most portable', () => {
    expect(DRIVER_KINDS).toEqual(['lavapipe-apt', 'swiftshader-apt', 'swiftshader-npm']);
  });

  it('set-up: half-built folders of other machines are removed after an hour, everything else stays', () => {
    const [old, young] = ['vulkan-1.tmp.a.other.machine.1', 'vulkan-1.tmp.a.other.machine.2'];
    for (const name of ['vulkan-1', old, young, 'shader-cache']) mkdirSync(join(folder, name));
    for (const name of ['vulkan-1', old, 'shader-cache']) age(join(folder, name), 3700);
    age(join(folder, young), 3500);
    removeStale(join(folder, 'vulkan-1'));
    expect(readdirSync(folder).sort()).toEqual(['shader-cache', 'vulkan-1', young]);
    removeStale(join(folder, 'nowhere', 'vulkan-1'));
  });

  it('set-up: what a killed set-up of this machine left is removed at once, what one at work needs is not', () => {
    const [killed, working] = [
      `vulkan-1.tmp.${hostname()}.${NO_PROCESS}`,
      `vulkan-1.tmp.${hostname()}.${process.pid}`,
    ];
    for (const name of [killed, working]) mkdirSync(join(folder, name, 'folder'), { recursive: true });
    removeStale(join(folder, 'vulkan-1'));
    expect(readdirSync(folder)).toEqual([working]);
  });

  it('set-up: two that want the lock have it one after the other', async () => {
    const path = join(folder, 'a', 'setup.lock');
    const order: string[] = [];
    const work = (name: string) =>
      withLock(path, async (hasWaited) => {
        order.push(`${name} begins`);
        await new Promise((done) => setTimeout(done, 30));
        order.push(`${name} ends`);
        return hasWaited;
      });
    expect(await Promise.all([work('first'), work('second')])).toEqual([false, true]);
    expect(order).toEqual(['first begins', 'first ends', 'second begins', 'second ends']);
    expect(readdirSync(join(folder, 'a'))).toEqual([]);
  });

  it('set-up: a lock is stale when its owner has ended or has been silent for a minute', async () => {
    const path = join(folder, 'setup.lock');
    writeFileSync(path, `${process.pid}\n`);
    expect(isStale(path)).toBe(false);
    age(path, 61);
    expect(isStale(path)).toBe(true);
    writeFileSync(path, `${NO_PROCESS}\n`);
    expect(isStale(path)).toBe(true);
    expect(await withLock(path, async (hasWaited) => hasWaited)).toBe(false);
    expect(isStale(path)).toBe(false);
  });

  it('set-up: the lock is given back when the work fails', async () => {
    const path = join(folder, 'setup.lock');
    await expect(withLock(path, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(readdirSync(folder)).toEqual([]);
  });
});
