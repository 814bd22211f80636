import { execFile } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeEglDriver } from '../../src/tensor/dawn-files.ts';

// The scripts are plain JavaScript without types: they are given here.

type NamedSize = readonly [name: string, bytes: number];

interface Layout {
  readonly COPIED: readonly (readonly [target: string, source: string])[];
  readonly DAWN: string;
  readonly MOST_BYTES: number;
  readonly NEEDED: readonly string[];
  readonly NVIDIA_EGL: string;
  readonly PROGRAMS: Readonly<Record<string, string>>;
  bundleName(manifest: { readonly name: string; readonly version: string }): string;
  checkFiles(exists: (path: string) => boolean): void;
  checkSize(bytes: number, parts: readonly NamedSize[]): void;
  refusal(platform: string, arch: string): string | null;
}

interface Program {
  packagesOf(paths: readonly string[]): readonly string[];
}

async function load<T>(name: string): Promise<T> {
  return (await import(new URL(`../../scripts/bundle/${name}.mjs`, import.meta.url).href)) as T;
}

const { COPIED, DAWN, MOST_BYTES, NEEDED, NVIDIA_EGL, PROGRAMS, bundleName, checkFiles, checkSize, refusal } =
  await load<Layout>('layout');
const { packagesOf } = await load<Program>('program');

describe('what is in the bundle', () => {
  it('bundle: every file that is copied or built from is in the clone', () => {
    const sources = [...COPIED.map(([, source]) => source), DAWN, ...Object.values(PROGRAMS)];
    expect(sources.filter((path) => !existsSync(path))).toEqual([]);
    expect(new Set(NEEDED).size).toBe(NEEDED.length);
  });

  it('bundle: a file that is missing is named', () => {
    expect(() => checkFiles(() => true)).not.toThrow();
    for (const missing of NEEDED) expect(() => checkFiles((path) => path !== missing)).toThrow(missing);
  });

  it('bundle: an archive that is too large is refused, and its largest files are named', () => {
    const parts: NamedSize[] = [
      ['app/package.json', 100],
      ['bin/node', 90e6],
      ['lib/vulkan/libvk_swiftshader.so', 6e6],
      ['app/node_modules/webgpu/dist/linux-x64/dawn.node', 17e6],
    ];
    expect(MOST_BYTES).toBe(60e6);
    expect(() => checkSize(MOST_BYTES, parts)).not.toThrow();
    expect(() => checkSize(MOST_BYTES + 100_000, parts)).toThrow(
      /60\.1 MB.*bin\/node 90\.0 MB, .*dawn\.node 17/,
    );
  });

  it("bundle: NVIDIA's EGL driver file is found in it, where no cache folder can be written", () => {
    const folder = mkdtempSync(join(tmpdir(), 'visionzip-spec-'));
    const names = ['VISIONZIP_DRIVER_FOLDER', 'XDG_CACHE_HOME'] as const;
    const before = names.map((name) => process.env[name]);
    try {
      process.env.VISIONZIP_DRIVER_FOLDER = folder;
      process.env.XDG_CACHE_HOME = '/proc/no-folder';
      expect(writeEglDriver()).toBeNull();
      writeFileSync(join(folder, 'nvidia-egl.json'), 'another');
      expect(writeEglDriver()).toBeNull();
      writeFileSync(join(folder, 'nvidia-egl.json'), NVIDIA_EGL);
      expect(writeEglDriver()).toBe(join(folder, 'nvidia-egl.json'));
    } finally {
      for (const [i, name] of names.entries()) {
        const value = before[i];
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
      rmSync(folder, { recursive: true });
    }
  });

  it('bundle: other systems are refused in one line', () => {
    expect(refusal('linux', 'x64')).toBeNull();
    for (const [platform, arch] of [
      ['linux', 'arm64'],
      ['darwin', 'x64'],
      ['win32', 'x64'],
    ] as const)
      expect(refusal(platform, arch)).toMatch(
        new RegExp(`^bundle: expected linux-x64.*got ${platform}-${arch}\\.$`),
      );
    expect(bundleName({ name: 'a', version: '1.2.3' })).toBe('a-1.2.3-linux-x64');
  });

  it('bundle: the packages that go into the program are found, each once', () => {
    const paths = ['src/a.ts', 'node_modules/a/b/c.js', 'node_modules/@x/y/z.js', 'node_modules/@x/y/w.js'];
    expect(packagesOf(paths)).toEqual(['node_modules/@x/y', 'node_modules/a']);
    expect(packagesOf(['node_modules/a/node_modules/b/c.js'])).toEqual(['node_modules/a/node_modules/b']);
  });
});

// A shell script in the place of node prints what it was given.
const NODE = `#!/bin/sh
printf '%s\\n' "$VISIONZIP_DRIVER_FOLDER" "$PWD" "$@"
exit 7
`;

describe.runIf(process.platform === 'linux' && process.arch === 'x64')('the launcher', () => {
  let root: string;
  let folder: string; // of the bundle: a space, a quote and a dollar sign in its name
  let launcher: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'visionzip-spec-'));
    folder = join(root, `a 'b" $c`);
    launcher = join(folder, 'visionzip');
    mkdirSync(join(folder, 'bin'), { recursive: true });
    mkdirSync(join(root, 'elsewhere'));
    copyFileSync('scripts/bundle/visionzip.sh', launcher);
    writeFileSync(join(folder, 'bin', 'node'), NODE);
    chmodSync(launcher, 0o755);
    chmodSync(join(folder, 'bin', 'node'), 0o755);
  });

  afterEach(() => rmSync(root, { recursive: true }));

  interface Run {
    readonly code: number;
    readonly lines: readonly string[];
    readonly stderr: string;
  }

  function start(
    command: string,
    args: readonly string[],
    cwd: string,
    env: NodeJS.ProcessEnv = {},
  ): Promise<Run> {
    return new Promise((done) => {
      const child = execFile(command, args, { cwd, env }, (_, stdout, stderr) =>
        done({ code: child.exitCode ?? -1, lines: stdout.split('\n').slice(0, -1), stderr }),
      );
    });
  }

  it('bundle: starts from any folder, keeps arguments and exit code, changes no working folder', async () => {
    const args = ['ask', 'a picture.png', '', '*', "it's $HOME"];
    const cwd = join(root, 'elsewhere');
    const program = join(folder, 'app', 'dist', 'cli.js');
    const expected = { code: 7, lines: [join(folder, 'lib', 'vulkan'), cwd, program, ...args], stderr: '' };
    expect(await start(launcher, args, cwd)).toEqual(expected);
    const above = { ...expected, lines: expected.lines.map((line, i) => (i === 1 ? root : line)) };
    // A search path for cd makes it print where it went.
    expect(await start('/bin/sh', [`a 'b" $c/visionzip`, ...args], root, { CDPATH: root })).toEqual(above);
    const inside = { ...expected, lines: expected.lines.map((line, i) => (i === 1 ? folder : line)) };
    expect(await start('./visionzip', args, folder)).toEqual(inside);
    expect(await start('/bin/sh', ['visionzip', ...args], folder)).toEqual(inside);
  });

  it('bundle: starts through links, absolute, relative and one behind the other', async () => {
    const cwd = join(root, 'elsewhere');
    symlinkSync(launcher, join(cwd, 'absolute'));
    symlinkSync(`../a 'b" $c/visionzip`, join(cwd, 'relative'));
    symlinkSync('relative', join(cwd, 'chain'));
    symlinkSync(folder, join(cwd, 'folder'));
    for (const name of ['absolute', 'relative', 'chain', 'folder/visionzip']) {
      const { code, lines } = await start(join(cwd, name), [], root);
      expect([code, lines[0], lines[2]], name).toEqual([
        7,
        join(folder, 'lib', 'vulkan'),
        join(folder, 'app', 'dist', 'cli.js'),
      ]);
    }
  });

  it('bundle: the driver folder that the user names stays', async () => {
    const { lines } = await start(launcher, [], root, { VISIONZIP_DRIVER_FOLDER: '/my drivers' });
    expect(lines[0]).toBe('/my drivers');
  });

  it('bundle: the program is told by what name it was started', async () => {
    writeFileSync(join(folder, 'bin', 'node'), '#!/bin/sh\nprintf "%s\\n" "$VISIONZIP_COMMAND"\n');
    expect(await start('./visionzip', [], folder)).toEqual({ code: 0, lines: ['./visionzip'], stderr: '' });
  });

  it('bundle: another machine is refused in one line', async () => {
    const uname = join(root, 'elsewhere', 'uname');
    writeFileSync(uname, '#!/bin/sh\necho Linux aarch64\n');
    chmodSync(uname, 0o755);
    const { code, lines, stderr } = await start(launcher, ['demo'], root, { PATH: join(root, 'elsewhere') });
    expect([code, lines]).toEqual([2, []]);
    expect(stderr).toMatch(/^visionzip: expected Linux on x86_64.*got Linux aarch64\n$/);
  });
});
