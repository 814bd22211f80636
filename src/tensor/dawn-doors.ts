// Which way to a GPU is tried after which. SPEC T-19.2, T-19.3. Pure: no file, no process, no Dawn.
//
//     browser      navigator.gpu, and nothing else
//     system       Dawn with the Vulkan, Metal or D3D12 drivers of this machine, as they are
//     nvidia-egl   NVIDIA's driver through its EGL library, which needs no X libraries
//     private      the software Vulkan driver in our own cache folder
//     warp         Direct3D's software adapter

export type DoorName = 'browser' | 'system' | 'nvidia-egl' | 'private' | 'warp';

/** What stood behind a door. An adapter that was asked for by name counts as hardware. */
export type Finding = 'none' | 'software' | 'hardware';

export interface HostFacts {
  readonly hasNavigatorGpu: boolean;
  readonly platform: string; //          as process.platform says it
  readonly hasNvidiaDevice: boolean; //  /dev/nvidiactl or /dev/nvidia0
  readonly hasPrivateFolder: boolean; // a driver folder that names its library
  readonly driverIsForced: boolean; //   the user has set VK_DRIVER_FILES or VK_ICD_FILENAMES
  readonly only: DoorName | null; //     the user wants this door and no other
}

export type Findings = Readonly<Partial<Record<DoorName, Finding>>>;

export type DoorStep =
  | { readonly kind: 'open'; readonly door: DoorName }
  | { readonly kind: 'take'; readonly door: DoorName }
  | { readonly kind: 'give-up' };

/**
 * The next step, given what the doors opened so far have shown. A GPU is always taken before a
 * software adapter, and the machine's own software adapter before ours.
 */
export function nextDoor(facts: HostFacts, findings: Findings): DoorStep {
  for (const door of doorsFor(facts)) {
    const finding = findings[door];
    if (finding === undefined) return { kind: 'open', door };
    if (finding === 'hardware') return { kind: 'take', door };
    if (finding === 'software' && !(door === 'system' && eglMayHelp(facts))) return { kind: 'take', door };
    if (door === 'nvidia-egl' && findings.system === 'software') return { kind: 'take', door: 'system' };
  }
  return { kind: 'give-up' };
}

function doorsFor(facts: HostFacts): readonly DoorName[] {
  if (facts.hasNavigatorGpu) return ['browser'];
  if (facts.only !== null) return [facts.only];
  const doors: DoorName[] = ['system'];
  if (eglMayHelp(facts)) doors.push('nvidia-egl');
  if (facts.platform === 'linux' && !facts.driverIsForced && facts.hasPrivateFolder) doors.push('private');
  if (facts.platform === 'win32') doors.push('warp');
  return doors;
}

function eglMayHelp(facts: HostFacts): boolean {
  return facts.only === null && facts.platform === 'linux' && !facts.driverIsForced && facts.hasNvidiaDevice;
}

/** What the dynamic linker said about dawn.node, as one sentence that a user can act on. */
export function explainLoadFailure(text: string, platform: string, arch: string): string {
  const who = 'openGpu: expected to load Dawn';
  const library = /version [`']?(GLIBC(?:XX)?_[\d.]+)'? not found/.exec(text)?.[1];
  if (library !== undefined) {
    return `${who}, which needs glibc 2.34 and GCC 12's libstdc++ (Debian 12, Ubuntu 22.04, Fedora 36 or later), got a system without ${library}; use a newer system or container image`;
  }
  if (
    /ld-musl|libc\.musl|__[a-z_]+_chk: symbol not found|ld-linux[^:]*: (No such file|cannot open)/.test(text)
  ) {
    return `${who}, which is built for glibc, got a system with musl (Alpine); use a glibc image such as node:22-bookworm-slim`;
  }
  const missing = /(lib[\w.+-]+\.so[\w.]*): cannot open shared object file/.exec(text)?.[1];
  if (missing !== undefined) {
    return `${who}, which needs ${missing}, got a system without it; install the package that holds ${missing}`;
  }
  if (/exec format|wrong ELF class|not a valid Win32|incompatible architecture/i.test(text)) {
    return `${who} built for ${platform}-${arch}, got a file for another processor; remove node_modules and install again on this machine`;
  }
  if (/cannot find module .*dawn\.node/i.test(text)) {
    return `${who}, which is built for linux, darwin and win32 on x64 and arm64, got ${platform}-${arch} or an incomplete node_modules/webgpu; remove node_modules and install again`;
  }
  if (/cannot find (package|module) '?webgpu|failed to (load url|resolve).* webgpu/i.test(text)) {
    return `${who} from the optional package webgpu 0.6.2, got no such package; install without --omit=optional`;
  }
  return `${who}, got: ${text.split('\n', 1)[0]}`;
}
