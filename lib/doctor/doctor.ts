/**
 * The doctor. The checks run in a child process, so that neither a crash nor a file system that does not answer can stop
 * the report.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { packageFolder } from '../package.js';
import {
  type CheckName,
  checkNames,
  type DoctorReport,
  type Finding,
  fault,
  warning,
  worst,
} from './finding.js';
import { installAll, missingPackages, missingText, ownVersion } from './installed.js';
import type { DoctorOptions } from './options.js';

/** Milliseconds after which a check is reported as unfinished; those that open GPU drivers take longer. */
const LIMIT = 30_000;
const LIMITS: Partial<Record<CheckName, number>> = { cpu: 40_000, binaries: 50_000, backends: 90_000 };

type Message = { readonly check: CheckName; readonly findings: readonly Finding[] };

/** Runs all checks and returns their findings; never rejects. Takes some seconds, and at most 90 s. */
export async function doctor(options: DoctorOptions = {}): Promise<DoctorReport> {
  const findings = await collect(startChild(options));
  return { status: worst(findings), version: ownVersion(packageFolder), findings };
}

/**
 * Returns the findings that a process sends, in the order of `checkNames`, and ends it. A check without findings when its
 * time is over, or when the process has ended, is a warning.
 * @param limitOf time of a check in milliseconds, for tests
 */
export async function collect(
  child: ChildProcess,
  limitOf = (check: CheckName) => LIMITS[check] ?? LIMIT,
): Promise<readonly Finding[]> {
  const results = new Map<CheckName, readonly Finding[]>();
  const end = await new Promise<string>((resolve) => {
    let stderr = '';
    const add = (check: CheckName, findings: readonly Finding[]) => {
      if (!results.has(check)) results.set(check, findings);
      if (results.size === checkNames.length) finish('exit code 0');
    };
    const timers = checkNames.map((check) => {
      const limit = limitOf(check);
      const late = unfinished(check, `did not finish within ${limit / 1000} s`);
      return setTimeout(() => add(check, [late]), limit);
    });
    const finish = (how: string) => {
      for (const timer of timers) clearTimeout(timer);
      release(child);
      resolve(stderr.trim() === '' ? how : `${how}: ${errorLine(stderr)}`);
    };
    child.stderr?.on('data', (data: Buffer) => {
      stderr = (stderr + data.toString()).slice(-10_000);
    });
    child.on('message', ({ check, findings }: Message) => add(check, findings));
    child.on('error', (error) => finish(error.message));
    child.on('close', (code, signal) => finish(signal ?? `exit code ${code}`));
  });
  if (results.size === 0) return [cannotStart(end)];
  return checkNames.flatMap((check) => results.get(check) ?? [unfinished(check, `did not finish (${end})`)]);
}

function startChild(options: DoctorOptions): ChildProcess {
  const { NODE_OPTIONS: _, ...env } = process.env;
  // An entry of the bundle (scripts/bundle.mjs).
  return fork(join(packageFolder, 'dist/doctor/child.js'), [JSON.stringify(options)], {
    execArgv: [],
    env: { ...env, ELECTRON_RUN_AS_NODE: '1' },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
}

/** Ends the child without waiting for it: a process that waits for a file system cannot be killed. */
function release(child: ChildProcess): void {
  child.removeAllListeners();
  child.on('error', () => undefined);
  child.kill('SIGKILL');
  if (child.connected) child.disconnect();
  child.stderr?.destroy();
  child.unref();
}

function unfinished(check: CheckName, text: string): Finding {
  return { check, ...warning(`The check of ${check} ${text}`, undefined) };
}

/** Returns the fault of checks that cannot start, usually because a package is missing. */
function cannotStart(end: string): Finding {
  const missing = missingPackages(packageFolder);
  const message = missing.length > 0 ? missingText(missing) : 'The checks cannot start';
  const place = { packageFolder, platform: process.platform };
  return { check: 'packages', ...fault(message, installAll(place), { details: [end], data: { missing } }) };
}

/** Returns the line of an error in the output of a process. */
function errorLine(text: string): string {
  const lines = text.trim().split('\n');
  return (lines.find((line) => /^\w*Error\b/.test(line)) ?? lines.at(-1) ?? '').trim();
}
