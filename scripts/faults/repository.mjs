// A package repository on 127.0.0.1 with what set-up has fetched before: the private driver, packed again as the two packages that
// set-up asks for. The system's apt reads it in a mount namespace, where another folder lies over /etc/apt.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { basename, join } from 'node:path';
import { expectThat, oneLine, ROOT, run } from './checks.mjs';

const VERSION = '99.0-1';

/** Why set-up cannot be tried here, or null. */
export function whyNoRepository(driverFolder) {
  if (process.platform !== 'linux') return 'needs Linux';
  if (driverFolder === null || !readdirSync(driverFolder).includes('libvulkan_lvp.so')) {
    return 'set-up has built no lavapipe here, which would be installed again (npm run setup -- --driver lavapipe-apt)';
  }
  for (const program of ['apt-get', 'dpkg-deb', 'unshare']) {
    if (spawnSync(program, ['--version']).error !== undefined) return `there is no ${program}`;
  }
  const { status } = spawnSync('unshare', ['-m', 'true']);
  return status === 0 ? null : 'needs root, for a mount namespace';
}

/** Opens it in `folder`. `hold(pattern)` sends only half of the next answer whose path matches, and tells when it has. */
export async function openRepository(folder, driverFolder) {
  const files = packages(folder, driverFolder);
  const held = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url);
    const bytes = answer(path, files);
    if (bytes === null) return response.writeHead(404).end();
    const i = held.findIndex(({ pattern }) => pattern.test(path));
    response.writeHead(200, { 'Content-Length': bytes.length });
    if (i < 0) return response.end(bytes);
    const [{ reached }] = held.splice(i, 1);
    response.write(bytes.subarray(0, bytes.length >> 1), reached);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));

  const apt = join(folder, 'etc-apt');
  mkdirSync(join(apt, 'apt.conf.d'), { recursive: true });
  const codename = /^VERSION_CODENAME=(.*)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'stable';
  const address = `http://127.0.0.1:${server.address().port}`;
  writeFileSync(join(apt, 'sources.list'), `deb [trusted=yes] ${address}/ ${codename} main\n`);
  return {
    hold: (pattern) => new Promise((reached) => held.push({ pattern, reached })),
    /** Breaks what is being sent: programs that a killed set-up has left behind end by that. */
    letGo: () => server.closeAllConnections(),
    /** Set-up as on a system whose only adapter is the private one, with its cache in `cache`. */
    setUp: (cache, { root = ROOT, onStart, driver } = {}) =>
      run(
        'unshare',
        [
          ...['-m', 'sh', '-c', 'mount --bind "$0" /etc/apt && exec "$@"', apt],
          ...[process.execPath, join(root, 'scripts', 'setup.mjs')],
          ...(driver === undefined ? [] : ['--driver', driver]),
        ],
        { env: { XDG_CACHE_HOME: cache, VISIONZIP_DRIVER: 'private' }, cwd: root, onStart },
      ),
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** The driver and its libraries in one package, the loader in the other. */
function packages(folder, driverFolder) {
  const { stdout } = spawnSync('dpkg', ['--print-architecture'], { encoding: 'utf8' });
  const architecture = stdout.trim();
  const libraries = readdirSync(driverFolder).filter((name) => /\.so(\.|$)/.test(name));
  const isLoader = (name) => name.startsWith('libvulkan.so');
  const contents = {
    'mesa-vulkan-drivers': libraries.filter((name) => !isLoader(name)),
    libvulkan1: libraries.filter(isLoader),
  };
  const stanzas = [];
  const files = new Map();
  for (const [name, list] of Object.entries(contents)) {
    const control = `Package: ${name}\nVersion: ${VERSION}\nArchitecture: ${architecture}\nMaintainer: nobody\nDescription: ${name}\n`;
    const root = join(folder, name);
    mkdirSync(join(root, 'DEBIAN'), { recursive: true });
    mkdirSync(join(root, 'usr', 'lib', 'vulkan-faults'), { recursive: true });
    writeFileSync(join(root, 'DEBIAN', 'control'), control);
    for (const file of list)
      copyFileSync(join(driverFolder, file), join(root, 'usr', 'lib', 'vulkan-faults', file));
    const deb = join(folder, `${name}_${VERSION}_${architecture}.deb`);
    const built = spawnSync('dpkg-deb', ['-Zgzip', '-z1', '--root-owner-group', '-b', root, deb]);
    expectThat(built.status === 0, `dpkg-deb: ${oneLine(String(built.stderr))}`);
    const bytes = readFileSync(deb);
    files.set(`/pool/${basename(deb)}`, bytes);
    stanzas.push(
      `${control}Filename: pool/${basename(deb)}\nSize: ${bytes.length}\nSHA256: ${sha256(bytes)}\n`,
    );
  }
  return { architecture, files, list: Buffer.from(stanzas.join('\n')) };
}

/** The same suite under every name: Debian 12 asks for its backports as well. */
function answer(path, { architecture, files, list }) {
  const packagesPath = `main/binary-${architecture}/Packages`;
  const suite = /^\/+dists\/([^/]+)\/Release$/.exec(path)?.[1];
  if (suite !== undefined) {
    const lines = [
      `Suite: ${suite}`,
      `Codename: ${suite}`,
      `Date: ${new Date().toUTCString()}`,
      `Architectures: ${architecture}`,
      'Components: main',
      'SHA256:',
      ` ${sha256(list)} ${list.length} ${packagesPath}`,
    ];
    return Buffer.from(`${lines.join('\n')}\n`);
  }
  if (path.endsWith(packagesPath)) return list;
  return files.get(path.replace(/^\/+/, '/')) ?? null;
}

function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}
