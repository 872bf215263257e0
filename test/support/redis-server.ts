/** A Redis server for a test, if the machine has one and the packages are installed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.js';

const SERVER = '/usr/bin/redis-server';

/** The reason why there is none, or undefined. */
export const withoutRedis: string | undefined = await why();

async function why(): Promise<string | undefined> {
  if (!existsSync(SERVER)) return 'no redis-server (apt-get install redis-server)';
  for (const name of ['bullmq', 'ioredis']) {
    const there = await import(name).then(
      () => true,
      () => false,
    );
    if (!there) return `the package ${name} is not installed`;
  }
  return undefined;
}

export interface TestRedis {
  readonly url: string;
  readonly process: ChildProcess;
  /** Ends it as a crash would. */
  end(): Promise<void>;
}

export async function startRedis(port?: number): Promise<TestRedis> {
  const folder = await mkdtemp(join(tmpdir(), 'safelight-redis-'));
  const at = port ?? (await freePort());
  const flags = ['--bind', '127.0.0.1', '--port', String(at), '--save', '', '--dir', folder];
  const child = spawn(SERVER, flags, { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  for await (const line of child.stdout) if (String(line).includes('Ready to accept')) break;
  const end = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  return { url: `redis://127.0.0.1:${at}`, process: child, end };
}
