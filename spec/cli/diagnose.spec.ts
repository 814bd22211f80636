import { describe, expect, it } from 'vitest';
import { diagnose, installLine, type ProbeOutcome } from '../../src/cli/diagnose.ts';
import { type Host, parseOsRelease } from '../../src/cli/host.ts';

const debian12: Host = {
  platform: 'linux',
  arch: 'x64',
  kernel: '6.1.0',
  name: 'Debian GNU/Linux 12 (bookworm)',
  ids: ['debian'],
  version: '12',
  codenames: ['bookworm'],
  libc: 'glibc 2.36',
  node: '20.20.2',
  hasNvidiaDevice: false,
};

const noAdapter: ProbeOutcome = {
  exitCode: 2,
  signal: null,
  timedOut: false,
  hasAdapter: false,
  error: 'openGpu: expected a WebGPU adapter, got none (tried: system); run set-up',
  stderr: '',
};

describe('the system', () => {
  it('T-19.8 os-release is read with and without quotes', () => {
    const ubuntu = parseOsRelease(
      'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nNAME="Ubuntu"\nVERSION_ID="24.04"\n# a note\nID=ubuntu\nID_LIKE=debian\n' +
        "VERSION_CODENAME=noble\nUBUNTU_CODENAME='noble'\n",
    );
    expect(ubuntu).toEqual({
      name: 'Ubuntu 24.04.1 LTS',
      ids: ['ubuntu', 'debian'],
      version: '24.04',
      codenames: ['noble'],
    });
  });

  it('T-19.8 a derivative has the codename of what it is made from, too', () => {
    const mint = parseOsRelease(
      'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=virginia\nUBUNTU_CODENAME=jammy\n',
    );
    expect(mint.codenames).toEqual(['jammy', 'virginia']);
    expect(mint.ids).toEqual(['linuxmint', 'ubuntu', 'debian']);
  });

  it('T-19.8 an empty file gives empty fields', () => {
    expect(parseOsRelease('')).toEqual({ name: '', ids: [], version: '', codenames: [] });
  });
});

describe('the line that helps', () => {
  it.each([
    ['Debian 12', debian12, /-t bookworm-backports mesa-vulkan-drivers libvulkan1/],
    [
      'Debian 13',
      { ...debian12, version: '13', codenames: ['trixie'] },
      /apt-get install mesa-vulkan-drivers libvulkan1$/,
    ],
    [
      'Ubuntu',
      { ...debian12, ids: ['ubuntu', 'debian'], codenames: ['noble'] },
      /apt-get install mesa-vulkan-drivers/,
    ],
    [
      'Fedora',
      { ...debian12, ids: ['fedora'], codenames: [] },
      /dnf install mesa-vulkan-drivers vulkan-loader/,
    ],
    ['Rocky', { ...debian12, ids: ['rocky', 'rhel', 'centos', 'fedora'], codenames: [] }, /dnf install/],
    ['Arch', { ...debian12, ids: ['arch'], codenames: [] }, /pacman -S vulkan-swrast/],
    [
      'openSUSE',
      { ...debian12, ids: ['opensuse-leap', 'suse', 'opensuse'], codenames: [] },
      /zypper install/,
    ],
    ['Alpine', { ...debian12, ids: ['alpine'], codenames: [], libc: 'musl' }, /image with glibc/],
    ['another', { ...debian12, ids: ['plan9'], codenames: [] }, /Mesa 23\.2 or later/],
  ])('T-19.8 %s gets its own', (_name, host, expected) => {
    expect(installLine(host)).toMatch(expected);
  });
});

describe('what is missing', () => {
  it('doctor: an adapter that works is no problem', () => {
    expect(diagnose(debian12, { ...noAdapter, exitCode: 0, hasAdapter: true, error: null })).toBeNull();
  });

  it.each([
    ["Warning: Couldn't load Vulkan: libvulkan.so.1: cannot open shared object file", /^A Vulkan loader/],
    ['', /^A Vulkan loader/],
    ['Warning: vkCreateInstance: Found no drivers!', /^A Vulkan driver: the loader/],
    ['vkCreateInstance failed with VK_ERROR_INCOMPATIBLE_DRIVER', /^A Vulkan driver: the loader/],
    ['Warning: Vulkan shaderUniform*ArrayDynamicIndexing required.', /Mesa 23\.2 or later/],
    ['Warning: At least Vulkan 1.1 is required', /new enough/],
  ])('doctor: stderr %j is understood', (stderr, expected) => {
    const problem = diagnose(debian12, { ...noAdapter, stderr });
    expect(problem?.kind).toBe('no-adapter');
    expect(problem?.missing).toMatch(expected);
    expect(problem?.withoutRoot).toMatch(/npm run setup/);
  });

  it('doctor: an NVIDIA device without its Vulkan part is told from no device', () => {
    const host = { ...debian12, hasNvidiaDevice: true };
    const problem = diagnose(host, { ...noAdapter, stderr: 'libX11.so.6: cannot open shared object file' });
    expect(problem?.missing).toMatch(/NVIDIA.*libX11/);
    expect(problem?.remedy).toMatch(/NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics/);
  });

  it.each([
    [{ exitCode: null, signal: 'SIGSEGV' }, /SIGSEGV/],
    [{ exitCode: 134, signal: null }, /code 134/],
    [{ exitCode: 139, signal: null }, /code 139/],
    [{ exitCode: null, signal: 'SIGKILL', timedOut: true }, /within a minute/],
    [{ hasAdapter: true, error: 'expected 6 at position 3 of a test kernel, got 0' }, /got 0/],
  ])('doctor: a driver that is broken is told from none: %j', (outcome, expected) => {
    const problem = diagnose(debian12, { ...noAdapter, error: null, ...outcome });
    expect(problem?.kind).toBe('broken');
    expect(problem?.missing).toMatch(expected);
    expect(problem?.remedy).toMatch(/VISIONZIP_DRIVER=private/);
  });

  it('doctor: no driver helps where Dawn does not load', () => {
    const error =
      'openGpu: expected to load Dawn, which needs glibc 2.34, got a system without it; use a newer system';
    expect(diagnose(debian12, { ...noAdapter, error })).toEqual({
      kind: 'unusable',
      missing: 'Dawn, which needs glibc 2.34, got a system without it.',
      remedy: 'Use a newer system.',
      withoutRoot: null,
    });
  });

  it.each([
    [
      "openGpu: expected a WebGPU adapter from 'warp', got none; unset it to try the others",
      'Unset it to try the others.',
    ],
    ['openGpu: expected driver system, private, got wrp', 'Unset VISIONZIP_DRIVER.'],
  ])('doctor: a driver that the user chose is not for set-up to mend: %s', (error, remedy) => {
    expect(diagnose(debian12, { ...noAdapter, error })).toMatchObject({
      kind: 'unusable',
      remedy,
      withoutRoot: null,
    });
  });

  it.each(['darwin', 'win32'])('doctor: set-up builds nothing on %s', (platform) => {
    expect(diagnose({ ...debian12, platform }, noAdapter)?.withoutRoot).toBeNull();
  });
});
