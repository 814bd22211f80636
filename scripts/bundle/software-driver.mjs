// SwiftShader and a Vulkan loader for the bundle, fetched once and kept beside it.
//
// Lavapipe is faster, but with LLVM it takes 41 MB even under xz. The npm package comes first: its libraries ask for glibc 2.17
// only, its bytes are pinned, and its loader looks where the drivers of all distributions are.

import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { swiftshaderFromApt } from '../setup/apt-driver.mjs';
import { endedBySignal, keep, removeOnSignal, say } from '../setup/children.mjs';
import { swiftshaderFromNpm } from '../setup/npm-driver.mjs';
import { LOADER, NVIDIA_EGL } from './layout.mjs';

/** The folder, in `cache`, that holds icd.json, libvk_swiftshader.so, libvulkan.so.1 and contents.txt. Throws if it cannot be had. */
export async function softwareDriver(cache) {
  const target = join(cache, 'swiftshader');
  if (existsSync(join(target, 'contents.txt'))) return target;
  const failures = [];
  for (const build of [swiftshaderFromNpm, swiftshaderFromApt]) {
    const work = join(cache, `swiftshader.tmp.${process.pid}`);
    const folder = join(work, 'folder');
    removeOnSignal(work);
    try {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'contents.txt'), `${await build(work, folder, thisHost())}\n`);
      rmSync(target, { recursive: true, force: true });
      renameSync(folder, target);
      return target;
    } catch (error) {
      if (endedBySignal()) throw error;
      say(`  This way failed. ${error.message}`);
      failures.push(error.message.split('\n', 1)[0]);
    } finally {
      rmSync(work, { recursive: true, force: true });
      keep(work);
    }
  }
  throw new Error(`bundle: expected SwiftShader from npm or apt, got neither (${failures.join(' ')})`);
}

/** Puts the driver into lib/vulkan and the loader beside Dawn; returns what the driver is. */
export function placeDriver(folder, stage) {
  for (const name of ['icd.json', 'libvk_swiftshader.so', 'contents.txt'])
    cpSync(join(folder, name), join(stage, 'lib', 'vulkan', name), { dereference: true });
  writeFileSync(join(stage, 'lib', 'vulkan', 'nvidia-egl.json'), NVIDIA_EGL);
  cpSync(join(folder, 'libvulkan.so.1'), join(stage, LOADER), { dereference: true });
  symlinkSync(join('..', LOADER), join(stage, 'bin', 'libvulkan.so.1')); // tells that there is one
  return readFileSync(join(folder, 'contents.txt'), 'utf8').trim();
}

function thisHost() {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const codename = /^VERSION_CODENAME="?(\w+)/m.exec(release)?.[1];
  return { arch: process.arch, codenames: codename === undefined ? [] : [codename] };
}
