// The library in a page: the tests of spec/browser/page, each by its title.

import { afterAll, expect, it } from 'vitest';
import { openBrowser, openTestSite } from './open-browser.ts';
import type { PageTests } from './page/main.ts';

const site = await openTestSite();
const browser = await openBrowser();
const page = await browser.newPage();
const errors: string[] = [];
page.on('pageerror', (error) => errors.push(error.message));

await page.goto(site.origin);
await page.waitForFunction(() => 'pageTests' in globalThis).catch(() => expect.fail(errors.join('\n')));
const titles = await page.evaluate(() => (Reflect.get(globalThis, 'pageTests') as PageTests).titles());

afterAll(async () => {
  await browser.close();
  site.close();
});

for (const title of titles) {
  it(title, () =>
    page.evaluate((name) => (Reflect.get(globalThis, 'pageTests') as PageTests).run(name), title),
  );
}

it('browser: the page threw nothing outside of its tests', () => {
  expect(errors).toEqual([]);
});
