// Why there is no adapter, and the one line that helps on this system. SPEC T-19.8. Pure.

import type { Host } from './host.ts';

/** How a probe in a child process ended. */
export interface ProbeOutcome {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly timedOut: boolean;
  readonly hasAdapter: boolean;
  readonly error: string | null; // what the library said
  readonly stderr: string; //       what Dawn, the loader and the drivers said
}

/** 'unusable': Dawn itself does not load, or the user chose a driver that is none. 'broken': a driver crashes or errs. */
export type ProblemKind = 'unusable' | 'no-adapter' | 'broken';

export interface Problem {
  readonly kind: ProblemKind;
  readonly missing: string;
  readonly remedy: string;
  readonly withoutRoot: string | null; // a second way, where there is one
}

const CRASH_CODES: readonly (number | null)[] = [132, 134, 135, 136, 139];
const CRASH_SIGNALS: readonly (string | null)[] = ['SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGILL', 'SIGSEGV'];

/** Null if the probe found an adapter that works. */
export function diagnose(host: Host, probe: ProbeOutcome): Problem | null {
  if (probe.timedOut) return skipDriver('An answer of the GPU driver within a minute.');
  if (CRASH_CODES.includes(probe.exitCode) || CRASH_SIGNALS.includes(probe.signal)) {
    return skipDriver(
      `A GPU driver that does not crash: the probe ended with ${probe.signal ?? `code ${probe.exitCode}`}.`,
    );
  }
  if (probe.hasAdapter && probe.error === null) return null;
  if (probe.hasAdapter) return skipDriver(`A GPU driver that works: ${probe.error}.`);

  const error = probe.error ?? `the probe ended with ${probe.signal ?? `code ${probe.exitCode}`}`;
  const [reason, remedy] = error.split('; ', 2);
  if (/expected to load Dawn|; unset it|expected driver/.test(error) || probe.error === null) {
    const otherwise = /expected driver/.test(error) ? 'Unset VISIONZIP_DRIVER' : 'Install the package again';
    return {
      kind: 'unusable',
      missing: sentence(reason ?? error),
      remedy: sentence(remedy ?? otherwise),
      withoutRoot: null,
    };
  }
  return withoutDriver(host, probe.stderr);
}

function withoutDriver(host: Host, stderr: string): Problem {
  const kind = 'no-adapter';
  if (host.platform === 'darwin') {
    const missing = 'A Metal device; macOS has one on every machine and virtual machine since 2012.';
    return { kind, missing, remedy: 'Run this outside of a sandbox that hides the GPU.', withoutRoot: null };
  }
  if (host.platform === 'win32') {
    return {
      kind,
      missing: 'A Direct3D 12 adapter.',
      remedy: 'Update Windows or the graphics driver.',
      withoutRoot: null,
    };
  }
  const withoutRoot = '`npm run setup` in the clone builds a private software driver in the cache folder.';
  if (host.hasNvidiaDevice) {
    const why = /libX11\.so\.6: cannot open/.test(stderr)
      ? ' (its GLX library needs libX11, its EGL library was not found)'
      : '';
    return {
      kind,
      missing: `The Vulkan part of the NVIDIA driver${why}.`,
      remedy:
        'In a container set NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics; elsewhere install the graphics libraries ' +
        "of the driver's own version, and the Vulkan loader (libvulkan1).",
      withoutRoot,
    };
  }
  return { kind, missing: missingPart(stderr), remedy: installLine(host), withoutRoot };
}

function missingPart(stderr: string): string {
  if (/shaderUniform\S*ArrayDynamicIndexing required|At least Vulkan/.test(stderr)) {
    return 'A Vulkan driver that is new enough: Dawn needs Mesa 23.2 or later and the installed one is older.';
  }
  if (/Found no drivers|VK_ERROR_INCOMPATIBLE_DRIVER/.test(stderr)) {
    return 'A Vulkan driver: the loader (libvulkan.so.1) is there, but it finds none that works.';
  }
  return 'A Vulkan loader (libvulkan.so.1) and a driver.';
}

/** The command that installs a software Vulkan driver on this distribution, as a sentence. */
export function installLine(host: Pick<Host, 'ids' | 'version' | 'codenames' | 'libc'>): string {
  const is = (...ids: string[]) => ids.some((id) => host.ids.includes(id));
  if (host.libc === 'musl' || is('alpine')) {
    return 'Use an image with glibc, such as node:22-bookworm-slim: Dawn is not built for musl.';
  }
  if (host.codenames.includes('bookworm')) {
    return (
      'As root, with bookworm-backports among the apt sources: ' +
      'apt-get install -t bookworm-backports mesa-vulkan-drivers libvulkan1'
    );
  }
  if (is('debian', 'ubuntu')) return 'As root: apt-get install mesa-vulkan-drivers libvulkan1';
  if (is('fedora', 'rhel', 'centos')) return 'As root: dnf install mesa-vulkan-drivers vulkan-loader';
  if (is('arch')) return 'As root: pacman -S vulkan-swrast vulkan-icd-loader';
  if (is('suse', 'opensuse')) return 'As root: zypper install libvulkan_lvp libvulkan1';
  return 'Install the Vulkan loader and the lavapipe driver of Mesa 23.2 or later.';
}

function skipDriver(missing: string): Problem {
  return {
    kind: 'broken',
    missing,
    remedy: 'Update the GPU driver, or go past it with VISIONZIP_DRIVER=private in the environment.',
    withoutRoot: '`npm run setup -- --driver lavapipe-apt` in the clone builds that private driver.',
  };
}

function sentence(text: string): string {
  const trimmed = text
    .trim()
    .replace(/^openGpu: (expected to load )?/, '')
    .replace(/\.$/, '');
  return `${trimmed.charAt(0).toUpperCase()}${trimmed.slice(1)}.`;
}
