/** Output of commands: results to stdout, everything else to stderr. */
import { access, constants, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { SafelightError } from '../errors.js';
import { Warnings } from '../warnings.js';
import { EXIT, UsageError } from './failure.js';

/**
 * Handles closed pipes: the program ends quietly if stdout is closed (`safelight inspect x | head`) and continues
 * if only stderr is.
 */
export function guardPipes(): void {
  const onError = (onGone: () => void) => (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return onGone();
    // Usually a full disk. An error of stderr itself cannot be reported.
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

/** Stdout, or stderr if stdout receives an output file. */
let results: NodeJS.WriteStream = process.stdout;

export function print(text: string): void {
  results.write(`${text}\n`);
}

/** Prints a value as one line of JSON. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value));
}

/** Formats a line of a structured log in the server's format, including the line break. */
export function logLine(message: string, about: Readonly<Record<string, unknown>> = {}): string {
  return `${JSON.stringify({ level: 30, time: Date.now(), pid: process.pid, ...about, msg: message })}\n`;
}

/**
 * Collects a command's warnings. Without `json`, each is printed to stderr immediately, even with `--quiet`.
 * @param clear removes a progress bar that may be on the line
 */
export function collectWarnings(json: boolean | undefined, clear: () => void): Warnings {
  return new Warnings(({ code, message }) => {
    if (json) return;
    clear();
    // Suitable defaults are no reason for concern.
    const label = code === 'FEW_STEP_DEFAULTS' ? '' : 'warning: ';
    process.stderr.write(`safelight: ${label}${message.replaceAll('\n', ' ')}\n`);
  });
}

/**
 * Checks before any work is done that `path` can be written. If it is stdout (`-`, `/dev/stdout`), all later
 * reports go to stderr.
 * @throws FILE_NOT_WRITTEN; UsageError for stdout with `json`, or if stdout is a terminal
 */
export async function checkOutput(path: string, json: boolean | undefined): Promise<void> {
  const { destinationOf } = await import('../files/destination.js');
  const destination = await destinationOf(path);
  if (destination.kind === 'stdout') return reserveStdout(path, json);
  const fail = (reason: string, cause?: unknown) =>
    new SafelightError('FILE_NOT_WRITTEN', `Cannot write '${path}': ${reason}`, { cause });
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
  if (json) throw new UsageError(`--json and the output '${path}' both write to stdout; name a file`);
  if (process.stdout.isTTY)
    throw new UsageError(
      `'${path}' is a terminal, which cannot display binary data; redirect it, or name a file`,
    );
  results = process.stderr;
}

/** Checks before any work is done that an input file exists. @throws FILE_NOT_FOUND */
export async function checkInput(path: string, kind: string): Promise<void> {
  const info = await stat(path).catch((error: unknown) => {
    throw new SafelightError('FILE_NOT_FOUND', `No ${kind} exists at '${path}'`, { cause: error });
  });
  if (info.isDirectory())
    throw new SafelightError(
      'FILE_NOT_FOUND',
      `Expected the ${kind} '${path}' to be a file, but it is a folder`,
    );
  // Pipes, such as a shell's <(command), are read to their end; a device may have none.
  if (!info.isFile() && !info.isFIFO())
    throw new SafelightError(
      'FILE_NOT_FOUND',
      `Expected the ${kind} '${path}' to be a file, but it is a device`,
    );
}

/** Formats a table with aligned columns; the last column is not padded. */
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

/** Formats a number of bytes in decimal units: `2.1 GB`, `340 kB`. */
export function bytes(count: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let [value, unit] = [count, 0];
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** Formats a duration: `0.42 s`, `12 s`, `3 min 5 s`, `2 h 10 min`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(seconds < 1 ? 2 : 1)} s`;
  const rounded = Math.round(seconds);
  if (rounded < 60) return `${rounded} s`;
  if (rounded < 3600) return `${Math.floor(rounded / 60)} min ${rounded % 60} s`;
  return `${Math.floor(rounded / 3600)} h ${Math.floor((rounded % 3600) / 60)} min`;
}
