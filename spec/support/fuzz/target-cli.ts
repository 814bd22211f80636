// The commands of dist/cli.js, each in a process and a folder of its own, with hostile arguments and files. SPEC T-1.3.

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { crc32 } from 'node:zlib';
import { FileError } from '../../../src/tensor/index.ts';
import { goldenBytes } from '../../models/preprocess/picture-files.ts';
import { brokenPngRule } from '../../oracle/png-rules.ts';
import { brokenZipTensorsRule } from '../../oracle/zip-tensors-rules.ts';
import { shardedFiles, smallLlava } from '../checkpoint-forms.ts';
import type { Draw } from './draw.ts';
import { type Folder, SLOWEST_MS, type Target } from './judge.ts';
import { mutateBytes } from './mutate-bytes.ts';
import { type Command, commandNames, drawnArgs, drawnInput, mutateArgs } from './mutate-command.ts';
import { mutateJson, treeOf } from './mutate-json.ts';
import { mutatePng } from './mutate-pictures.ts';
import { mutateSafetensors, safetensorsParts } from './mutate-safetensors.ts';
import { inflate } from './target-pictures.ts';
import { LARGEST_BYTES } from './thread.ts';
import * as valid from './valid-files.ts';

const COMMAND = 'command.json';
const PICTURE = 'a.png';
const TENSORS = 't.safetensors';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

const picture = goldenBytes('interlaced-3x3.png');
const tensorParts = valid.zipInputs.map(safetensorsParts);
const chatTemplates = [
  '{{ messages[0].content }}',
  '{% for i in range(100000000) %}a{% endfor %}',
  '{% for i in range(3000) %}{% for j in range(3000) %}{{ j }}{% endfor %}{% endfor %}',
  '{{ messages[0].constructor.constructor("return process")() }}',
  '{{ "a" * 1000000000 }}',
  '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}',
  '{% include "/etc/passwd" %}',
  '{{',
  '{{ "((((((((((((((((((((" }}',
];

/** A small checkpoint in the folder m, its weights in three shards. */
const model: Folder = Object.fromEntries(
  Object.entries(shardedFiles(smallLlava('fuzz'))).map(([name, content]) => [
    `m/${name}`,
    content instanceof Uint8Array
      ? content
      : encode(typeof content === 'string' ? content : JSON.stringify(content)),
  ]),
);
const jsonNames = Object.keys(model).filter((name) => name.endsWith('.json'));
const shardNames = Object.keys(model).filter((name) => name.endsWith('.safetensors'));

function commandFile(command: Command): Folder {
  return { [COMMAND]: encode(JSON.stringify(command)) };
}

/** Arguments that are changed, and all the files that they could mean. */
function hostileArgs(draw: Draw): Folder {
  const name = draw.oneIn(30)
    ? draw.pick(['', 'x', '__proto__', 'constructor', '--version'])
    : draw.pick(commandNames);
  const args = commandNames.includes(name) ? drawnArgs(draw, name) : [name, 'a.png'];
  const input = drawnInput(draw);
  const files = { [PICTURE]: picture, [TENSORS]: valid.zipInputs[0] as Uint8Array };
  return { ...commandFile({ args: mutateArgs(draw, args), input }), ...files };
}

function hostilePicture(draw: Draw): Folder {
  const command = draw.pick(['ask', 'zip', 'chat']);
  const args = [command, PICTURE, ...(command === 'ask' ? ['What?'] : [])];
  return { ...commandFile({ args, reads: 'picture' }), [PICTURE]: mutatePng(draw, picture) };
}

function hostileTensors(draw: Draw): Folder {
  const args = ['zip', '--tensors', TENSORS, '--dominant', '1', '--contextual', '1'];
  const file = draw.oneIn(3) ? valid.drawnZipInput(draw) : mutateSafetensors(draw, draw.pick(tensorParts));
  return { ...commandFile({ args, reads: 'tensors' }), [TENSORS]: file };
}

/** A checkpoint of which one file is changed, or missing. */
function hostileModel(draw: Draw): Folder {
  const args = ['ask', PICTURE, 'What?', '--model', 'm', ...(draw.oneIn(4) ? ['--chat-template'] : [])];
  const files = { ...commandFile({ args }), [PICTURE]: picture, ...model };
  const name = draw.pick([...jsonNames, draw.pick(shardNames)]);
  const bytes = model[name] as Uint8Array;
  if (draw.oneIn(12)) return Object.fromEntries(Object.entries(files).filter(([other]) => other !== name));
  if (name.endsWith('.safetensors')) return { ...files, [name]: mutateBytes(draw, bytes) };
  if (draw.oneIn(6)) return { ...files, 'm/chat_template.jinja': encode(draw.pick(chatTemplates)) };
  return { ...files, [name]: mutateJson(draw, treeOf(JSON.parse(new TextDecoder().decode(bytes)))) };
}

/** On a device, to the end: what is asked for is little. */
function wholeRun(draw: Draw): Folder {
  const input = drawnInput(draw);
  const ways: readonly (() => Folder)[] = [
    () => ({
      ...commandFile({ args: ['chat', PICTURE, '--max-new-tokens', '2'], input, adapter: true }),
      [PICTURE]: picture,
    }),
    () => {
      const folder = hostileTensors(draw);
      return { ...folder, ...commandFile({ ...commandOf(folder), adapter: true }) };
    },
    () => {
      const folder = hostileModel(draw);
      return { ...folder, ...commandFile({ ...commandOf(folder), adapter: true }) };
    },
  ];
  return draw.pick(ways)();
}

function commandOf(folder: Folder): Command {
  return JSON.parse(new TextDecoder().decode(folder[COMMAND])) as Command;
}

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
  readonly errors: string;
  readonly ms: number; //    of processor time, as last seen; 0 where the system does not say
  readonly bytes: number; // of memory at the peak, likewise
}

const LONGEST_MS = 240_000;
const LOOK_MS = 100;
/** Of processor time: to start Node and the program, a template that is given its 2 s, or a whole answer. */
const USUAL_MS = 600;
const TEMPLATE_MS = 3000;
const ANSWER_MS = 60_000;
const NO_ADAPTER = { VK_DRIVER_FILES: '/dev/null/none' };

async function run({ args, input = '', adapter }: Command, folder: string): Promise<Ended> {
  const child = spawn(process.execPath, [resolve('dist/cli.js'), ...args], {
    cwd: folder,
    env: adapter === true ? process.env : { ...process.env, ...NO_ADAPTER },
  });
  let seen = { ms: 0, bytes: 0 };
  const look = setInterval(() => {
    seen = usageOf(child.pid) ?? seen;
  }, LOOK_MS);
  const limit = setTimeout(() => child.kill('SIGKILL'), LONGEST_MS);
  const [output, errors] = [child.stdout, child.stderr].map((stream) => {
    const texts: string[] = [];
    stream.setEncoding('utf8').on('data', (text: string) => texts.push(text));
    return texts;
  }) as [string[], string[]];
  child.stdin.on('error', () => undefined); // it may end before it has read everything
  child.stdin.end(input);
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((done, failed) => {
    child.on('close', (...ended) => done(ended));
    child.on('error', failed);
  }).finally(() => {
    clearInterval(look);
    clearTimeout(limit);
  });
  return { code, signal, output: output.join(''), errors: errors.join(''), ...seen };
}

/** From Linux's /proc; null elsewhere, or once it is gone. */
function usageOf(pid: number | undefined): { readonly ms: number; readonly bytes: number } | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return { ms: 10 * (Number(fields[11]) + Number(fields[12])), bytes: 1024 * Number(peak?.[1] ?? 0) };
  } catch {
    return null;
  }
}

/** Throws FileError for what the command refused, and a plain Error for an end that it must not have. */
function judgeEnd(command: Command, { code, signal, output, errors, ms, bytes }: Ended): void {
  const allowed =
    command.adapter === true ? ANSWER_MS : command.args.includes('--chat-template') ? TEMPLATE_MS : USUAL_MS;
  if (signal !== null) throw new Error(`ended by ${signal}: ${errors.slice(-2000)}`);
  if (code !== 0 && code !== 2) throw new Error(`exit code ${code}: ${errors.slice(-2000)}`);
  if (ms > SLOWEST_MS + allowed) throw new Error(`took ${ms} ms of processor time`);
  if (bytes > LARGEST_BYTES) throw new Error(`took ${bytes} bytes`);
  if (/unexpected error|^ {4}at /m.test(errors) && !command.args.includes('--verbose'))
    throw new Error(`a stack or an unexpected error on stderr: ${errors.slice(-2000)}`);
  if (code === 0 || isAccepted(errors, output)) return;
  const line = errors.split('\n').findLast((one) => one.startsWith('visionzip: '));
  if (line === undefined) throw new Error(`exit code 2 without a line that says why: ${errors.slice(-2000)}`);
  throw new FileError(`visionzip: expected to go on, got ${line}`);
}

/** Whether a command that ended with 2 went as far as the device, or reported that there is none. */
function isAccepted(errors: string, output: string): boolean {
  return (
    /visionzip: openGpu: expected a WebGPU adapter/.test(errors) ||
    /^adapter +none$|"adapter": null/m.test(output)
  );
}

export const cli: Target<Folder> = {
  name: 'cli',
  file: /^visionzip: /,
  processes: true,
  mutate(draw) {
    if (draw.oneIn(40)) return wholeRun(draw);
    if (draw.oneIn(2)) return hostileArgs(draw);
    return draw.pick([hostilePicture, hostileTensors, hostileModel])(draw);
  },
  async read(files) {
    const folder = mkdtempSync(join(tmpdir(), 'visionzip-fuzz-'));
    try {
      for (const [name, bytes] of Object.entries(files)) {
        mkdirSync(dirname(join(folder, name)), { recursive: true });
        if (name !== COMMAND) writeFileSync(join(folder, name), bytes);
      }
      const command = commandOf(files);
      judgeEnd(command, await run(command, folder));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  broken(files) {
    const { reads } = commandOf(files);
    const bytes = files[reads === 'picture' ? PICTURE : TENSORS] ?? new Uint8Array(0);
    if (reads === 'picture') return brokenPngRule(bytes, crc32, inflate) ?? undefined;
    return reads === 'tensors' ? (brokenZipTensorsRule(bytes) ?? undefined) : undefined;
  },
};
