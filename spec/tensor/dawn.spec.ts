import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openDawn } from '../../src/tensor/dawn.ts';
import {
  type DoorName,
  explainLoadFailure,
  type Finding,
  type HostFacts,
  nextDoor,
} from '../../src/tensor/dawn-doors.ts';
import {
  cacheFolder,
  driverFolder,
  isWholeLibrary,
  loadDriverFolder,
  withDriver,
} from '../../src/tensor/dawn-files.ts';

const bareLinux: HostFacts = {
  hasNavigatorGpu: false,
  platform: 'linux',
  hasNvidiaDevice: false,
  hasPrivateFolder: false,
  driverIsForced: false,
  only: null,
};

/** Walks through the doors of a machine where `behind` says what is behind each, and notes the way. */
function walk(facts: Partial<HostFacts>, behind: Partial<Record<DoorName, Finding>>): string {
  const findings: Partial<Record<DoorName, Finding>> = {};
  const way: string[] = [];
  for (;;) {
    const step = nextDoor({ ...bareLinux, ...facts }, findings);
    if (step.kind === 'give-up') return [...way, 'nothing'].join(' > ');
    if (step.kind === 'take') return [...way, `take ${step.door}`].join(' > ');
    expect(findings[step.door], `${step.door} is opened twice`).toBeUndefined();
    findings[step.door] = behind[step.door] ?? 'none';
    way.push(step.door);
  }
}

describe('the order of the doors', () => {
  it('T-19.2 a browser has one door', () => {
    expect(walk({ hasNavigatorGpu: true, hasPrivateFolder: true }, { browser: 'hardware' })).toBe(
      'browser > take browser',
    );
    expect(walk({ hasNavigatorGpu: true }, { browser: 'software' })).toBe('browser > take browser');
    expect(walk({ hasNavigatorGpu: true, hasPrivateFolder: true, hasNvidiaDevice: true }, {})).toBe(
      'browser > nothing',
    );
  });

  it('T-19.2 the system comes first, and what it has is taken', () => {
    const all = { hasNvidiaDevice: true, hasPrivateFolder: true };
    expect(walk(all, { system: 'hardware', private: 'software' })).toBe('system > take system');
    expect(walk({ hasPrivateFolder: true }, { system: 'software', private: 'software' })).toBe(
      'system > take system',
    );
  });

  it('T-19.2 with an NVIDIA device its EGL library is tried before any software adapter', () => {
    const all = { hasNvidiaDevice: true, hasPrivateFolder: true };
    const egl: Finding = 'hardware';
    expect(walk(all, { system: 'software', 'nvidia-egl': egl })).toBe(
      'system > nvidia-egl > take nvidia-egl',
    );
    expect(walk(all, { 'nvidia-egl': egl, private: 'software' })).toBe(
      'system > nvidia-egl > take nvidia-egl',
    );
    expect(walk(all, { system: 'software', private: 'software' })).toBe('system > nvidia-egl > take system');
    expect(walk(all, { private: 'software' })).toBe('system > nvidia-egl > private > take private');
    expect(walk(all, {})).toBe('system > nvidia-egl > private > nothing');
  });

  it('T-19.2 the private driver is the last on Linux, and only where its folder is', () => {
    expect(walk({ hasPrivateFolder: true }, { private: 'software' })).toBe('system > private > take private');
    expect(walk({}, { private: 'software' })).toBe('system > nothing');
    expect(walk({ platform: 'darwin', hasPrivateFolder: true }, { private: 'software' })).toBe(
      'system > nothing',
    );
  });

  it('T-19.2 Windows has a software adapter of its own', () => {
    expect(walk({ platform: 'win32' }, { warp: 'software' })).toBe('system > warp > take warp');
    expect(walk({ platform: 'win32' }, { system: 'hardware', warp: 'software' })).toBe(
      'system > take system',
    );
    expect(walk({ platform: 'win32', hasNvidiaDevice: true }, {})).toBe('system > warp > nothing');
  });

  it('T-19.3 a driver that the user has set is the only one tried', () => {
    const all = { driverIsForced: true, hasNvidiaDevice: true, hasPrivateFolder: true };
    expect(walk(all, { private: 'software', 'nvidia-egl': 'hardware' })).toBe('system > nothing');
    expect(walk(all, { system: 'software', 'nvidia-egl': 'hardware' })).toBe('system > take system');
  });

  it('T-19.3 a door that was asked for is the only one tried', () => {
    const all = { hasNvidiaDevice: true, hasPrivateFolder: true };
    expect(walk({ ...all, only: 'private' }, { system: 'hardware', private: 'software' })).toBe(
      'private > take private',
    );
    expect(walk({ ...all, only: 'private' }, { system: 'hardware' })).toBe('private > nothing');
    expect(walk({ ...all, only: 'system' }, { system: 'software' })).toBe('system > take system');
    expect(walk({ only: 'nvidia-egl' }, { 'nvidia-egl': 'hardware' })).toBe('nvidia-egl > take nvidia-egl');
  });
});

describe('what may be asked for', () => {
  it('T-19.1 an unknown toggle is refused', async () => {
    await expect(openDawn({ toggles: ['make_it_fast'] })).rejects.toThrow(RangeError);
    await expect(openDawn({ toggles: ['make_it_fast'] })).rejects.toThrow(
      /expected toggles out of .*, got make_it_fast/,
    );
  });

  it('T-19.1 an unknown driver is refused', async () => {
    await expect(openDawn({ driver: 'browser' })).rejects.toThrow(RangeError);
  });

  it('T-19.8 a name that no adapter has is an error that says so', async () => {
    await expect(openDawn({ adapterName: 'abacus' })).rejects.toThrow(
      /expected an adapter with 'abacus' in its name, got none/,
    );
  });
});

describe('an adapter', () => {
  it('T-19.7 each call gives a new adapter of the same kept instance', async () => {
    const first = await openDawn();
    const second = await openDawn();
    expect(second.gpu).toBe(first.gpu);
    expect(second.adapter).not.toBe(first.adapter);
    expect(second.driver).toBe(first.driver);
    const devices = await Promise.all([first.adapter.requestDevice(), second.adapter.requestDevice()]);
    for (const device of devices) device.destroy();
  });

  it('T-19.6 a software adapter comes with a budget below the memory that is there, a GPU with none', async () => {
    const { adapter, memoryBudgetBytes } = await openDawn();
    if (!adapter.info.isFallbackAdapter) return expect(memoryBudgetBytes).toBeNull();
    expect(memoryBudgetBytes).toBeGreaterThan(0);
    expect(memoryBudgetBytes).toBeLessThanOrEqual(0.7 * process.availableMemory() + 2 ** 30);
  });
});

describe('the environment', () => {
  it('T-19.5 Mesa keeps its shaders in a folder of its own, or where the user says', async () => {
    await openDawn();
    expect(process.env.MESA_SHADER_CACHE_DIR).toBeTruthy();
    expect(process.env.XDG_RUNTIME_DIR).toBeTruthy();
  });

  it('T-19.9 the private driver folder is where VISIONZIP_DRIVER_FOLDER says, or in the cache folder', () => {
    const before = process.env.VISIONZIP_DRIVER_FOLDER;
    try {
      for (const [value, folder] of [
        ['/a b/vulkan', '/a b/vulkan'],
        ['drivers/vulkan', `${process.cwd()}/drivers/vulkan`],
        ['', `${cacheFolder()}/vulkan-1`],
      ] as const) {
        process.env.VISIONZIP_DRIVER_FOLDER = value;
        expect(driverFolder()).toBe(resolve(folder));
      }
    } finally {
      delete process.env.VISIONZIP_DRIVER_FOLDER;
      if (before !== undefined) process.env.VISIONZIP_DRIVER_FOLDER = before;
    }
  });

  it('T-19.8 a driver that is cut off is not loaded, which would end the process', () => {
    if (process.platform !== 'linux') return;
    expect(isWholeLibrary(process.execPath)).toBe(true); // ELF, as libraries are
    const folder = mkdtempSync(join(tmpdir(), 'visionzip-spec-'));
    const path = join(folder, 'libvk_driver.so');
    const begin = new Uint8Array(65_536);
    const file = openSync(process.execPath, 'r');
    readSync(file, begin, 0, begin.length, 0);
    closeSync(file);
    writeFileSync(join(folder, 'icd.json'), '{"ICD":{"library_path":"./libvk_driver.so"}}');
    for (const bytes of [begin, begin.subarray(0, 63), new Uint8Array(0), new Uint8Array(65_536).fill(32)]) {
      writeFileSync(path, bytes);
      expect(isWholeLibrary(path), `${bytes.length} bytes`).toBe(false);
      expect(loadDriverFolder(folder)).toBeNull();
    }
    rmSync(folder, { recursive: true });
  });

  it('T-19.5 a driver that gives no adapter leaves the environment as it was', async () => {
    const names = ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES'];
    const look = () => names.map((name) => process.env[name]);
    const before = look();
    const during = await withDriver('/nowhere/icd.json', async () => look());
    expect(during).toEqual(['/nowhere/icd.json', '/nowhere/icd.json']);
    expect(look()).toEqual(during); // it gave something, so it stays
    for (const [i, name] of names.entries()) {
      const value = before[i];
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    expect(await withDriver('/nowhere/icd.json', async () => null)).toBeNull();
    expect(look()).toEqual(before);
    await expect(withDriver('/nowhere/icd.json', () => Promise.reject(new Error('no')))).rejects.toThrow(
      'no',
    );
    expect(look()).toEqual(before);
    expect(await withDriver(null, async () => 'not asked')).toBeNull();
  });
});

describe('Dawn does not load', () => {
  const explain = (text: string) => explainLoadFailure(text, 'linux', 'x64');

  it('T-19.8 an old C or C++ library is named', () => {
    const old = "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by /x/dawn.node)";
    expect(explain(old)).toMatch(/glibc 2\.34 .*got a system without GLIBC_2\.34/);
    expect(explain(old.replace('GLIBC_2.34', 'GLIBCXX_3.4.30'))).toMatch(
      /got a system without GLIBCXX_3\.4\.30/,
    );
  });

  it('T-19.8 musl, another processor, a missing library and a missing package are told apart', () => {
    expect(explain('Error relocating /x/dawn.node: __vsnprintf_chk: symbol not found')).toMatch(/musl/);
    expect(explain('Error loading shared library ld-linux-x86-64.so.2: No such file or directory')).toMatch(
      /musl/,
    );
    expect(explain('/x/dawn.node: cannot open shared object file: Exec format error')).toMatch(
      /another processor/,
    );
    expect(explain('/x/dawn.node: wrong ELF class: ELFCLASS32')).toMatch(/another processor/);
    expect(explain('libgcc_s.so.1: cannot open shared object file: No such file')).toMatch(
      /needs libgcc_s\.so\.1/,
    );
    expect(explain("Cannot find module '/x/node_modules/webgpu/dist/linux-riscv64/dawn.node'")).toMatch(
      /got linux-x64/,
    );
    expect(explain("Cannot find package 'webgpu' imported from /x/dist/tensor.js")).toMatch(
      /--omit=optional/,
    );
  });

  it('T-19.8 anything else is passed on, its first line only', () => {
    expect(explain('the moon is full\nat night')).toBe(
      'openGpu: expected to load Dawn, got: the moon is full',
    );
  });
});
