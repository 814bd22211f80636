// The program of the test page: opens the device, loads the model and offers its tests to whoever drives the page.

import { fetchedModel, loadLlava } from '../../../src/models/index.ts';
import { finish, openGpu } from '../../../src/tensor/index.ts';
import { readGroup } from '../../support/golden.ts';
import { answerTests } from './answer-tests.ts';
import { fetchBytes } from './fetch-bytes.ts';
import { embeddedTests, selectMergeTests } from './golden-tests.ts';
import type { PageTest } from './page-test.ts';
import { platformTests } from './platform-tests.ts';

/** What the driving spec finds on the page's globalThis. */
export interface PageTests {
  titles(): Promise<readonly string[]>;
  /** Runs one test; throws what fails it, and if it leaves tensors or an error on the device. */
  run(title: string): Promise<void>;
}

const gpu = await openGpu();
const ready = collect();

async function collect(): Promise<readonly PageTest[]> {
  const llava = await loadLlava(gpu, fetchedModel('/golden/tiny-llava'));
  const embedded = await readGroup('embedded', fetchBytes);
  return [
    ...platformTests(llava),
    ...(await selectMergeTests(gpu)),
    ...embeddedTests(llava, embedded),
    ...(await answerTests(llava, embedded)),
  ];
}

const pageTests: PageTests = {
  titles: async () => (await ready).map(({ title }) => title),
  run: async (title) => {
    const test = (await ready).find((one) => one.title === title);
    if (test === undefined) throw new Error(`expected a test of the page, got ${title}`);
    const live = gpu.memory.live.size;
    await test.run();
    await finish(gpu); // throws what went wrong on the device
    const left = gpu.memory.live.size - live;
    if (left !== 0) throw new Error(`${title}: expected to leave no tensors on the device, got ${left}`);
  },
};
Reflect.set(globalThis, 'pageTests', pageTests);
