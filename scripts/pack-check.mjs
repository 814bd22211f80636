// Packs what npm would publish and tries it as a stranger would: `npm run pack:check`. Needs the registry of npm.
//
// publint and attw look at the tarball. Then it is installed into an empty project, where the README's links have to lead to
// files, its library example has to compile as TypeScript and to give the answer of the goldens, and the command has to start.
// Nothing of this folder is reached from there, but for the compiler.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from './build.mjs';
import { optionsOf } from './options.mjs';
import { keep, listenForSignals, megabytes, removeOnSignal, run, say, seconds } from './setup/children.mjs';
import { npmCommand } from './setup/node-modules.mjs';

optionsOf('pack-check');
const ROOT = resolve(import.meta.dirname, '..');
const { name, version, bin, devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const [npm, ...npmArgs] = npmCommand();

/** Runs a program to its end; what goes wrong is told with the name of the step. */
async function step(label, command, args, cwd = ROOT) {
  try {
    return await run(command, args, { cwd });
  } catch (error) {
    throw new Error(`${label}: ${error.message}`);
  }
}

function node(label, path, args, cwd) {
  return step(label, process.execPath, [path, ...args], cwd);
}

/** The README's example, with the model where npm puts it, and what it has to print. */
function readExample() {
  const example = /```js\n([\s\S]*?)```/.exec(readFileSync(join(ROOT, 'README.md'), 'utf8'))?.[1] ?? '';
  const { cases } = JSON.parse(readFileSync(join(ROOT, 'golden', 'tiny-llava', 'cases.json'), 'utf8'));
  const asked = cases
    .filter(({ image }) => example.includes(image))
    .flatMap(({ questions }) => questions)
    .find(({ question }) => example.includes(`'${question}'`));
  const [dominant, contextual] = ['dominantCount', 'contextualCount'].map((count) =>
    Number(new RegExp(`${count}: (\\d+)`).exec(example)?.[1]),
  );
  const answer = asked?.answers[dominant + contextual]?.text;
  if (answer === undefined)
    throw new Error('README: expected an example about a golden picture, got another.');
  return { example: example.replaceAll("'golden/", `'node_modules/${name}/golden/`), answer };
}

/** The README of the package has no repository to lead to: what it links to is in the package. */
function followLinks(packed) {
  const readme = readFileSync(join(packed, 'README.md'), 'utf8');
  const links = [...readme.matchAll(/\]\(([^)#]+)/g)].map(([, link]) => link);
  const dead = links.filter((link) => !link.includes('://') && !existsSync(join(packed, link)));
  if (dead.length > 0) throw new Error(`README: expected links into the package, got ${dead.join(', ')}`);
  say(`The README's ${links.length} links lead somewhere.`);
}

/** Compiles the example in both ways of finding modules; the types of the package are checked with it. */
async function compile(example, project) {
  writeFileSync(join(project, 'example.ts'), example);
  for (const [moduleResolution, module] of [
    ['nodenext', 'nodenext'],
    ['bundler', 'esnext'],
  ]) {
    const compilerOptions = { strict: true, noEmit: true, types: ['node'], module, moduleResolution };
    const config = { compilerOptions, files: ['example.ts'] };
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(config));
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    await node(`tsc, ${moduleResolution}`, tsc, ['--project', 'tsconfig.json'], project);
    say(`The README's example compiles, moduleResolution ${moduleResolution}.`);
  }
}

async function packCheck(folder) {
  await build(ROOT);
  const pack = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder];
  const [{ filename }] = JSON.parse(await step('npm pack', npm, [...npmArgs, ...pack]));
  const tarball = join(folder, filename);
  say(`${filename}: ${megabytes(statSync(tarball).size)}`);

  await node('publint', 'node_modules/publint/src/cli.js', ['run', tarball, '--strict']);
  say('publint: nothing to say.');
  // esm-only: CommonJS has to import() the package, and resolution without `exports` is not served.
  const attw = 'node_modules/@arethetypeswrong/cli/dist/index.js';
  await node('attw', attw, [tarball, '--profile', 'esm-only']);
  say('attw: the types of every entry point are found.');

  const took = seconds();
  const project = join(folder, 'project');
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }\n');
  const nodeTypes = `@types/node@${devDependencies['@types/node']}`;
  const install = ['install', tarball, nodeTypes, '--prefix', project, '--no-audit', '--no-fund'];
  await step('npm install', npm, [...npmArgs, ...install], project);
  say(`Installed into an empty project in ${took()} s.`);

  followLinks(join(project, 'node_modules', name));
  const { example, answer } = readExample();
  await compile(example, project);
  writeFileSync(join(project, 'example.mjs'), example);
  const said = await node("the README's example", 'example.mjs', [], project);
  if (said !== answer) throw new Error(`the README's example: expected ${answer}, got ${said}`);
  say(`The README's example answers: ${said}`);

  const [[command, path]] = Object.entries(bin);
  const shown = await node(command, join('node_modules', name, path), ['--version'], project);
  if (!shown.includes(version)) throw new Error(`${command} --version: expected ${version}, got ${shown}`);
  say(`${command} --version: ${shown.trim()}`);
}

listenForSignals();
const folder = mkdtempSync(join(tmpdir(), 'visionzip-pack-'));
removeOnSignal(folder);
try {
  await packCheck(folder);
} catch (error) {
  say(`pack-check: ${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
  keep(folder);
}
