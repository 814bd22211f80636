// `visionzip doctor [--json] [--driver-folder DIR]`: what this machine has, what is missing, how to mend it.

import { type DoctorReport, doctorReport } from './doctor-report.ts';
import { readOptionsAlone } from './options.ts';

/** Prints the report; 0 if there is an adapter that works, 2 if not. Throws RangeError for an unknown option. */
export async function doctor(args: string[]): Promise<number> {
  const values = readOptionsAlone('doctor', args, {
    json: { type: 'boolean' },
    'driver-folder': { type: 'string' },
  });
  const report = await doctorReport(values['driver-folder']);
  const text = values.json === true ? JSON.stringify(report, null, 2) : reportText(report);
  process.stdout.write(`${text}\n`);
  return report.problem === null ? 0 : 2;
}

/** The report as a table of two columns. */
export function reportText(report: DoctorReport): string {
  const { host, adapter, problem } = report;
  const rows: [string, string][] = [
    ['system', `${host.name}, ${host.platform}-${host.arch}${host.libc === null ? '' : `, ${host.libc}`}`],
    ['Node', host.node],
  ];
  if (adapter === null) rows.push(['adapter', 'none']);
  else rows.push(...adapterRows(adapter));
  rows.push(['cache folder', report.cacheFolder]);
  rows.push(['driver folder', `${report.driverFolder} (${report.driverFolderHolds ?? 'no driver in it'})`]);
  if (problem !== null) {
    rows.push(['missing', problem.missing], ['what helps', problem.remedy]);
    if (problem.withoutRoot !== null) rows.push(['without root', problem.withoutRoot]);
  }
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
}

function adapterRows(adapter: NonNullable<DoctorReport['adapter']>): [string, string][] {
  const kind = adapter.software ? 'software' : 'GPU';
  const name = adapter.description === '' ? adapter.device : adapter.description;
  const rows: [string, string][] = [
    ['adapter', `${name} (${kind}, vendor ${adapter.vendor || 'unknown'})`],
    ['driver', DRIVER_TEXTS[adapter.driver]],
  ];
  for (const [feature, has] of Object.entries(adapter.features)) rows.push([feature, has ? 'yes' : 'no']);
  for (const [limit, value] of Object.entries(adapter.limits)) rows.push([limit, limitText(limit, value)]);
  if (adapter.memoryBudgetBytes !== null) rows.push(['memory budget', mebibytes(adapter.memoryBudgetBytes)]);
  return rows;
}

const DRIVER_TEXTS = {
  browser: "the browser's",
  system: "the system's",
  'nvidia-egl': "NVIDIA's, through its EGL library",
  private: 'the private software driver in the driver folder',
  warp: "Direct3D's software adapter",
} as const;

function limitText(name: string, value: number): string {
  return /BufferSize|BindingSize/.test(name) ? mebibytes(value) : value.toLocaleString('en');
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / 2 ** 20).toLocaleString('en')} MiB`;
}
