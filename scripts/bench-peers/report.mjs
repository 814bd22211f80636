// The table and the record of a run.

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The largest difference, relative to the root mean square of `expected`. */
export function difference(got, expected) {
  if (got.length !== expected.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  let squares = 0;
  for (let i = 0; i < expected.length; i++) {
    const apart = Math.abs(got[i] - expected[i]);
    if (!(apart <= largest)) largest = apart; // NaN stays
    squares += expected[i] ** 2;
  }
  return largest / Math.sqrt(squares / expected.length);
}

const milliseconds = (ms) => (ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : ms.toFixed(0));

/** A row for each case: our median, and of each peer its median, how many times ours it is, and how far the outputs are apart. */
export function table({ rows, sides }) {
  const peers = sides.slice(1);
  const heading = ['case', 'ours, ms', ...peers.flatMap(({ side }) => [`${side}, ms`, 'ratio', 'apart'])];
  const lines = rows.map(({ name, times, dispatches, results }) => [
    times === 1 ? name : `${name}, ${times} in a row`,
    cell(results[0], ({ median: ms }) =>
      dispatches === undefined ? milliseconds(ms) : `${((1000 * ms) / dispatches).toFixed(0)} us`,
    ),
    ...peers.flatMap((_, i) => [
      cell(results[i + 1], ({ median: ms }) => milliseconds(ms)),
      cell(results[i + 1], ({ ratio }) => (ratio === null ? '-' : `${ratio.toFixed(2)}x`)),
      cell(results[i + 1], ({ apart }) => (apart === null ? '-' : apart.toExponential(0))),
    ]),
  ]);
  const all = [heading, ...lines];
  const widths = heading.map((_, column) => Math.max(...all.map((line) => line[column].length)));
  const row = (line) =>
    `| ${line.map((text, i) => (i === 0 ? text.padEnd(widths[0]) : text.padStart(widths[i]))).join(' | ')} |`;
  const rule = `|${widths.map((width, i) => (i === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [row(heading), rule, ...lines.map(row)].join('\n');
}

function cell(result, show) {
  return result.failed === undefined ? show(result) : '-';
}

/** Why there are gaps, each reason once for each side. */
export function gaps({ rows, sides }) {
  return sides.flatMap(({ side, failed: why }, i) => {
    if (why !== undefined) return [`${side}: not run: ${why}`];
    const compared = rows.filter(({ dispatches }) => dispatches === undefined || i === 0); // the others are ours alone
    return [...grouped(compared, i)].map(
      ([reason, names]) => `${side}, ${names.join(', ')}: not run: ${reason}`,
    );
  });
}

function grouped(rows, i) {
  const byReason = new Map();
  for (const { name, results } of rows) {
    const reason = results[i].failed;
    if (reason !== undefined) byReason.set(reason, [...(byReason.get(reason) ?? []), name]);
  }
  return byReason;
}
