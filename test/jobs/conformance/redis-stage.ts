/** Jobs in Redis, with a server and workers. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openRedisJobs } from '../../../lib/jobs/open.js';
import type { RunJob } from '../../../lib/jobs/run/context.js';
import type { JobService, ServiceOptions } from '../../../lib/jobs/service/job-service.js';
import { DataFolder } from '../../../lib/jobs/store/data-folder.js';
import { connectRedis } from '../../../lib/jobs/store/redis/connect.js';
import { RedisTurns } from '../../../lib/jobs/store/redis/turns.js';
import { startRedis, type TestRedis, withoutRedis } from '../../support/redis-server.js';
import { startWorker, type TestWorker } from '../../support/redis-worker.js';
import { prepare, type Stage, type StageKind, type StageRunner } from './stage.js';

/** Milliseconds after which a killed worker's job is retried on another worker. */
const LOCK = 640;
let redis: Promise<TestRedis> | undefined;
let stages = 0;

export const redisKind: StageKind = {
  name: 'Redis',
  missing: withoutRedis,
  open: async () => {
    redis ??= startRedis();
    const url = `${(await redis).url}/${stages++ % 16}`;
    await send(url, 'flushdb');
    const folder = await mkdtemp(join(tmpdir(), 'safelight-jobs-'));
    return new RedisStage(folder, url, await opened(folder, url));
  },
  close: async () => (await redis)?.end(),
};

class RedisStage implements Stage {
  private readonly workers: TestWorker[] = [];
  private readonly turns: RedisTurns[] = [];

  constructor(
    private readonly folder: string,
    private readonly url: string,
    public service: JobService,
  ) {}

  async restart(options?: ServiceOptions): Promise<JobService> {
    await this.service.close({ drain: false });
    this.service = await opened(this.folder, this.url, options);
    return this.service;
  }

  async startRunner(run: RunJob): Promise<StageRunner> {
    const worker = await startWorker({ url: this.url, models: ['a'], lock: LOCK }, { run });
    this.workers.push(worker);
    return { close: (options) => worker.close(options), kill: async () => worker.freeze() };
  }

  async openTurns(): Promise<RedisTurns> {
    const turns = await RedisTurns.open({ url: this.url, models: ['a'], lock: LOCK });
    this.turns.push(turns);
    return turns;
  }

  async setAttempts(id: string, attempts: number): Promise<void> {
    await send(this.url, 'hset', `safelight:job:${id}`, 'attempts', String(attempts));
  }

  async setFailing(isFailing: boolean): Promise<void> {
    await send(this.url, 'config', 'SET', 'maxmemory', isFailing ? '1' : '0');
  }

  async end(): Promise<void> {
    await this.setFailing(false);
    await Promise.all(this.workers.map((worker) => worker.close({ drain: false })));
    await Promise.all(this.turns.map((turns) => turns.close()));
    await this.service.close({ drain: false });
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function opened(folder: string, url: string, options?: ServiceOptions): Promise<JobService> {
  return openRedisJobs({ url, data: await DataFolder.open(folder), prepare }, options);
}

async function send(url: string, command: string, ...values: string[]): Promise<void> {
  const client = await connectRedis(url, false);
  const method: unknown = Reflect.get(client, command);
  if (typeof method !== 'function') throw new Error(`expected a Redis client with ${command}`);
  await method.apply(client, values);
  client.disconnect();
}
