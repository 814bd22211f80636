// Valid files, tampered with: each is read, or refused by name, soon, and as the rules of its format have it.
//
// SPEC_SEED draws other mutations; SPEC_FUZZ=10 makes ten times as many. A failure prints what to repeat and the file.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fuzz, type Tally, type Target } from './support/fuzz/judge.ts';
import { configs } from './support/fuzz/target-configs.ts';
import { pictures } from './support/fuzz/target-pictures.ts';
import { index, safetensors, zipTensors } from './support/fuzz/target-tensors.ts';
import { tokenizerModel, tokenizers } from './support/fuzz/target-tokenizers.ts';
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
};

type Start = (count: number, dog: Watchdog) => Promise<Tally>;

function startOf<F>(target: Target<F>): readonly [name: string, start: Start] {
  return [target.name, (count, dog) => fuzz(target, SEED, count, dog)];
}

const ofBytes = [safetensors, zipTensors, ...configs, ...tokenizers, tokenizerModel, ...pictures];
const starts = new Map([...ofBytes.map((target) => startOf(target)), startOf(index)]);

describe('fuzz', () => {
  let dog: Watchdog;
  beforeAll(() => {
    dog = watchdog(20_000);
  });
  afterAll(() => dog.stop());

  it('T-1.3 there are 20,000 mutations and more, of every kind of file', () => {
    expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(20_000);
    expect([...starts.keys()].sort()).toEqual(Object.keys(counts).sort());
  });

  it.each(Object.entries(counts).map(([name, count]) => [name, count * TIMES] as const))(
    'T-1.3 a tampered %s (%i times) is read, or refused by name, as the rules of its format have it',
    async (name, count) => {
      const begun = performance.now();
      const { accepted, refused, slowestMs, failures } = await (starts.get(name) as Start)(count, dog);
      if (process.env.SPEC_RATIOS !== undefined) {
        const seconds = ((performance.now() - begun) / 1000).toFixed(2);
        const outcomes = `${accepted} read, ${refused} refused, slowest ${slowestMs.toFixed(1)} ms`;
        console.log(`${name}: ${count} in ${seconds} s, ${outcomes}`);
      }
      expect(failures.slice(0, 5).join('\n'), `${failures.length} of ${count}`).toBe('');
      expect(Math.min(accepted, refused), 'both outcomes').toBeGreaterThan(count / 100);
    },
    600_000,
  );
});
