// Valid files, tampered with: each is read, or refused by name, soon, and as the rules of its format have it.
//
// SPEC_SEED draws other mutations; SPEC_FUZZ=10 makes ten times as many. A failure prints what to repeat and the file.
// What `npm run fuzz` has found, and the bad files that others publish, lie in spec/corpus and are all read again.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CORPUS, readCorpus } from './support/fuzz/corpus.ts';
import { examine, fuzz, type Target } from './support/fuzz/judge.ts';
import { targets } from './support/fuzz/targets.ts';
import { type Watchdog, watchdog } from './support/fuzz/watchdog.ts';

const SEED = Number(process.env.SPEC_SEED ?? 20240612);
const TIMES = Number(process.env.SPEC_FUZZ ?? 1);

/** How many mutations of each: few where reading one takes a millisecond or more. */
const counts: Readonly<Record<string, number>> = {
  'model.safetensors': 6000,
  'model.safetensors.index.json': 2500,
  'tensors for zip': 2500,
  'config.json of llava-hf': 2500,
  'config.json of the authors': 1500,
  'config.json of a tower': 500,
  'generation_config.json': 500,
  'preprocessor_config.json': 1500,
  'processor_config.json': 300,
  'tokenizer.json': 1500,
  'tokenizer_config.json': 700,
  'tokenizer.model': 1300,
  'added_tokens.json': 200,
  'a.png': 1000,
  'a.jpg': 300,
  golden: 1500,
  cli: 12,
};

const byName = new Map(
  Object.values(targets)
    .flat()
    .map((target) => [target.name, target]),
);

describe('fuzz', () => {
  let dog: Watchdog;
  beforeAll(() => {
    dog = watchdog(120_000);
  });
  afterAll(() => dog.stop());

  it('T-1.3 there are 20,000 mutations and more, of every kind of file', () => {
    expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(20_000);
    expect([...byName.keys()].sort()).toEqual(Object.keys(counts).sort());
  });

  it.each(Object.entries(counts).map(([name, count]) => [name, count * TIMES] as const))(
    'T-1.3 a tampered %s (%i times) is read, or refused by name, as the rules of its format have it',
    async (name, count) => {
      const begun = performance.now();
      const { accepted, refused, slowestMs, failures } = await fuzz(
        byName.get(name) as Target,
        SEED,
        count,
        dog,
      );
      if (process.env.SPEC_RATIOS !== undefined) {
        const seconds = ((performance.now() - begun) / 1000).toFixed(2);
        const outcomes = `${accepted} read, ${refused} refused, slowest ${slowestMs.toFixed(1)} ms`;
        console.log(`${name}: ${count} in ${seconds} s, ${outcomes}`);
      }
      expect(failures.slice(0, 5).join('\n'), `${failures.length} of ${count}`).toBe('');
      expect(Math.min(accepted, refused), 'both outcomes').toBeGreaterThanOrEqual(Math.floor(count / 100));
    },
    600_000,
  );
});

const corpus = readdirSync(CORPUS).flatMap((folder) =>
  [...readCorpus(join(CORPUS, folder))].map(([name, one]) => [`${folder}/${name}`, one] as const),
);

describe('fuzz: corpus', () => {
  it('T-1.3 each folder of the corpus is one of a target, and the official files are there', () => {
    const owned = Object.entries(targets).flatMap(([folder, list]) =>
      list.map(({ name }) => `${folder} ${name}`),
    );
    const strays = corpus.filter(([path, { target }]) => !owned.includes(`${path.split('/')[0]} ${target}`));
    expect(strays.map(([path]) => path)).toEqual([]);
    const official = corpus.filter(([path]) => path.startsWith('safetensors/official-'));
    expect(
      official
        .map(([, { expected }]) => expected)
        .sort()
        .join(' '),
    ).toBe([...new Array<string>(7).fill('read'), ...new Array<string>(14).fill('refused')].join(' '));
  });

  it.each(corpus)('T-1.3 %s of the corpus is read or refused as it should be', async (_, one) => {
    const { accepted, wrong } = await examine(byName.get(one.target) as Target, one.file);
    expect(wrong).toBeNull();
    if (one.expected !== 'either') expect(accepted ? 'read' : 'refused', one.why).toBe(one.expected);
  });
});
