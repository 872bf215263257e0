/**
 * Opens the job service with one of its two stores: a file, whose jobs run in this process, or Redis, whose jobs
 * run in workers.
 */
import { join } from 'node:path';
import type { RunJob } from './run/context.js';
import { JobService, type ServiceOptions } from './service/job-service.js';
import { JobRunner } from './service/runner.js';
import type { PrepareRequest } from './service/submission.js';
import type { DataFolder } from './store/data-folder.js';
import type { DataLock } from './store/data-lock.js';
import { DiskWatch, isDiskError } from './store/disk.js';
import { LocalStore } from './store/local/store.js';
import { RedisStore } from './store/redis/store.js';

export interface LocalParts {
  readonly data: DataFolder;
  /** Lock of the data folder, released when the service is closed. */
  readonly lock?: DataLock | undefined;
  readonly prepare: PrepareRequest;
  readonly run: RunJob;
  /** Called with a sentence for each problem of the stored jobs that does not prevent opening them. */
  readonly onWarning?: ((message: string) => void) | undefined;
}

/**
 * Opens the jobs of the data folder and runs them one at a time, starting with those that were running when the
 * previous process ended.
 * @throws FILE_NOT_WRITTEN
 */
export async function openLocalJobs(parts: LocalParts, options: ServiceOptions = {}): Promise<JobService> {
  const { data, lock, prepare, run, onWarning } = parts;
  const disk = new DiskWatch(data.path);
  const store = LocalStore.open({ folder: join(data.path, 'queue'), data, disk, onWarning });
  const runner = new JobRunner({
    ...{ turns: store.turns, run },
    onFailure: (error) => {
      if (isDiskError(error)) disk.failed(error); // writes of later results would fail too
    },
  });
  const service = await JobService.open({ store, disk, prepare, runner, lock }, options);
  await runner.start();
  return service;
}

export interface RedisParts {
  readonly url: string;
  readonly data: DataFolder;
  readonly prepare: PrepareRequest;
}

/** Opens the jobs of a Redis server, which are run by workers. @throws QUEUE_UNAVAILABLE, INVALID_OPTION */
export async function openRedisJobs(
  { url, data, prepare }: RedisParts,
  options: ServiceOptions = {},
): Promise<JobService> {
  const store = await RedisStore.open({ url, data });
  return JobService.open({ store, disk: new DiskWatch(data.path), prepare }, options);
}
