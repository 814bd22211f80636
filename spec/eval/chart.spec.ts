import { describe, expect, it } from 'vitest';
import { accuracyChart } from '../../src/eval/chart.ts';
import { type QuestionType, questionTypes } from '../../src/eval/questions.ts';
import type { EvaluationRow, Method, Tally } from '../../src/eval/run.ts';

function row(method: Method, visualTokens: number, correct: number, total = 560): EvaluationRow {
  const none: Tally = { correct: 0, total: 0 };
  const byType = Object.fromEntries(questionTypes.map((type) => [type, none])) as Record<QuestionType, Tally>;
  return { method, visualTokens, byType, all: { correct, total }, bothRight: Math.min(correct, 300) };
}

const rows = [
  row('vanilla', 576, 448),
  ...[64, 128, 192].flatMap((count) => [
    row('visionzip', count, 300 + count / 2),
    row('visionzip-paper', count, 295 + count / 2),
    row('cls-top-k', count, 290 + count / 2),
    row('random', count, 320 + count / 2),
    row('uniform', count, 320 + count / 2),
  ]),
];

/** The elements of an XML text, in the order in which they begin. Throws unless it is well formed. */
function elements(text: string): { readonly name: string; readonly attributes: Record<string, string> }[] {
  const open: string[] = [];
  const found: { name: string; attributes: Record<string, string> }[] = [];
  const token = /<(\/?)([a-z]+)((?:\s+[a-zA-Z-]+="[^"<&]*")*)\s*(\/?)>|([^<]+)/gy;
  let end = 0;
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    end = token.lastIndex;
    const [, closes, name, attributes = '', empty, content] = match;
    if (content !== undefined) {
      if (/&(?!amp;|lt;|gt;|quot;)/.test(content)) throw new Error(`a bare & in ${content}`);
      if (open.length === 0 && content.trim() !== '') throw new Error(`text outside: ${content}`);
    } else if (closes === '/') {
      if (open.pop() !== name) throw new Error(`</${name}> closes another element`);
    } else {
      if (open.length === 0 && found.length > 0) throw new Error('a second root');
      const pairs = Array.from(attributes.matchAll(/([a-zA-Z-]+)="([^"]*)"/g), ([, key, value]) => [
        key,
        value,
      ]);
      const names = pairs.map(([key]) => key);
      if (new Set(names).size < names.length) throw new Error(`an attribute twice in ${match[0]}`);
      found.push({ name: name as string, attributes: Object.fromEntries(pairs) });
      if (empty !== '/') open.push(name as string);
    }
  }
  if (end !== text.length || open.length > 0) throw new Error(`not well formed behind ${text.slice(0, end)}`);
  return found;
}

describe('E-1 the chart', () => {
  it('E-1.10 the reader of XML refuses what is not well formed', () => {
    expect(elements('<a b="c"><d/>x &amp; y</a>\n')).toHaveLength(2);
    for (const wrong of [
      '<a>',
      '<a></b>',
      '<a b=c/>',
      '<a/><b/>',
      '<a>x & y</a>',
      '<a>1 < 2</a>',
      '<a b="1" b="2"/>',
    ]) {
      expect(() => elements(wrong), wrong).toThrow();
    }
  });

  it('E-1.10 it is well-formed XML with a line, points and a name for each method', () => {
    const svg = accuracyChart(rows, '560 questions <&>');
    const all = elements(svg);
    expect(all[0]).toMatchObject({ name: 'svg', attributes: { xmlns: 'http://www.w3.org/2000/svg' } });
    expect(svg).toContain('560 questions &lt;&amp;>');
    for (const method of ['vanilla', 'visionzip', 'visionzip-paper', 'cls-top-k', 'random', 'uniform']) {
      expect(all.filter(({ name, attributes }) => name === 'g' && attributes.class === method)).toHaveLength(
        1,
      );
      expect(
        all.filter(({ name, attributes }) => name === 'text' && attributes.class === `label ${method}`),
      ).toHaveLength(1);
    }
    expect(all.filter(({ name }) => name === 'circle')).toHaveLength(1 + 3); // vanilla and VisionZip
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  });

  it('E-1.10 everything lies inside the picture and no two names touch', () => {
    const all = elements(accuracyChart(rows, 'note'));
    const texts = all.filter(({ name }) => name === 'text').map(({ attributes }) => attributes);
    for (const { x, y } of texts) {
      expect(Number(x)).toBeGreaterThan(0);
      expect(Number(x)).toBeLessThan(760);
      expect(Number(y)).toBeGreaterThan(0);
      expect(Number(y)).toBeLessThan(460);
    }
    const labels = texts.filter(({ class: kind }) => kind?.startsWith('label') && !kind.includes('vanilla'));
    const heights = labels.map(({ y }) => Number(y)).sort((a, b) => a - b);
    for (const [i, y] of heights.slice(1).entries())
      expect(y - (heights[i] as number)).toBeGreaterThanOrEqual(18);
  });

  it('E-1.10 what nothing was counted for is left out, and the dark scheme has colours of its own', () => {
    const partial = [row('vanilla', 576, 3, 4), row('visionzip', 64, 1, 4), row('random', 64, 0, 0)];
    const svg = accuracyChart(partial, 'partial');
    expect(elements(svg).some(({ attributes }) => attributes.class === 'random')).toBe(false);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    expect(() => elements(accuracyChart([], 'nothing'))).not.toThrow();
    expect(accuracyChart([], 'nothing')).not.toMatch(/NaN|Infinity|undefined/);
    expect(svg).toContain('@media (prefers-color-scheme:dark)');
  });
});
