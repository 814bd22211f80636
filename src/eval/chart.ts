// Accuracy against visual tokens as an SVG, one line for each method. SPEC E-1.10.
//
// Plain text, no library. A style sheet inside it follows the viewer's light or dark scheme; what knows no style sheets
// at all still shows lines, points and words. Methods differ by marker, too, not by colour alone.

import { type EvaluationRow, type Method, VANILLA_TOKENS } from './run.ts';
import { wilsonInterval } from './statistics.ts';

const WIDTH = 760;
const HEIGHT = 460;
const PLOT = { left: 68, right: 724, top: 76, bottom: 396 };

interface Look {
  readonly label: string;
  readonly light: string;
  readonly dark: string;
  readonly marker: (x: number, y: number) => string;
}

const circle = (x: number, y: number): string => `<circle cx="${at(x)}" cy="${at(y)}" r="5"/>`;
const triangleDown = (x: number, y: number): string => `<path d="M${at(x)} ${at(y + 6)}l5.5 -10h-11z"/>`;
const square = (x: number, y: number): string =>
  `<rect x="${at(x - 4.5)}" y="${at(y - 4.5)}" width="9" height="9"/>`;
const triangle = (x: number, y: number): string => `<path d="M${at(x)} ${at(y - 6)}l5.5 10h-11z"/>`;
const diamond = (x: number, y: number): string =>
  `<path d="M${at(x)} ${at(y - 6.5)}l6.5 6.5l-6.5 6.5l-6.5 -6.5z"/>`;

/** How methods are called and drawn; colours that the colour-blind can tell apart (after Okabe and Ito). */
const looks: Readonly<Record<Method, Look>> = {
  vanilla: { label: 'all patches', light: '#444444', dark: '#d0d0d0', marker: circle },
  visionzip: { label: 'VisionZip', light: '#c44e00', dark: '#ff9d5c', marker: circle },
  'visionzip-paper': {
    label: 'VisionZip, averaged',
    light: '#8f5a00',
    dark: '#e3c05c',
    marker: triangleDown,
  },
  'cls-top-k': { label: 'CLS top-k', light: '#0066a6', dark: '#62b8f0', marker: square },
  random: { label: 'random patches', light: '#00785a', dark: '#3fd6ab', marker: triangle },
  uniform: { label: 'uniform stride', light: '#a3487f', dark: '#ec9fcc', marker: diamond },
};

/** An SVG document, 760 x 460. `note` is the line below the title. Rows in which nothing was counted are left out. */
export function accuracyChart(allRows: readonly EvaluationRow[], note: string): string {
  const rows = allRows.filter(({ all }) => all.total > 0);
  const scales = chartScales(rows);
  const shown = (Object.keys(looks) as Method[]).filter((method) =>
    rows.some((row) => row.method === method),
  );
  const body = [
    `<rect class="paper" width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    text(PLOT.left, 32, 'Accuracy against visual tokens', 'title'),
    text(PLOT.left, 54, note, 'note'),
    ...axes(scales),
    ...shown.flatMap((method) => line(method, rows, scales)),
    ...lineLabels(shown, rows, scales),
  ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" ` +
      'role="img" font-family="system-ui, sans-serif" font-size="14" fill="#222222">',
    '<title>Accuracy against visual tokens, one line for each method</title>',
    `<style>${styles()}</style>`,
    ...body,
    '</svg>',
    '',
  ].join('\n');
}

function styles(): string {
  const dark = Object.entries(looks).map(
    ([method, look]) => `.${method}{fill:${look.dark};stroke:${look.dark}}`,
  );
  return (
    '.title{font-size:19px;font-weight:600}.note{font-size:13px}' +
    '@media (prefers-color-scheme:dark){.paper{fill:#16181d}text{fill:#e8e8e8}.grid{stroke:#3a3f48}' +
    `${dark.join('')}text.label{stroke:#16181d}}`
  );
}

interface Scales {
  readonly x: (visualTokens: number) => number;
  readonly y: (accuracy: number) => number;
  readonly tokenTicks: readonly number[];
  readonly accuracyTicks: readonly number[];
}

/** Tokens on a logarithmic scale; accuracy from the tenth below the lowest interval to that above the highest. */
function chartScales(rows: readonly EvaluationRow[]): Scales {
  const tokenTicks = [...new Set([...rows.map(({ visualTokens }) => visualTokens), VANILLA_TOKENS])].sort(
    (a, b) => a - b,
  );
  const intervals = rows.map(({ all }) => wilsonInterval(all.correct, all.total));
  const first = Math.floor(Math.min(0.9, ...intervals.map(({ low }) => low)) * 10);
  const last = Math.ceil(Math.max(0.1, ...intervals.map(({ high }) => high)) * 10);
  const least = Math.min(64, ...tokenTicks);
  const [from, to] = [Math.log(least), Math.log(VANILLA_TOKENS)];
  const inner = { left: PLOT.left + 36, right: PLOT.right - 60 };
  return {
    x: (visualTokens) =>
      inner.left + ((Math.log(visualTokens) - from) / (to - from)) * (inner.right - inner.left),
    y: (accuracy) => PLOT.bottom - ((10 * accuracy - first) / (last - first)) * (PLOT.bottom - PLOT.top),
    tokenTicks,
    accuracyTicks: Array.from({ length: last - first + 1 }, (_, i) => (first + i) / 10),
  };
}

function axes({ x, y, tokenTicks, accuracyTicks }: Scales): string[] {
  return [
    ...accuracyTicks.flatMap((share) => [
      `<path class="grid" stroke="#d9d9d9" d="M${PLOT.left} ${at(y(share))}H${PLOT.right}"/>`,
      text(PLOT.left - 10, y(share) + 5, `${Math.round(100 * share)} %`, 'tick', 'end'),
    ]),
    ...tokenTicks.map((count) => text(x(count), PLOT.bottom + 24, String(count), 'tick', 'middle')),
    text((PLOT.left + PLOT.right) / 2, PLOT.bottom + 48, 'visual tokens (logarithmic)', 'axis', 'middle'),
  ];
}

interface Point {
  readonly x: number;
  readonly y: number;
  readonly low: number;
  readonly high: number;
}

/** The points of a method from left to right, moved aside a little so that intervals do not hide each other. */
function points(method: Method, rows: readonly EvaluationRow[], scales: Scales): Point[] {
  const aside = method === 'vanilla' ? 0 : (Object.keys(looks).indexOf(method) - 3) * 7;
  return rows
    .filter((row) => row.method === method)
    .sort((a, b) => a.visualTokens - b.visualTokens)
    .map(({ visualTokens, all }) => {
      const { low, high } = wilsonInterval(all.correct, all.total);
      return {
        x: scales.x(visualTokens) + aside,
        y: scales.y(all.correct / all.total),
        low: scales.y(low),
        high: scales.y(high),
      };
    });
}

function line(method: Method, rows: readonly EvaluationRow[], scales: Scales): string[] {
  const { light, marker } = looks[method];
  const own = points(method, rows, scales);
  const path = own.map(({ x, y }, i) => `${i === 0 ? 'M' : 'L'}${at(x)} ${at(y)}`).join('');
  const across = `M${PLOT.left} ${at(own[0]?.y ?? 0)}H${PLOT.right}`;
  const stroke =
    method === 'vanilla'
      ? `d="${across}" stroke-dasharray="6 5" stroke-width="1.5"`
      : `d="${path}" stroke-width="2.5"`;
  return [
    `<g class="${method}" fill="${light}" stroke="${light}">`,
    `<path class="line" fill="none" ${stroke}/>`,
    ...own.map(({ x, low, high }) => `<path d="M${at(x)} ${at(low)}V${at(high)}" stroke-width="1.5"/>`),
    ...own.map(({ x, y }) => marker(x, y)),
    '</g>',
  ];
}

/** The names of the methods behind their last points, pushed apart where they would touch. */
function lineLabels(shown: readonly Method[], rows: readonly EvaluationRow[], scales: Scales): string[] {
  const zipped = shown.filter((method) => method !== 'vanilla');
  const ends = zipped.map((method) => ({ method, end: points(method, rows, scales).at(-1) as Point }));
  const left = Math.max(0, ...ends.map(({ end }) => end.x)) + 16;
  let lowest = PLOT.top;
  const labels = ends
    .sort((a, b) => a.end.y - b.end.y)
    .map(({ method, end }) => {
      lowest = Math.max(end.y + 5, lowest + 18);
      return label(method, left, lowest);
    });
  const vanilla = points('vanilla', rows, scales)[0];
  if (vanilla !== undefined) labels.push(label('vanilla', PLOT.right, vanilla.high - 8, 'end'));
  return labels;
}

/** A rim in the colour of the paper keeps the lines behind a name from striking it out. */
function label(method: Method, x: number, y: number, anchor = 'start'): string {
  const { label: name, light } = looks[method];
  return (
    `<text class="label ${method}" fill="${light}" stroke="#ffffff" stroke-width="6" stroke-linejoin="round" ` +
    `paint-order="stroke" x="${at(x)}" y="${at(y)}" text-anchor="${anchor}">${name}</text>`
  );
}

function text(x: number, y: number, content: string, kind: string, anchor = 'start'): string {
  const escaped = content.replace(/&/g, '&amp;').replace(/</g, '&lt;');
  return `<text class="${kind}" x="${at(x)}" y="${at(y)}" text-anchor="${anchor}">${escaped}</text>`;
}

function at(length: number): string {
  return String(Math.round(length * 10) / 10);
}
