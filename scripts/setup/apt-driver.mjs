// A Vulkan driver from the system's apt sources, without root: apt works in a folder of its own, the
// packages are unpacked there and nothing is installed.

import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { candidateVersion, downloadSize, isMesaNewEnough, privateSources } from './apt-sources.mjs';
import { megabytes, run, say } from './children.mjs';
import { folderSize } from './node-modules.mjs';

const PACKAGES = ['mesa-vulkan-drivers', 'libvulkan1'];
const ENGLISH = { LC_ALL: 'C', LANGUAGE: 'C' };

/** Puts lavapipe and every library it needs and the system has not into `folder`; says what it put there. */
export async function lavapipeFromApt(work, folder, host) {
  const apt = await prepareApt(work, host);
  const policy = await run('apt-cache', [...apt.options, ...apt.target, 'policy', PACKAGES[0]], {
    env: ENGLISH,
  });
  const version = candidateVersion(policy);
  if (version === null || !isMesaNewEnough(version)) {
    throw new Error(`The apt sources offer Mesa ${version ?? '(none)'}, and Dawn needs 23.2 or later.`);
  }
  const install = [
    ...apt.options,
    ...apt.target,
    'install',
    '-y',
    '-qq',
    '--reinstall',
    '--no-install-recommends',
  ];
  const { count, bytes } = downloadSize(
    await run('apt-get', [...install, '--print-uris', ...PACKAGES], { env: ENGLISH }),
  );
  const archives = join(work, 'cache', 'archives');
  say(`  Fetching Mesa ${version}: ${count} packages, ${megabytes(bytes)}.`);
  await run('apt-get', [...install, '--download-only', ...PACKAGES], {
    env: ENGLISH,
    whileRunning: progress(archives, bytes),
  });

  const debs = readdirSync(archives).filter((name) => name.endsWith('.deb'));
  say(`  Unpacking ${debs.length} packages.`);
  const root = join(work, 'root');
  await unpackAll(
    debs.map((name) => join(archives, name)),
    root,
  );
  await collectLibraries(root, folder);
  return `lavapipe of Mesa ${version}`;
}

/** Puts the SwiftShader that Chromium ships into `folder`; says what it put there. */
export async function swiftshaderFromApt(work, folder, host) {
  const apt = await prepareApt(work, host);
  const options = apt.options;
  const uris = await run('apt-get', [...options, 'download', '--print-uris', 'chromium-common'], {
    env: ENGLISH,
  });
  const { bytes } = downloadSize(uris);
  say(`  Fetching chromium-common: ${megabytes(bytes)}.`);
  await run('apt-get', [...options, '-qq', 'download', 'chromium-common'], {
    cwd: work,
    env: ENGLISH,
    whileRunning: progress(work, bytes),
  });
  const deb = readdirSync(work).find((name) => /^chromium-common_.*\.deb$/.test(name));
  if (deb === undefined) throw new Error('apt-get download fetched no chromium-common.');
  const root = join(work, 'chromium');
  await unpackAll([join(work, deb)], root);
  for (const name of ['libvk_swiftshader.so', 'libvulkan.so.1'])
    copyFileSync(findFile(root, name), join(folder, name));
  writeDriverFile(folder, 'libvk_swiftshader.so');
  return `SwiftShader of ${deb.split('_').slice(0, 2).join(' ').replaceAll('%3a', ':')}`;
}

/** The file by which the Vulkan loader finds the driver: a path that begins with ./ counts from this file. */
export function writeDriverFile(folder, library) {
  const icd = { file_format_version: '1.0.0', ICD: { library_path: `./${library}`, api_version: '1.3.0' } };
  writeFileSync(join(folder, 'icd.json'), JSON.stringify(icd));
}

/** The options that make apt work in `work`, with the system's proxies and keys, after one update. */
async function prepareApt(work, host) {
  for (const name of ['state/lists/partial', 'cache/archives/partial', 'sources']) {
    mkdirSync(join(work, name), { recursive: true });
  }
  const settings = [
    `Dir::State=${join(work, 'state')}`,
    'Dir::State::status=/var/lib/dpkg/status',
    `Dir::Cache=${join(work, 'cache')}`,
    'Debug::NoLocking=1',
    'APT::Sandbox::User=',
    'Acquire::Languages=none',
    'Acquire::Retries=2',
    'Acquire::http::Timeout=30',
    'Acquire::https::Timeout=30',
  ];
  const { files, preferredSuite } = privateSources(readSystemSources(), host.codenames);
  for (const { name, text } of files) writeFileSync(join(work, 'sources', name), text);
  if (files.length > 0) {
    settings.push('Dir::Etc::sourcelist=/dev/null', `Dir::Etc::sourceparts=${join(work, 'sources')}`);
  }
  const options = settings.flatMap((setting) => ['-o', setting]);
  if (!existsSync(join(work, 'updated'))) {
    say(`  Fetching the package lists${preferredSuite === null ? '' : `, ${preferredSuite} among them`}.`);
    await run('apt-get', [...options, '-qq', 'update'], { env: ENGLISH });
    writeFileSync(join(work, 'updated'), '');
  }
  if (!readdirSync(join(work, 'state', 'lists')).some((name) => /_Packages/.test(name))) {
    throw new Error(
      'The package lists could not be fetched: is there a network, and does the mirror answer?',
    );
  }
  return { options, target: preferredSuite === null ? [] : ['-t', preferredSuite] };
}

function readSystemSources() {
  const folder = '/etc/apt/sources.list.d';
  const names = existsSync(folder)
    ? readdirSync(folder).filter((name) => /\.(list|sources)$/.test(name))
    : [];
  return ['/etc/apt/sources.list', ...names.map((name) => join(folder, name))]
    .filter((path) => existsSync(path))
    .map((path) => ({ name: basename(path), text: readFileSync(path, 'utf8') }));
}

async function unpackAll(debs, root) {
  mkdirSync(root, { recursive: true });
  for (const deb of debs) await run('dpkg-deb', ['-x', deb, root]);
}

/** Copies the driver, the loader and what ldd finds for the driver in `root`. The rest is the system's. */
async function collectLibraries(root, folder) {
  const driver = findFile(root, 'libvulkan_lvp.so');
  const loader = findFile(root, 'libvulkan.so.1');
  const folders = [dirname(driver), dirname(driver).replace(`${root}/usr/lib`, `${root}/lib`)];
  const links = await run('ldd', [driver], { env: { ...ENGLISH, LD_LIBRARY_PATH: folders.join(':') } });
  const missing = [...links.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1]);
  if (missing.length > 0)
    throw new Error(`The driver needs ${missing.join(', ')}, which no package brought.`);
  const libraries = [...links.matchAll(/=> (\S+)/g)]
    .map((match) => match[1])
    .filter((path) => path.startsWith(root));
  for (const path of [driver, loader, ...libraries]) {
    cpSync(path, join(folder, basename(path)), { dereference: true });
  }
  writeDriverFile(folder, 'libvulkan_lvp.so');
}

function findFile(root, name) {
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (entry.name === name && !entry.isDirectory()) return join(entry.parentPath ?? entry.path, entry.name);
  }
  throw new Error(`The packages hold no ${name}.`);
}

/** Prints how much has been fetched, every five seconds. */
function progress(folder, bytes) {
  let calls = 0;
  return () => {
    if (++calls % 5 !== 0) return;
    const done = folderSize(folder);
    if (done < bytes) say(`    ${megabytes(done)} of ${megabytes(bytes)}`);
  };
}
