// What machine this is, as far as it decides which driver helps. Node only.

import { existsSync, readFileSync } from 'node:fs';
import { arch, platform, release } from 'node:os';

export interface Host {
  readonly platform: string;
  readonly arch: string;
  readonly kernel: string;
  readonly name: string; //                 such as 'Debian GNU/Linux 12 (bookworm)'
  readonly ids: readonly string[]; //       the distribution's id, then those it is like
  readonly version: string; //              '12', '24.04', or empty
  readonly codenames: readonly string[]; // of the distribution, and of the one it is made from
  readonly libc: string | null; //          'glibc 2.36', 'musl', or null where it does not matter
  readonly node: string;
  readonly hasNvidiaDevice: boolean;
}

/** Reads the facts of the machine this process runs on. */
export function readHost(): Host {
  const release_ = parseOsRelease(readFirst(['/etc/os-release', '/usr/lib/os-release']));
  return {
    platform: platform(),
    arch: arch(),
    kernel: release(),
    ...release_,
    name: release_.name === '' ? `${platform()} ${release()}` : release_.name,
    libc: readLibc(),
    node: process.versions.node,
    hasNvidiaDevice: existsSync('/dev/nvidiactl') || existsSync('/dev/nvidia0'),
  };
}

/** The parts of os-release(5) that decide which packages there are. Unknown or missing fields are empty. */
export function parseOsRelease(text: string): Pick<Host, 'name' | 'ids' | 'version' | 'codenames'> {
  const fields = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^([A-Z0-9_]+)=(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|(.*))$/.exec(line.trim());
    const [, name, double, single, bare] = match ?? [];
    if (name !== undefined) fields.set(name, double?.replace(/\\(.)/g, '$1') ?? single ?? bare ?? '');
  }
  const words = (...names: string[]) =>
    names.flatMap((name) => fields.get(name)?.split(/\s+/) ?? []).filter(Boolean);
  return {
    name: fields.get('PRETTY_NAME') ?? fields.get('NAME') ?? '',
    ids: words('ID', 'ID_LIKE'),
    version: fields.get('VERSION_ID') ?? '',
    codenames: [...new Set(words('UBUNTU_CODENAME', 'DEBIAN_CODENAME', 'VERSION_CODENAME'))],
  };
}

function readLibc(): string | null {
  if (platform() !== 'linux') return null;
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  const version = report.header?.glibcVersionRuntime;
  return version === undefined ? 'musl' : `glibc ${version}`;
}

function readFirst(paths: readonly string[]): string {
  for (const path of paths) {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      // The next one.
    }
  }
  return '';
}
