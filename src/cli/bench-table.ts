// What `visionzip bench` prints: a table of times and one of ratios.

import type { BenchRow, Stage } from './bench-run.ts';

const columns: readonly (readonly [heading: string, stage: Stage])[] = [
  ['preprocess', 'preprocess'],
  ['encode', 'encode'],
  ['zip', 'zip'],
  ['project', 'project'],
  ['prefill', 'prefill'],
  ['per token', 'decode'],
];

/** Times in milliseconds, sizes in MB; the row without zipping stands first. */
export function timesTable(rows: readonly BenchRow[]): string {
  const hasDecoder = rows.some(({ ms }) => ms.prefill !== null);
  const shown = columns.filter(([, stage]) => rows.some(({ ms }) => ms[stage] !== null));
  const ends = hasDecoder ? ['first token', 'total ms', 'KV cache MB', 'peak MB'] : ['total ms', 'peak MB'];
  const body = rows.map((row) => [
    tokensOf(row),
    ...shown.map(([, stage]) => duration(row.ms[stage])),
    ...(hasDecoder ? [duration(row.firstTokenMs)] : []),
    duration(row.totalMs),
    ...(hasDecoder ? [megabytes(row.keyValueBytes)] : []),
    megabytes(row.peakBytes),
  ]);
  return aligned([['visual tokens', ...shown.map(([heading]) => heading), ...ends], ...body]);
}

type Measure = readonly [name: string, of: (row: BenchRow) => string];

/** How many times faster or smaller than the first row. Empty for a single row. */
export function ratiosTable(rows: readonly BenchRow[]): string {
  const [vanilla, ...zipped] = rows;
  if (vanilla === undefined || zipped.length === 0) return '';
  const measures: Measure[] = [
    ['zip / encode', ({ ms }) => `${((100 * (ms.zip ?? 0)) / (ms.encode ?? 1)).toFixed(2)} %`],
  ];
  if (vanilla.ms.prefill !== null) {
    measures.push(
      ['prefill', ({ ms }) => times(vanilla.ms.prefill, ms.prefill)],
      ['first token', ({ firstTokenMs }) => times(vanilla.firstTokenMs, firstTokenMs)],
      ['per token', ({ ms }) => times(vanilla.ms.decode, ms.decode)],
      ['total', ({ totalMs }) => times(vanilla.totalMs, totalMs)],
      ['KV cache', ({ keyValueBytes }) => times(vanilla.keyValueBytes, keyValueBytes)],
    );
  }
  const heading = [`against ${vanilla.visualTokens}`, ...measures.map(([name]) => name)];
  return aligned([heading, ...zipped.map((row) => [tokensOf(row), ...measures.map(([, of]) => of(row))])]);
}

function tokensOf({ visualTokens, dominant, contextual }: BenchRow): string {
  if (dominant === null || contextual === null) return String(visualTokens);
  const crops = visualTokens / (dominant + contextual);
  return `${visualTokens} = ${crops > 1 ? `${crops} x (${dominant} + ${contextual})` : `${dominant} + ${contextual}`}`;
}

function times(vanilla: number | null, zipped: number | null): string {
  return vanilla === null || zipped === null ? '-' : `${(vanilla / zipped).toFixed(2)}x`;
}

/** Three digits that mean something. */
function duration(ms: number | null): string {
  if (ms === null) return '-';
  return ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : ms.toFixed(0);
}

function megabytes(bytes: number | null): string {
  return bytes === null ? '-' : (bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0);
}

/** The first column to the left, numbers to the right. */
export function aligned(cells: readonly (readonly string[])[]): string {
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((row) => (row[column] ?? '').length)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ');
  return `${cells.map(line).join('\n')}\n`;
}
