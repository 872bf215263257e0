/** Checks the port of `safelight serve`. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { DoctorEnvironment } from '../environment.js';
import { fault, ok, type Result } from '../finding.js';
import { usedFolder } from '../folders.js';
import { readNote } from './locks.js';

/** Default of `safelight serve` (server/config.ts). */
const DEFAULT = 7860;
const HOST = '127.0.0.1';
/** Number of following ports that are tried for the suggestion. */
const TRIED = 50;

export async function checkPort(environment: DoctorEnvironment): Promise<readonly Result[]> {
  const port = environment.options.port ?? DEFAULT;
  const code = await bindError(port);
  if (code === undefined) return [ok(`Port ${port} is free`, { data: { port, free: true } })];
  const free = await freePort(port === 0 || code === 'EACCES' ? DEFAULT : port + 1);
  const command = `npx safelight serve --port ${free}`;
  if (code === 'EACCES')
    return [
      fault(`This user may not listen on port ${port}`, command, { data: { port, free: false, code } }),
    ];
  if (code !== 'EADDRINUSE')
    return [
      fault(`Port ${port} of ${HOST} cannot be used (${code})`, command, {
        data: { port, free: false, code },
      }),
    ];
  const note = await readNote(join(usedFolder(environment, 'data').path, 'lock'));
  const owner = ownerOf(environment, port);
  const data = { port, free: false, code, owner: owner ?? null };
  if (note?.url?.endsWith(`:${port}`) && (owner === undefined || owner.pid === note.pid))
    return [ok(`Port ${port} is used by the running Safelight server, process ${note.pid}`, { data })];
  const by = owner ? `process ${owner.pid} (${owner.name})` : 'another process';
  return [fault(`Port ${port} is used by ${by}`, command, { data })];
}

/** Returns the error code of listening on a port; undefined if it is free. */
function bindError(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ port, host: HOST, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

async function freePort(first: number): Promise<number> {
  for (let port = first; port < Math.min(first + TRIED, 65_536); port++)
    if ((await bindError(port)) === undefined) return port;
  return 0; // any free port
}

/** Returns the process that listens on a port, from Linux's /proc; undefined if it is another user's or unknown. */
function ownerOf({ system }: DoctorEnvironment, port: number): { pid: number; name: string } | undefined {
  const inodes = new Set(
    ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((path) => listeners(system(path), port)),
  );
  if (inodes.size === 0) return undefined;
  for (const pid of entries(system('/proc'))) {
    if (!/^\d+$/.test(pid)) continue;
    const folder = system(`/proc/${pid}/fd`);
    for (const descriptor of entries(folder)) {
      const inode = /^socket:\[(\d+)\]$/.exec(linkTarget(join(folder, descriptor)))?.[1];
      if (inode !== undefined && inodes.has(inode)) return { pid: Number(pid), name: nameOf(system, pid) };
    }
  }
  return undefined;
}

/** Returns the inodes of the sockets that listen on a port. */
function listeners(path: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return readText(path)
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = '', , state]) => local.endsWith(suffix) && state === '0A')
    .map((fields) => fields[9] ?? '');
}

function nameOf(system: DoctorEnvironment['system'], pid: string): string {
  return readText(system(`/proc/${pid}/comm`)).trim() || 'unknown';
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function linkTarget(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function entries(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
