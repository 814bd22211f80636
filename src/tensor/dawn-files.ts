// What Dawn needs around it in Node: the cache folder, the driver files, the facts of this machine.
// SPEC T-19.2, T-19.5, T-19.6.
//
// Node's modules are asked for through process.getBuiltinModule, so that a browser bundle neither
// holds nor names them.

import type { DoorName, HostFacts } from './dawn-doors.ts';

const DRIVER_FOLDER = 'vulkan-1';
const EGL_DRIVER =
  '{"file_format_version":"1.0.0","ICD":{"library_path":"libEGL_nvidia.so.0","api_version":"1.3.0"}}\n';
const EGL_DRIVER_NAME = 'nvidia-egl.json';
const RTLD_NODELETE = 0x1000; // Node closes what is not an addon; the driver has to stay

const files = () => process.getBuiltinModule('node:fs');
const paths = () => process.getBuiltinModule('node:path');
const system = () => process.getBuiltinModule('node:os');

/** `$XDG_CACHE_HOME/visionzip-webgpu`, or `~/.cache/visionzip-webgpu`. A relative path is ignored, as XDG asks. */
export function cacheFolder(): string {
  const { isAbsolute, join } = paths();
  const base = process.env.XDG_CACHE_HOME;
  const root = base !== undefined && isAbsolute(base) ? base : join(homeFolder(), '.cache');
  return join(root, 'visionzip-webgpu');
}

/** A user whom the system does not know has no home, and Node throws; in containers `/` stands for it. */
export function homeFolder(): string {
  try {
    return system().homedir();
  } catch {
    return '/';
  }
}

/** Where set-up puts the software Vulkan driver, or where VISIONZIP_DRIVER_FOLDER says that one is (T-19.9). */
export function driverFolder(): string {
  const named = process.env.VISIONZIP_DRIVER_FOLDER;
  if (named !== undefined && named !== '') return paths().resolve(named);
  return paths().join(cacheFolder(), DRIVER_FOLDER);
}

/** The facts that the choice of a door rests on. Reads a few file names and changes nothing. */
export function readHostFacts(only: DoorName | null, folder: string): HostFacts {
  const { existsSync } = files();
  const setByUser = (name: string) => process.env[name] !== undefined && !isOurs(process.env[name]);
  return {
    hasNavigatorGpu: false,
    platform: process.platform,
    hasNvidiaDevice: existsSync('/dev/nvidiactl') || existsSync('/dev/nvidia0'),
    hasPrivateFolder: driverLibrary(folder) !== null,
    driverIsForced: setByUser('VK_DRIVER_FILES') || setByUser('VK_ICD_FILENAMES'),
    only,
  };
}

/** False only on Linux where no Vulkan loader is to be found; Dawn would fail, and say so on stderr. */
export function hasVulkanLoader(): boolean {
  if (process.platform !== 'linux') return true;
  if (files().existsSync(paths().join(paths().dirname(process.execPath), 'libvulkan.so.1'))) return true;
  return loadLibrary('libvulkan.so.1', system().constants.dlopen.RTLD_LAZY);
}

/** True where a GPU may hide behind a software adapter: Dawn ranks virtual GPUs below the CPU. */
export function mayHaveOtherAdapters(): boolean {
  return process.platform !== 'linux' || files().existsSync('/dev/dri');
}

/** As mkdir -p. Node's own `recursive` never returns where the system refuses a folder with ENOENT, as /proc does. */
export function makeFolder(path: string): void {
  if (files().statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  const parent = paths().dirname(path);
  if (parent !== path) makeFolder(parent);
  try {
    files().mkdirSync(path);
  } catch (error) {
    // Another process may have made it meanwhile.
    if (!files().statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}

/** Mesa's shader cache, and the folder whose absence old Mesa complains of. Before Dawn's first instance. */
export function prepareEnvironment(): void {
  process.env.XDG_RUNTIME_DIR ??= system().tmpdir();
  if (process.env.MESA_SHADER_CACHE_DIR === undefined) {
    const folder = paths().join(cacheFolder(), 'shader-cache');
    try {
      makeFolder(folder);
      process.env.MESA_SHADER_CACHE_DIR = folder;
    } catch {
      // Without a folder that can be written Mesa works without a cache.
    }
  }
  for (const name of ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES']) {
    if (isOurs(process.env[name])) delete process.env[name]; // left there by a parent of this process
  }
}

/** Runs `body` with the Vulkan loader pointed at one driver; keeps it so only if `body` returns something. */
export async function withDriver<T>(driver: string | null, body: () => Promise<T | null>): Promise<T | null> {
  if (driver === null) return null;
  // Loaders before 1.3.207 know only the second name.
  const names = ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES'];
  const before = names.map((name) => process.env[name]);
  for (const name of names) process.env[name] = driver;
  let result: T | null = null;
  try {
    result = await body();
  } finally {
    if (result === null) for (const [i, name] of names.entries()) restore(name, before[i]);
  }
  return result;
}

function restore(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}

function isOurs(driver: string | undefined): boolean {
  if (driver === undefined) return false;
  const { dirname, sep } = paths();
  if (dirname(driver) === driverFolder()) return true;
  return driver.startsWith(cacheFolder() + sep) || /[/\\]visionzip-webgpu[/\\]/.test(driver);
}

/**
 * The path of the driver file that names NVIDIA's EGL library: one that came with the private driver, or one written into
 * the cache folder; null where it cannot be written.
 */
export function writeEglDriver(): string | null {
  const { readFileSync, renameSync, rmSync, writeFileSync } = files();
  const path = paths().join(cacheFolder(), EGL_DRIVER_NAME);
  for (const place of [paths().join(driverFolder(), EGL_DRIVER_NAME), path]) {
    try {
      if (readFileSync(place, 'utf8') === EGL_DRIVER) return place;
    } catch {
      // Not there yet.
    }
  }
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    makeFolder(cacheFolder());
    writeFileSync(temporary, EGL_DRIVER);
    renameSync(temporary, path);
    return path;
  } catch {
    rmSync(temporary, { force: true });
    return null;
  }
}

/**
 * Loads the libraries of a driver folder into this process, so that no search path need be set, and
 * returns the path of its driver file; null if the folder holds no driver, or a library that is cut off.
 */
export function loadDriverFolder(folder: string): string | null {
  const { RTLD_GLOBAL, RTLD_NOW } = system().constants.dlopen;
  const driver = driverLibrary(folder);
  if (driver === null) return null;
  const libraries = files()
    .readdirSync(folder)
    .filter((name) => /\.so(\.|$)/.test(name));
  // The system maps a library without a look at its length, and a process that touches what is not there dies (SIGBUS).
  if (!libraries.every((name) => isWholeLibrary(paths().join(folder, name)))) return null;
  let left = libraries.filter((name) => name !== driver);
  // The libraries need each other in an order that nobody wrote down: load what can be loaded, again and again.
  for (let before = -1; left.length > 0 && left.length !== before; ) {
    before = left.length;
    left = left.filter(
      (name) => !loadLibrary(paths().join(folder, name), RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE),
    );
  }
  return paths().join(folder, 'icd.json');
}

/** The name of the driver's library as icd.json gives it, or null where the folder is not complete. */
function driverLibrary(folder: string): string | null {
  try {
    const text = files().readFileSync(paths().join(folder, 'icd.json'), 'utf8');
    const name = /"library_path"\s*:\s*"\.\/([\w.-]+)"/.exec(text)?.[1];
    return name !== undefined && files().existsSync(paths().join(folder, name)) ? name : null;
  } catch {
    return null;
  }
}

/** Whether a file is ELF of 64 bits, little-endian, and reaches to the end of its section headers, which stand last. */
export function isWholeLibrary(path: string): boolean {
  const { closeSync, fstatSync, openSync, readSync } = files();
  const header = new DataView(new ArrayBuffer(64));
  const file = openSync(path, 'r');
  try {
    if (readSync(file, header, 0, 64, 0) < 64 || header.getUint32(0) !== 0x7f454c46) return false;
    if (header.getUint16(4) !== 0x0201) return false;
    const sections = header.getUint16(0x3c, true) * header.getUint16(0x3a, true); // count times bytes of each
    return BigInt(fstatSync(file).size) >= header.getBigUint64(0x28, true) + BigInt(sections);
  } finally {
    closeSync(file);
  }
}

function loadLibrary(path: string, flags: number): boolean {
  try {
    process.dlopen({ exports: {} }, path, flags);
    return true;
  } catch (error) {
    return /self-register/.test(String(error)); // loaded, and not a Node addon, as expected
  }
}

/** 70 % of what this process may use: a software adapter's memory is the machine's, and running out of it is fatal. */
export function softwareMemoryBudget(): number {
  const total = system().totalmem();
  const limit = process.constrainedMemory() ?? 0; // 0, or beyond the machine's memory: no limit
  const allowed = limit > 0 && limit < total ? limit : total;
  return Math.floor(0.7 * Math.min(allowed, process.availableMemory()));
}

let collector: (() => void) | undefined;

/** V8's own collector, which Node hands out under a flag only. */
export function garbageCollector(): () => void {
  if (collector === undefined) {
    const { setFlagsFromString } = process.getBuiltinModule('node:v8');
    setFlagsFromString('--expose-gc');
    collector = process.getBuiltinModule('node:vm').runInNewContext('gc') as () => void;
    setFlagsFromString('--no-expose-gc');
  }
  return collector;
}
