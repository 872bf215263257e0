/** Checks the locks of the data folder and of downloads: which are held, and which were left by dead processes. */
import { readFile, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { defined } from '../../defined.js';
import { filesUnder } from '../../hub/cache.js';
import { LOCKED_BYTE } from '../../jobs/store/data-lock.js';
import type { DoctorEnvironment } from '../environment.js';
import { fault, ok, type Result, warning } from '../finding.js';
import { usedFolder } from '../folders.js';
import { quoted } from '../installed.js';
import { runNode } from '../run-node.js';
import { loadingBinary } from './backends.js';

/** Age in milliseconds after which a lock file is taken over; its owner touches it every 5 s (hub/lock.ts). */
const STALE = 30_000;

/** Content of the data folder's lock file (jobs/store/data-lock.ts). */
export interface LockNote {
  readonly pid: number;
  readonly host?: string;
  readonly url?: string;
}

export async function checkLocks(environment: DoctorEnvironment): Promise<readonly Result[]> {
  const data = usedFolder(environment, 'data').path;
  const cache = usedFolder(environment, 'hub').path;
  const own = [join(data, 'lock.safelight'), ...(await filesUnder(join(cache, '.locks')))].filter((path) =>
    path.endsWith('.safelight'),
  );
  const stale = (await Promise.all(own.map((path) => lockFile(environment, path)))).flat();
  const owner = await dataOwner(environment, join(data, 'lock'));
  return stale.length > 0 ? [...stale, ...owner] : owner.length > 0 ? owner : [ok('No lock is held')];
}

/** Examines a lock that consists of the existence of a file. */
async function lockFile(environment: DoctorEnvironment, path: string): Promise<readonly Result[]> {
  const touched = await lastTouch(path);
  if (touched === undefined) return [];
  const pid = Number.parseInt(await readFile(path, 'utf8').catch(() => ''), 10);
  const age = Date.now() - touched;
  const owner = Number.isInteger(pid) ? `process ${pid}` : 'an unknown process';
  const data = { path, pid: Number.isInteger(pid) ? pid : null, age: Math.round(age / 1000) };
  const command = `${environment.platform === 'win32' ? 'del' : 'rm'} ${quoted(path, environment.platform)}`;
  if (age > STALE)
    return [
      warning(
        `The lock ${quoted(path)} was left by ${owner} and is taken over by the next process that needs it`,
        command,
        { data },
      ),
    ];
  if (!Number.isInteger(pid) || environment.isAlive(pid))
    return [ok(`The lock ${quoted(path)} is held by ${owner}`, { data })];
  // The process may run on another machine or in another container: it would touch the file.
  await sleep(environment.lockPatience);
  const later = await lastTouch(path);
  if (later === undefined) return [];
  if (later !== touched)
    return [ok(`The lock ${quoted(path)} is held by ${owner} of another machine or container`, { data })];
  return [fault(`The lock ${quoted(path)} is stale: ${owner} left it and no longer runs`, command, { data })];
}

async function lastTouch(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.mtimeMs;
}

/** Describes the process that uses the data folder. The system releases this lock with the process. */
async function dataOwner(environment: DoctorEnvironment, path: string): Promise<readonly Result[]> {
  const note = await readNote(path);
  if (note === undefined) return [];
  const { pid, host, url } = note;
  const who = [`process ${pid}`, host && host !== hostname() && `on ${host}`, url && `at ${url}`];
  const owner = who.filter(Boolean).join(' ');
  const state = await lockState(environment, path);
  const data = { path, ...note, state };
  if (state === 'busy') return [ok(`The data folder is in use by ${owner}`, { data })];
  if (state === 'locked')
    return [ok(`The lock of the data folder is free, although ${owner} was killed`, { data })];
  return [ok(`The data folder was last used by ${owner}`, { data })];
}

/** Reads the lock file of a data folder; undefined if no process has noted itself there. */
export async function readNote(path: string): Promise<LockNote | undefined> {
  try {
    const note: unknown = JSON.parse((await readFile(path, 'utf8')).slice(0, 4096));
    if (typeof note !== 'object' || note === null) return undefined;
    const { pid, host, url } = note as Readonly<Record<string, unknown>>;
    if (typeof pid !== 'number') return undefined;
    const text = (value: unknown) => (typeof value === 'string' ? value : undefined);
    return { pid, ...defined({ host: text(host), url: text(url) }) };
  } catch {
    return undefined;
  }
}

const TRY_LOCK = `
const [file, path, byte] = process.argv.slice(1);
const lock = require(file).tryLock(path, Number(byte));
console.log(typeof lock === 'object' ? 'locked' : lock);
process.exit(0);
`;

/** Tries the lock in a child process, whose end releases it; undefined without a native binary. */
async function lockState(environment: DoctorEnvironment, path: string): Promise<string | undefined> {
  const file = await loadingBinary(environment);
  if (file === undefined) return undefined;
  const { stdout } = await runNode(['-e', TRY_LOCK, file, path, `${LOCKED_BYTE}`], 5000);
  return /locked|busy|unsupported/.exec(stdout)?.[0];
}
