/** What commands print: results to stdout, everything else to stderr. */
import { access, constants, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { SafelightError } from '../errors.js';
import { Warnings } from '../warnings.js';

/**
 * Readers may go away: without one for the results (`safelight inspect x | head`) the program ends quietly; progress that nobody
 * reads is no reason to stop.
 */
export function guardPipes(): void {
  const onError = (onGone: () => void) => (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    onGone();
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

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** One line of JSON. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value));
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

/** @throws FILE_NOT_WRITTEN before any work is done, if `path` cannot become a file */
export async function checkOutput(path: string): Promise<void> {
  const folder = dirname(path);
  const fail = (why: string, cause?: unknown) =>
    new SafelightError('FILE_NOT_WRITTEN', `Cannot write '${path}': ${why}`, { cause });
  const info = await stat(folder).catch((error: unknown) => {
    throw fail(`the folder '${folder}' does not exist`, error);
  });
  if (!info.isDirectory()) throw fail(`'${folder}' is not a folder`);
  await access(folder, constants.W_OK).catch((error: unknown) => {
    throw fail(`the folder '${folder}' is not writable`, error);
  });
  const existing = await stat(path).catch(() => undefined);
  if (existing?.isDirectory()) throw fail('it is a folder');
}

/** @throws FILE_NOT_FOUND before any work is done */
export async function checkInput(path: string, what: string): Promise<void> {
  const info = await stat(path).catch((error: unknown) => {
    throw new SafelightError('FILE_NOT_FOUND', `There is no ${what} at '${path}'`, { cause: error });
  });
  if (!info.isFile()) throw new SafelightError('FILE_NOT_FOUND', `'${path}' is a folder, not a ${what}`);
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
