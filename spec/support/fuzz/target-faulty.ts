// A reader with one fault of each kind, for the test of the fuzzer alone: no part of the suite's fuzzing.

import { FileError } from '../../../src/tensor/index.ts';
import { isJsonObject, jsonFacts } from '../../oracle/json-rules.ts';
import type { Target } from './judge.ts';

/** What the file tells its reader to do. */
export const deeds = ['read', 'refuse', 'throw', 'hang', 'exit', 'fill memory', 'accept', 'mumble'] as const;

const rareDeeds: readonly string[] = ['hang', 'exit', 'fill memory'];

function deedOf(bytes: Uint8Array): unknown {
  const { value } = jsonFacts(bytes) ?? {};
  return isJsonObject(value) ? value.do : undefined;
}

function hang(): never {
  for (;;);
}

function follow(deed: unknown): void {
  switch (deed) {
    case 'throw':
      throw new TypeError('a fault of the reader');
    case 'hang':
      hang();
      break;
    case 'exit':
      process.exit(3);
      break;
    case 'fill memory':
      new Uint8Array(2 ** 30).fill(1);
      break;
    case 'mumble':
      throw new FileError('faulty.json: no');
    case 'read':
    case 'accept':
      break;
    default:
      throw new FileError(`faulty.json: expected a deed, got ${String(deed)}`);
  }
}

export const faulty: Target<Uint8Array> = {
  name: 'faulty.json',
  file: /^faulty\.json/,
  mutate(draw) {
    const deed = draw.pick(deeds);
    const chosen = rareDeeds.includes(deed) && !draw.oneIn(12) ? 'read' : deed;
    const others = rareDeeds.includes(chosen) ? {} : { list: [1, { a: 'b' }, 'c'.repeat(40)], other: null };
    return new TextEncoder().encode(JSON.stringify({ ...others, do: chosen }));
  },
  read: async (bytes) => follow(deedOf(bytes)),
  broken: (bytes) => (deedOf(bytes) === 'accept' ? 'a deed that is refused' : undefined),
};
