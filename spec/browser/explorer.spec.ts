// The explorer as someone at a keyboard uses it: the embedded scenes, the map, an answer, refusals, and that it stays at home.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTold } from '../support/told-answers.ts';
import { fileBytes, openBrowser, openExplorerSite } from './open-browser.ts';

const SLOW = { timeout: 500_000 };
const site = await openExplorerSite();
const browser = await openBrowser();
const [told] = await readTold(fileBytes);
const requests: string[] = [];
const errors: string[] = [];
let page: Page;

beforeAll(async () => {
  page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.on('request', (request) => requests.push(request.url()));
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && !/404/.test(message.text())) errors.push(message.text());
  });
  await page.goto(site.origin);
  await isReady();
});

afterAll(async () => {
  await browser.close();
  site.close();
});

async function isReady(): Promise<void> {
  await page.waitForFunction(
    () => document.getElementById('status')?.textContent === 'Ready.',
    undefined,
    SLOW,
  );
}

const problem = () => page.getByRole('alert').textContent();

async function problemOf(name: string, buffer: Buffer): Promise<string> {
  await page.setInputFiles('#file', { name, mimeType: 'image/png', buffer });
  await page.getByRole('alert').getByText(name).waitFor(SLOW);
  return (await problem()) ?? '';
}

/** The kinds of the patches on the map, row by row. */
function fates(): Promise<(string | undefined)[]> {
  return page
    .getByRole('gridcell')
    .evaluateAll((cells) => cells.map((cell) => (cell as HTMLElement).dataset.kind));
}

describe('explorer', () => {
  it('explorer: the first scene at 64 shows the patches that the authors keep and merge into', async () => {
    const expected = told?.questions[0]?.answers[64];
    const kinds = await fates();
    const tokensOf = (kind: string) => kinds.flatMap((one, patch) => (one === kind ? [patch + 1] : []));
    expect(tokensOf('kept')).toEqual(expected?.kept?.slice(1));
    expect(tokensOf('target')).toEqual(expected?.targets);
    expect(tokensOf('merged')).toHaveLength(kinds.length - 53 - 10);
    expect(await page.locator('#summary').textContent()).toMatch(
      /^CLS and 53 of 576 .* 523 are merged into 10/,
    );
    expect(await page.getByLabel('Contextual token', { exact: true }).locator('option').count()).toBe(11);
  });

  it('explorer: the map is walked through with the keyboard, and each patch says what became of it', async () => {
    const cells = page.getByRole('gridcell');
    await cells.first().focus();
    for (const key of ['ArrowDown', 'ArrowRight', 'ArrowRight', 'ArrowUp', 'End', 'Home', 'ArrowLeft']) {
      await page.keyboard.press(key);
    }
    await page.keyboard.press('ArrowRight');
    const focused = await page.evaluate(() => document.activeElement?.getAttribute('aria-label'));
    expect(focused).toMatch(
      /^row 1, column 2: (kept|target of|merged into).*; attention rank \d+ of 576, [\d.]+ %$/,
    );
    expect(await page.locator('#readout').textContent()).toBe(focused);
    expect(await page.locator('#map [tabindex="0"]').count()).toBe(1);
  });

  it('explorer: each control has a name, and the tab key reaches it with a visible focus', async () => {
    const nameless = await page
      .locator('input, select, button, img, [role="grid"], [role="gridcell"]')
      .evaluateAll((all) =>
        all
          .filter((one) => {
            const labels =
              one instanceof HTMLInputElement || one instanceof HTMLSelectElement
                ? [...(one.labels ?? [])]
                : [];
            const names = [
              one.getAttribute('aria-label'),
              one.getAttribute('alt'),
              ...labels.map((label) => label.textContent),
            ];
            const own = one instanceof HTMLButtonElement ? one.textContent : '';
            return (
              ![...names, own].some((name) => (name ?? '').trim() !== '') &&
              !one.closest('label:has(img[alt])')
            );
          })
          .map((one) => one.outerHTML),
      );
    expect(nameless).toEqual([]);
    await page.locator('#file').focus();
    const reached = new Set<string>();
    for (let i = 0; i < 25; i++) {
      await page.keyboard.press('Tab');
      const seen = await page.evaluate(() => {
        const one = document.activeElement as HTMLElement;
        const shown = one.matches('.scenes input') ? (one.nextElementSibling as HTMLElement) : one;
        return {
          what: one.getAttribute('name') ?? one.id ?? one.role,
          outline: getComputedStyle(shown).outlineStyle,
        };
      });
      if (seen.what === '') continue; // the document itself, or a patch
      expect(seen.outline, seen.what).not.toBe('none');
      reached.add(seen.what);
    }
    for (const what of ['scene', 'budget', 'dominant', 'contextual', 'question', 'ask', 'view', 'group']) {
      expect([...reached], what).toContain(what);
    }
  });

  it('explorer: one contextual token is picked out, and attention is shown with its scale', async () => {
    await page.getByLabel('Contextual token', { exact: true }).selectOption('3');
    const dimmed = await page.locator('#map .other').count();
    const members = await page.getByRole('gridcell', { name: /contextual token 4;/ }).count();
    expect(dimmed).toBe(576 - members);
    await page.getByLabel('Contextual token', { exact: true }).selectOption('');
    await page.getByLabel('attention of CLS').check();
    expect(await page.locator('#legend').isVisible()).toBe(true);
    expect(await page.locator('#most').textContent()).toMatch(/^[\d.]+ %$/);
    await page.getByLabel('kept and merged patches').check();
    expect(await page.locator('#legend').isVisible()).toBe(false);
  });

  it('VZ-4.4 explorer: the answer is that of the authors', async () => {
    const question = told?.questions[0];
    await page.getByLabel('What do you want to know?').fill(question?.question ?? '');
    await page.keyboard.press('Enter');
    const first = page.getByRole('log').getByRole('listitem').first();
    await first.waitFor(SLOW);
    await page.waitForFunction(
      () => document.querySelector('#answers li[aria-busy]') === null,
      undefined,
      SLOW,
    );
    expect(await first.locator('.answer').textContent()).toBe(question?.answers[64]?.text);
    expect(await first.locator('.took').textContent()).toMatch(
      /^first token after [\d.]+ s, whole after [\d.]+ s$/,
    );
  });

  it('explorer: budgets of one’s own are taken, and those that do not fit are refused in a sentence', async () => {
    await page.getByLabel('my own:').check();
    await isReady();
    expect(await page.locator('#summary').textContent()).toMatch(/^CLS and 19 of 576 .* merged into 4 /);
    await page.getByLabel('kept, CLS included').fill('577');
    await page.keyboard.press('Tab');
    await page.waitForFunction(() => document.getElementById('problem')?.textContent !== '', undefined, SLOW);
    expect(await problem()).toMatch(
      /^Something went wrong while zipping: .* at most 577 together, got 577 and 4\.$/,
    );
    expect((await fates()).filter((kind) => kind === 'kept')).toHaveLength(19);
  });

  it('explorer: an answer is stopped', async () => {
    await page.evaluate(() => {
      const answers = document.getElementById('answers') as HTMLElement;
      const observer = new MutationObserver(() => {
        if (answers.querySelector('.answer')?.textContent === '') return;
        observer.disconnect();
        document.getElementById('stop')?.click();
      });
      observer.observe(answers, { childList: true, subtree: true });
    });
    const field = page.getByLabel('What do you want to know?');
    await field.fill('Describe the image.');
    await field.press('Enter');
    await page.getByText(/, stopped after [\d.]+ s$/).waitFor(SLOW);
    expect(await page.getByRole('button', { name: 'Stop' }).isDisabled()).toBe(true);
  });

  it('explorer: a file that is dropped anywhere is taken', async () => {
    const dropped = await page.evaluateHandle(() => {
      const transfer = new DataTransfer();
      transfer.items.add(new File(['no picture'], 'dropped.txt'));
      return transfer;
    });
    await page.dispatchEvent('h1', 'drop', { dataTransfer: dropped });
    await page.getByRole('alert').getByText('while looking at dropped.txt').waitFor(SLOW);
  });

  it('explorer: what is no picture, or cut off, is refused in a sentence, and the picture before stays', async () => {
    const png = await fileBytes('golden/preprocess/rgb-8.png');
    const jpeg = await fileBytes('golden/preprocess/420-baseline.jpg');
    expect(await problemOf('notes.txt', Buffer.from('no picture'))).toMatch(
      /^A file was refused while looking at notes\.txt: .*JPEG or PNG.*\.$/,
    );
    expect(await problemOf('half.png', png.subarray(0, png.length / 2))).toMatch(
      /^A file was refused .*half\.png: .*\.$/,
    );
    expect(await problemOf('half.jpg', jpeg.subarray(0, jpeg.length / 2))).toMatch(
      /^A file was refused .*half\.jpg: .*\.$/,
    );
    expect(await page.getByRole('gridcell').count()).toBe(576);
    expect(await page.getByRole('button', { name: 'Ask', exact: true }).isEnabled()).toBe(true);
  });

  it('explorer: the numbers on the map can be read, or are left out', async () => {
    const sizes = (): Promise<number[]> =>
      page.evaluate(() =>
        Array.from(document.querySelectorAll('#map [role="gridcell"]:not(:empty)'), (cell) =>
          Number.parseFloat(getComputedStyle(cell).fontSize),
        ),
      );
    expect(Math.min(...(await sizes()))).toBeGreaterThanOrEqual(10);
    await page.setViewportSize({ width: 340, height: 800 });
    expect(new Set(await sizes())).toEqual(new Set([0]));
    await page.setViewportSize({ width: 1280, height: 900 });
  });

  it('explorer: a narrow page does not scroll sideways', async () => {
    await page.setViewportSize({ width: 340, height: 800 });
    const [wide, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    expect(wide).toBeLessThanOrEqual(seen as number);
    await page.setViewportSize({ width: 1280, height: 900 });
  });

  it('explorer: every request went to the page’s own origin, and none can go elsewhere', async () => {
    expect(requests.length).toBeGreaterThan(5);
    expect(requests.filter((url) => !url.startsWith(`${site.origin}/`))).toEqual([]);
    let knocks = 0;
    const other = createServer((_, response) => {
      knocks++;
      response.writeHead(200, { 'Access-Control-Allow-Origin': '*' }).end();
    });
    await new Promise<void>((done) => other.listen(0, '127.0.0.1', done));
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}/`;
    const tried = await page.evaluate(async (address) => {
      const image = new Image();
      image.src = address;
      const failed = await fetch(address).then(() => 'an answer', String);
      await image.decode().catch(() => undefined);
      return failed;
    }, url);
    other.close();
    expect(tried).toMatch(/Failed to fetch|violates/);
    expect(knocks).toBe(0);
  });

  it('explorer: nothing else went wrong in the page', () => {
    expect(errors.filter((text) => !/Content Security Policy/.test(text))).toEqual([]);
  });
});

it('explorer: a browser without WebGPU is told so in a sentence', async () => {
  const context = await browser.newContext();
  const without = await context.newPage();
  await without.addInitScript(() => Reflect.deleteProperty(Navigator.prototype, 'gpu'));
  await without.goto(site.origin);
  const alert = without.getByRole('alert');
  await alert.getByText('This browser has no WebGPU').waitFor(SLOW);
  expect(await alert.textContent()).toMatch(/^[^.]*\.$/);
  await context.close();
});
