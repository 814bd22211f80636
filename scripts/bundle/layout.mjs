// What the bundle holds, and how large it may be. Pure.
//
//     visionzip             the launcher
//     bin/                  node, and a link to the Vulkan loader
//     lib/vulkan/           the software driver, a driver folder as set-up builds it
//     app/                  a package: dist, the model, the wasm of JPEG, Dawn and the Vulkan loader beside it
//     LICENSES/             of everything that is not ours

export const MOST_BYTES = 60e6;

/** Null where a bundle can be made; otherwise the one line that says why not. */
export function refusal(platform, arch) {
  if (platform === 'linux' && arch === 'x64') return null;
  return `bundle: expected linux-x64, the only system that there is a bundle for, got ${platform}-${arch}.`;
}

/** The name of the folder, and of the archive without its ending. */
export function bundleName({ name, version }) {
  return `${name}-${version}-linux-x64`;
}

/** The files that are copied as they are: [where in the bundle, where in the clone]. Folders are copied whole. */
export const COPIED = [
  ['visionzip', 'scripts/bundle/visionzip.sh'],
  ['README.md', 'scripts/bundle/README.md'],
  ['LICENSE', 'LICENSE'],
  ['NOTICE', 'NOTICE'],
  ['app/golden/tiny-llava', 'golden/tiny-llava'],
  ['app/node_modules/webgpu/package.json', 'node_modules/webgpu/package.json'],
  ['app/node_modules/webgpu/index.js', 'node_modules/webgpu/index.js'],
  ['app/node_modules/@jsquash/jpeg/package.json', 'node_modules/@jsquash/jpeg/package.json'],
  [
    'app/node_modules/@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm',
    'node_modules/@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm',
  ],
];

/** What is stripped of its symbols, where there is `strip`. */
export const DAWN = 'node_modules/webgpu/dist/linux-x64/dawn.node';

/** Dawn looks for it beside itself first, by a way that does without /proc, and then beside node. */
export const LOADER = 'app/node_modules/webgpu/dist/linux-x64/libvulkan.so.1';

/** What src/tensor/dawn-files.ts would write into the cache folder, which a bare host may not have. */
export const NVIDIA_EGL =
  '{"file_format_version":"1.0.0","ICD":{"library_path":"libEGL_nvidia.so.0","api_version":"1.3.0"}}\n';

/** The programs: what is run by itself, or by another of them, from the folder app/dist. */
export const PROGRAMS = {
  cli: 'src/cli/main.ts',
  probe: 'src/cli/probe.ts',
  'chat-template-worker': 'src/cli/chat-template-worker.ts',
};

/** What has to be there before the bundle is packed; a file that is missing would be missed on a bare host only. */
export const NEEDED = [
  ...COPIED.map(([target]) => target),
  'bin/node',
  LOADER,
  'bin/libvulkan.so.1',
  'lib/vulkan/icd.json',
  'lib/vulkan/nvidia-egl.json',
  'lib/vulkan/libvk_swiftshader.so',
  'lib/vulkan/contents.txt',
  'app/package.json',
  ...Object.keys(PROGRAMS).map((name) => `app/dist/${name}.js`),
  `app/${DAWN}`,
  'LICENSES/README.md',
];

/** Throws an Error that says what is missing. */
export function checkFiles(exists) {
  const missing = NEEDED.filter((path) => !exists(path));
  if (missing.length > 0) throw new Error(`bundle: expected ${missing.join(', ')} in it, got nothing there.`);
}

/** Throws an Error for an archive that is too large; `parts` are [name, bytes], the largest are named. */
export function checkSize(bytes, parts) {
  if (bytes <= MOST_BYTES) return;
  const megabytes = (size) => `${(size / 1e6).toFixed(1)} MB`;
  const largest = [...parts].sort((a, b) => b[1] - a[1]).slice(0, 3);
  const named = largest.map(([name, size]) => `${name} ${megabytes(size)}`).join(', ');
  throw new Error(
    `bundle: expected an archive of at most ${megabytes(MOST_BYTES)}, got ${megabytes(bytes)}; unpacked, the largest are ${named}.`,
  );
}
