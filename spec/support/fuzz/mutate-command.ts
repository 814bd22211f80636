// Command lines of visionzip: valid ones, with values, options and arguments changed.

import type { Draw } from './draw.ts';

/** command.json of a case: what is run beside its files. */
export interface Command {
  readonly args: readonly string[];
  readonly input?: string; // standard input
  /** Whether there is an adapter. Without one a command ends where it would open the device. */
  readonly adapter?: true;
  /** The file that the command has to refuse if it is broken. */
  readonly reads?: 'picture' | 'tensors';
}

const words = [
  ...[
    '',
    ' ',
    '-',
    '--',
    '---',
    '-x',
    '--x',
    '--x=1',
    '--help',
    '--json',
    '--verbose',
    '0',
    '1',
    '-1',
    '+1',
    '1.5',
  ],
  ...[
    '1e3',
    '0x10',
    'NaN',
    'Infinity',
    '64,',
    ',64',
    '64,64',
    '575',
    '576',
    '577',
    '999999999',
    '1000000000',
  ],
  ...[
    '99999999999999999999',
    '٣',
    '１',
    '1_000',
    'null',
    'undefined',
    '__proto__',
    'constructor',
    'toString',
  ],
  ...[
    'é',
    '\u{1f600}',
    '\u202e',
    '\ufeff',
    '\n',
    'a\tb',
    '<image>',
    '</s>',
    '%s%n',
    '$(id)',
    '`id`',
    ';',
    '"',
    "'",
  ],
  ...[
    '.',
    '..',
    '/',
    '/dev/null',
    '/dev/zero',
    '/proc/self/mem',
    '/dev/null/a',
    'a.png',
    'out',
    'm',
    '*',
    '~',
  ],
  ...[
    'x'.repeat(300),
    'x'.repeat(100_000),
    `${'9'.repeat(400)}`,
    '0'.repeat(50),
    '6GiB',
    '0GB',
    '1e9GiB',
    'f16',
  ],
] as const;

const modelOptions = [
  ...[
    ['--model', 'm'],
    ['--vision-tower', 'm'],
    ['--dtype', 'f32'],
    ['--max-memory', '2GiB'],
  ],
  ...[['--image-mode', 'pad'], ['--profile'], ['--json']],
];
const budgetOptions = [
  ['--budget', '64'],
  ['--budget', '64,576'],
  ['--dominant', '4', '--contextual', '2'],
  ['--no-zip'],
];
const askOptions = [
  ...[...modelOptions, ...budgetOptions, ['--template', 'plain'], ['--chat-template'], ['--raw-prompt']],
  ...[
    ['--max-new-tokens', '2'],
    ['--trace', 'trace.safetensors'],
  ],
];
const samplingOptions = [
  ['--temperature', '0.5'],
  ['--top-p', '0.9'],
  ['--seed', '3'],
];

/** A command by name: what it cannot do without, and what it may have. */
const grammar: Readonly<Record<string, readonly [needed: readonly string[], options: readonly string[][]]>> =
  {
    ask: [['a.png', 'What is there?'], askOptions],
    zip: [['a.png'], [...modelOptions, ['--dominant', '4', '--contextual', '2'], ['--out', 'out']]],
    chat: [['a.png'], [...askOptions.slice(0, -1), ...samplingOptions]],
    tensors: [
      ['--tensors', 't.safetensors', '--dominant', '2', '--contextual', '1'],
      [['--merge', 'paper-average'], ['--out', 'out'], ['--json']],
    ],
    eval: [[], [['--budget', '64'], ['--questions', '1'], ['--seed', '2'], ['--json'], ['--out', 'out']]],
    bench: [
      [],
      [
        ...[
          ['--config', 'tiny'],
          ['--config', 'llava-1.5-7b'],
          ['--budget', '64'],
          ['--layers', '1'],
          ['--repeat', '1'],
        ],
        ...[['--tokens', '2'], ['--subgroup-matrix'], ...modelOptions],
      ],
    ],
    demo: [[], [['--out', 'out']]],
    doctor: [[], [['--json'], ['--driver-folder', 'm']]],
    help: [['ask'], []],
  };

/** A valid command line of `name`, with up to three of its options. */
export function drawnArgs(draw: Draw, name: string): readonly string[] {
  const [needed, options] = grammar[name] as (typeof grammar)[string];
  const chosen = Array.from({ length: draw.below(4) }, () =>
    options.length === 0 ? [] : draw.pick(options),
  );
  return [name === 'tensors' ? 'zip' : name, ...needed, ...chosen.flat()];
}

export const commandNames: readonly string[] = Object.keys(grammar);

/** One change of a command line, or a few. */
export function mutateArgs(draw: Draw, args: readonly string[]): readonly string[] {
  const at = draw.below(args.length + 1);
  const word = draw.pick(words);
  const changed = (): readonly string[] => {
    switch (draw.below(7)) {
      case 0:
        return args.toSpliced(at, 1);
      case 1:
        return args.toSpliced(at, 0, word);
      case 2:
        return args.toSpliced(at, 0, args[draw.below(args.length)] ?? word);
      case 3:
        return args.toSpliced(at, 2, `${args[at] ?? '--'}=${word.slice(0, 1000)}`);
      case 4:
        return args.toSpliced(at, 1, `${args[at] ?? ''}${word.slice(0, 20)}`);
      default:
        return args.toSpliced(at, 1, word);
    }
  };
  return draw.oneIn(3) ? mutateArgs(draw, changed()) : changed();
}

const lines = [
  ...[
    'What is there?',
    '',
    '/',
    '/help',
    '/kept',
    '/quit',
    '/budget',
    '/budget 64',
    '/budget 2+1',
    '/budget 999999999',
  ],
  ...[
    '/budget 0+0',
    '/budget -1',
    '/budget x',
    '/budget 64+',
    '/save',
    '/save out.json',
    '/save /dev/null/a',
  ],
  ...[
    '/save .',
    '/unknown',
    '/__proto__',
    '<image>',
    '</s>',
    '\u0000',
    '\u001b[2J',
    'x'.repeat(5000),
    '\u{1f600}',
  ],
];

/** What somebody types into a chat. */
export function drawnInput(draw: Draw): string {
  const typed = Array.from({ length: draw.below(6) }, () => draw.pick(lines));
  return typed.join(draw.pick(['\n', '\r\n', '\n\n'])) + draw.pick(['', '\n']);
}
