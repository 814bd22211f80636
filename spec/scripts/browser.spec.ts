import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

// The scripts are plain JavaScript without types: they are given here.

interface Chromium {
  findChromium(env: Readonly<Record<string, string>>): Promise<string | { readonly missing: string }>;
  onPath(names: readonly string[], env: Readonly<Record<string, string>>): string | null;
}

interface SiteModule {
  serveSite(
    find: (path: string) => Uint8Array | string | null,
  ): Promise<{ readonly origin: string; close(): void }>;
}

async function load<T>(name: string): Promise<T> {
  return (await import(new URL(`../../scripts/browser/${name}.mjs`, import.meta.url).href)) as T;
}

const { findChromium, onPath } = await load<Chromium>('chromium');
const { serveSite } = await load<SiteModule>('site');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'visionzip-spec-'));
  writeFileSync(join(folder, 'chromium'), '#!/bin/sh\n');
  chmodSync(join(folder, 'chromium'), 0o755);
  writeFileSync(join(folder, 'page.html'), '<title>page</title>');
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('browser scripts: Chromium', () => {
  it('browser: what CHROMIUM names comes first, then the path, and only programs count', async () => {
    const program = join(folder, 'chromium');
    expect(await findChromium({ CHROMIUM: program, PATH: '' })).toBe(program);
    expect(await findChromium({ PATH: [join(folder, 'nothing'), folder].join(delimiter) })).toBe(program);
    expect(await findChromium({ CHROMIUM: join(folder, 'page.html'), PATH: folder })).toEqual({
      missing: expect.stringContaining('page.html, which is no program'),
    });
    expect(onPath(['page.html'], { PATH: folder })).toBeNull();
  });

  it('browser: without a Chromium and without apt one line says so', async () => {
    expect(await findChromium({ PATH: '' })).toEqual({
      missing: 'there is no Chromium, and no apt to install one',
    });
  });
});

describe('browser scripts: the site', () => {
  it('browser: files are served whole and in parts, to this origin alone', async () => {
    const bytes = new TextEncoder().encode('0123456789');
    const files: Readonly<Record<string, Uint8Array | string>> = {
      '/index.html': join(folder, 'page.html'),
      '/ten': bytes,
      '/gone': join(folder, 'gone'),
    };
    const site = await serveSite((path) => files[path] ?? null);
    const get = (path: string, options: RequestInit = {}): Promise<Response> =>
      fetch(`${site.origin}${path}`, options);
    const part = (range: string): Promise<Response> => get('/ten', { headers: { Range: range } });
    try {
      const page = await get('/');
      expect(page.headers.get('Content-Type')).toBe('text/html; charset=utf-8');
      expect(page.headers.get('Content-Security-Policy')).toMatch(
        /^default-src 'none'; .*connect-src 'self'/,
      );
      expect(await page.text()).toBe('<title>page</title>');

      const [middle, rest, beyond] = [
        await part('bytes=2-4'),
        await part('bytes=8-'),
        await part('bytes=10-'),
      ];
      expect([middle.status, middle.headers.get('Content-Range'), await middle.text()]).toEqual([
        206,
        'bytes 2-4/10',
        '234',
      ]);
      expect([rest.headers.get('Content-Range'), await rest.text()]).toEqual(['bytes 8-9/10', '89']);
      expect(beyond.status).toBe(416);
      expect(await (await part('bytes=-3')).text()).toBe('0123456789'); // another form: ignored

      expect((await get('/gone')).status).toBe(404);
      expect((await get('/other')).status).toBe(404);
      expect((await get('/ten', { method: 'POST' })).status).toBe(405);
      const head = await get('/ten', { method: 'HEAD' });
      expect([head.status, head.headers.get('Content-Length'), await head.text()]).toEqual([200, '10', '']);
    } finally {
      site.close();
    }
  });
});
