// The tools as someone calls them who mistypes an option.

import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';

const NO_TOOLS = ['count-tests.mjs', 'options.mjs']; // read by .ci/run alone; read by the others

const tools = readdirSync('scripts').filter((name) => name.endsWith('.mjs') && !NO_TOOLS.includes(name));

describe('a tool', () => {
  it.each(tools)('%s names an option that it does not know, and does nothing', async (tool) => {
    const { code, stdout, stderr } = await new Promise<{
      code: unknown;
      stdout: string;
      stderr: string;
    }>((done) => {
      execFile(process.execPath, [join('scripts', tool), '--nonsense'], (error, stdout, stderr) =>
        done({ code: error?.code ?? 0, stdout, stderr }),
      );
    });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^[\w:-]+: [^\n]*--nonsense[^\n]*\n$/);
    expect(stderr.replace(':', '-')).toContain(basename(tool, '.mjs'));
  });
});
