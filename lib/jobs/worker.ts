/** Starts a worker: a process that runs jobs from Redis with its own models. */
import { Catalog, type Loading } from './models/catalog.js';
import { configuredModels, promptFoldersIn } from './models/configured.js';
import type { RunJob } from './run/context.js';
import { runJob } from './run-job.js';
import { defaultLimits } from './schemas.js';
import { JobRunner } from './service/runner.js';
import { RedisTurns } from './store/redis/turns.js';
import { UPSCALING_QUEUE } from './types.js';

export interface WorkerConfig extends Loading {
  /** Address of the Redis server, `redis://HOST:PORT`. */
  readonly queue: string;
  /** `NAME=PATH`, paths, or names of downloaded or bundled models. */
  readonly model?: readonly string[] | undefined;
  /** A folder of models. */
  readonly models?: string | undefined;
  /** Also runs jobs of the bundled models; default true. */
  readonly starter?: boolean | undefined;
  /** Memory budget of all loaded models, in bytes; default unlimited. */
  readonly memoryBudget?: number | undefined;
  /** Seconds after which an unused model is unloaded; default 900. 0 disables unloading. */
  readonly idle?: number | undefined;
  /** Number of jobs that run concurrently; default 1. */
  readonly concurrency?: number | undefined;
  readonly log?: (message: string, about: Readonly<Record<string, unknown>>) => void;
}

export interface RunningWorker {
  /** Names of the worker's models. */
  readonly models: readonly string[];
  /** Stops the worker. With `drain`, running jobs end first; otherwise other workers run them again. */
  close(options: { readonly drain: boolean }): Promise<void>;
}

/** Starts a worker. @throws INVALID_OPTION, FILE_NOT_FOUND, QUEUE_UNAVAILABLE */
export async function startWorker(config: WorkerConfig): Promise<RunningWorker> {
  const { queue, model, models, starter, memoryBudget, idle, concurrency, log, ...loading } = config;
  const configured = await configuredModels({
    ...{ model, models, starter },
    onProblem: ({ offered, ...problem }) =>
      log?.(
        offered ? 'model cannot be loaded, its jobs will fail' : 'file in the models folder skipped',
        problem,
      ),
  });
  // The options were already validated against the limits of the server that accepted the job.
  const pool = { budget: memoryBudget, idle };
  const files = promptFoldersIn(models);
  const catalog = await Catalog.open(configured, { ...loading, ...files }, defaultLimits, pool);
  const turns = await RedisTurns.open({
    ...{ url: queue, models: [...catalog.pool.names, UPSCALING_QUEUE] },
    onProblem: ({ message }) => log?.('connection to the queue failed', { error: message }),
  });
  const run: RunJob = (job, context) => runJob(job, catalog, context);
  const runner = new JobRunner({ turns, run, concurrency, log });
  await runner.start();
  const close = async (options: { readonly drain: boolean }): Promise<void> => {
    await runner.close(options);
    await catalog.pool.close();
  };
  return { models: catalog.pool.names, close };
}
