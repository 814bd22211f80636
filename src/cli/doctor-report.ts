// The facts that `visionzip doctor` prints: the machine, the adapter, what is missing. Node only.

import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder, driverFolder } from '../tensor/dawn-files.ts';
import { diagnose, type ProbeOutcome, type Problem } from './diagnose.ts';
import { type Host, readHost } from './host.ts';
import type { ProbedAdapter, ProbeResult } from './probe.ts';

export interface DoctorReport {
  readonly host: Host;
  readonly adapter: ProbedAdapter | null;
  readonly problem: Problem | null;
  readonly cacheFolder: string;
  readonly driverFolder: string;
  readonly driverFolderHolds: string | null; // null if there is no driver in it
}

interface ProbeRun {
  readonly outcome: ProbeOutcome;
  readonly adapter: ProbedAdapter | null;
}

const PROBE_LIMIT_MS = 60_000;

/** Probes for an adapter in a child process and says what was found. Never throws for what a driver does. */
export async function doctorReport(folder?: string): Promise<DoctorReport> {
  const host = readHost();
  const { outcome, adapter } = await runProbe(folder);
  return {
    host,
    adapter,
    problem: diagnose(host, outcome),
    cacheFolder: cacheFolder(),
    driverFolder: folder ?? driverFolder(),
    driverFolderHolds: readContents(folder ?? driverFolder()),
  };
}

function runProbe(folder: string | undefined): Promise<ProbeRun> {
  const program = fileURLToPath(new URL('./probe.js', import.meta.url));
  const options = folder === undefined ? [] : ['--driver-folder', folder];
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, [program, ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
    const text = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (part) => (text.stdout += part));
    child.stderr.setEncoding('utf8').on('data', (part) => (text.stderr += part));
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, PROBE_LIMIT_MS);
    child.on('error', failed);
    child.on('close', (exitCode, signal) => {
      clearTimeout(timer);
      const line = /^probe: (.*)$/m.exec(text.stdout)?.[1];
      const { adapter, error }: ProbeResult =
        line === undefined ? { adapter: null, error: null } : JSON.parse(line);
      const outcome = {
        exitCode,
        signal,
        timedOut,
        hasAdapter: adapter !== null,
        error,
        stderr: text.stderr,
      };
      done({ outcome, adapter });
    });
  });
}

/** What set-up wrote about the driver it put there. */
function readContents(folder: string): string | null {
  if (!existsSync(join(folder, 'icd.json'))) return null;
  try {
    return readFileSync(join(folder, 'contents.txt'), 'utf8').trim();
  } catch {
    return 'a driver that set-up did not put there';
  }
}
