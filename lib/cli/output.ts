/** What commands print: results to stdout, everything else to stderr. */
import { access, constants, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { SafelightError } from '../errors.js';
import { Warnings } from '../warnings.js';
import { EXIT, UsageError } from './failure.js';

/**
 * Readers may go away: without one for the results (`safelight inspect x | head`) the program ends quietly; progress that nobody
 * reads is no reason to stop.
 */
export function guardPipes(): void {
  const onError = (onGone: () => void) => (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return onGone();
    // A full disk, mostly. On stderr there is nowhere left to say so.
    if (error.code !== undefined)
      process.stderr.write(`safelight: cannot write the output: ${error.message}\n`);
    process.exit(EXIT.failed);
  };
  process.stdout.on(
    'error',
    onError(() => process.exit(process.exitCode ?? 0)),
  );
  process.stderr.on(
    'error',
    onError(() => undefined),
  );
}

/** Stdout, or stderr where stdout carries an output file. */
let results: NodeJS.WriteStream = process.stdout;

export function print(text: string): void {
  results.write(`${text}\n`);
}

/** One line of JSON. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value));
}

/** A line of a structured log, as the server's has them, with its end. */
export function lineOfLog(message: string, about: Readonly<Record<string, unknown>> = {}): string {
  return `${JSON.stringify({ level: 30, time: Date.now(), pid: process.pid, ...about, msg: message })}\n`;
}

/**
 * Collects a command's warnings. Without `json` each is printed to stderr as it occurs, `--quiet` or not.
 * @param clear removes a progress bar that may be on the line
 */
export function collectWarnings(json: boolean | undefined, clear: () => void): Warnings {
  return new Warnings(({ message }) => {
    if (json) return;
    clear();
    process.stderr.write(`safelight: warning: ${message.replaceAll('\n', ' ')}\n`);
  });
}

/**
 * Checks before any work is done that `path` can be written. What goes to stdout (`-`, `/dev/stdout`) has it for itself: reports go to stderr from
 * here on.
 * @throws FILE_NOT_WRITTEN; UsageError for stdout with `json`, or where it is a terminal
 */
export async function checkOutput(path: string, json: boolean | undefined): Promise<void> {
  const { destinationOf } = await import('../files/destination.js');
  const destination = await destinationOf(path);
  if (destination.kind === 'stdout') return reserveStdout(path, json);
  const fail = (why: string, cause?: unknown) =>
    new SafelightError('FILE_NOT_WRITTEN', `Cannot write '${path}': ${why}`, { cause });
  const existing = destination.kind === 'file' ? destination.existing : true;
  if (existing) {
    await access(path, constants.W_OK).catch((error: unknown) => {
      throw fail('it is not writable', error);
    });
    return;
  }
  const folder = dirname(destination.path);
  const info = await stat(folder).catch((error: unknown) => {
    throw fail(`the folder '${folder}' does not exist`, error);
  });
  if (!info.isDirectory()) throw fail(`'${folder}' is not a folder`);
  await access(folder, constants.W_OK).catch((error: unknown) => {
    throw fail(`the folder '${folder}' is not writable`, error);
  });
}

function reserveStdout(path: string, json: boolean | undefined): void {
  if (json) throw new UsageError(`--json and an output of '${path}' both write to stdout; name a file`);
  if (process.stdout.isTTY)
    throw new UsageError(`'${path}' is a terminal, which shows no such data; redirect it, or name a file`);
  results = process.stderr;
}

/** @throws FILE_NOT_FOUND before any work is done */
export async function checkInput(path: string, what: string): Promise<void> {
  const info = await stat(path).catch((error: unknown) => {
    throw new SafelightError('FILE_NOT_FOUND', `There is no ${what} at '${path}'`, { cause: error });
  });
  if (info.isDirectory()) throw new SafelightError('FILE_NOT_FOUND', `'${path}' is a folder, not a ${what}`);
  // A pipe is read to its end, such as a shell's <(command); a device may have none.
  if (!info.isFile() && !info.isFIFO())
    throw new SafelightError('FILE_NOT_FOUND', `'${path}' is a device, not a ${what}`);
}

/** Rows under a heading, each column as wide as its widest cell; the last column is not padded. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [heading, ...rows];
  const widths = heading.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all
    .map((row) =>
      row
        .map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** `2.1 GB`, `340 kB`; decimal units, as disks and downloads are labelled. */
export function bytes(count: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let [value, unit] = [count, 0];
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `0.42 s`, `12 s`, `3 min 5 s`, `2 h 10 min`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(seconds < 1 ? 2 : 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
