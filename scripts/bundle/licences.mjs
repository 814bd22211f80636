// The licences of what the bundle carries and is not ours.

import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Writes LICENSES/: a table, and the text of each where there is one on this machine. Returns the names of those without. */
export function writeLicences(root, stage, packages, driver) {
  const folder = join(stage, 'LICENSES');
  mkdirSync(folder, { recursive: true });
  const rows = packages.map((path) => packageRow(join(root, path)));
  rows.push({
    name: 'Node.js',
    version: process.versions.node,
    license: 'MIT and others',
    text: nodeLicence(),
  });
  const own = join(root, 'LICENSE'); // Apache-2.0, as theirs
  rows.push({ name: 'SwiftShader', version: driver, license: 'Apache-2.0', text: own });
  rows.push({ name: 'Vulkan-Loader', version: driver, license: 'Apache-2.0', text: own });
  const lines = rows.map(({ name, version, license, text }) => {
    const file = text === null ? '' : `${name.replaceAll(/[^\w.-]+/g, '-').replace(/^-/, '')}.txt`;
    if (text !== null) copyFileSync(text, join(folder, file));
    return `| ${name} | ${version} | ${license} | ${file} |`;
  });
  writeFileSync(join(folder, 'README.md'), ['| | | | |', '|---|---|---|---|', ...lines, ''].join('\n'));
  return rows.filter(({ text }) => text === null).map(({ name }) => name);
}

function packageRow(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e(\.|$)/i.test(entry));
  return { name, version, license, text: file === undefined ? null : join(folder, file) };
}

function nodeLicence() {
  const prefix = dirname(dirname(process.execPath));
  const places = [join(prefix, 'LICENSE'), join(prefix, 'share', 'doc', 'nodejs', 'LICENSE')];
  return places.find((path) => existsSync(path)) ?? null;
}
