// Makes this clone ready to run: `node scripts/setup.mjs [--driver KIND] [--help]`.
//
// Packages, build, and something for WebGPU to run on. Each step is done only where it is needed;
// nothing outside of the clone and of the cache folder is touched, and no root is needed.

const HELP = `Usage: node scripts/setup.mjs [--driver KIND] [--help]

Installs the packages, builds dist and looks for a WebGPU adapter. Where there is none, a software
Vulkan driver is put into the cache folder (up to about 180 MB, no root). What is already there is kept.

  --driver KIND   build the private driver in this way even if there is an adapter:
                    lavapipe-apt      Mesa's lavapipe from the system's apt sources
                    swiftshader-apt   SwiftShader from the package chromium-common
                    swiftshader-npm   SwiftShader from the npm package @sparticuz/chromium
  --help          print this

The cache folder is $XDG_CACHE_HOME/visionzip-webgpu, or ~/.cache/visionzip-webgpu.
Exit code: 0 with a working adapter, 2 without one, for another argument or on an older Node than 20.19, 1 if a step failed.`;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Node 20.19 or later is needed, and this is Node ${process.versions.node}.`);
  process.exit(2);
}

const args = process.argv.slice(2);
if (args.includes('--help')) {
  console.log(HELP);
} else {
  const { setUp } = await import('./setup/set-up.mjs');
  process.exitCode = await setUp(args);
}
