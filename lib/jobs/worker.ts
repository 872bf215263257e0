/** A worker from its configuration to its end: its models, and the jobs it takes from Redis for them. */
import { Catalog, type Loading } from './models/catalog.js';
import { configuredModels } from './models/configured.js';
import type { RunJob } from './run/context.js';
import { runJob } from './run-job.js';
import { defaultLimits } from './schemas.js';
import { JobRunner } from './service/runner.js';
import { RedisTurns } from './store/redis/turns.js';

export interface WorkerConfig extends Loading {
  /** `redis://...` */
  readonly queue: string;
  /** `NAME=PATH` or paths. */
  readonly model?: readonly string[] | undefined;
  /** A folder of models. */
  readonly models?: string | undefined;
  /** Also takes jobs of the bundled models; default true. */
  readonly starter?: boolean | undefined;
  /** Bytes that loaded models may take together. */
  readonly memoryBudget?: number | undefined;
  /** Seconds after which an unused model is unloaded; 0 is never. */
  readonly idle?: number | undefined;
  /** Jobs at a time; default 1. */
  readonly concurrency?: number | undefined;
  readonly log?: (message: string, about: Readonly<Record<string, unknown>>) => void;
}

export interface RunningWorker {
  /** Names of the models it has. */
  readonly models: readonly string[];
  /** With `drain` the jobs under way end first, else other workers run them again. */
  close(options: { readonly drain: boolean }): Promise<void>;
}

/** @throws INVALID_OPTION, FILE_NOT_FOUND, QUEUE_UNAVAILABLE */
export async function startWorker(config: WorkerConfig): Promise<RunningWorker> {
  const { queue, model, models, starter, memoryBudget, idle, concurrency, log, ...loading } = config;
  const configured = await configuredModels({
    ...{ model, models, starter },
    onProblem: ({ offered, ...problem }) =>
      log?.(
        offered ? 'a model cannot be loaded: its jobs will fail' : 'left out of the folder of models',
        problem,
      ),
  });
  // Options were checked against the limits of the server that took the job.
  const pool = { budget: memoryBudget, idle };
  const catalog = await Catalog.open(configured, loading, defaultLimits, pool);
  const turns = await RedisTurns.open({
    ...{ url: queue, models: catalog.pool.names },
    onProblem: ({ message }) => log?.('the queue has a problem', { error: message }),
  });
  const run: RunJob = (job, context) => runJob(job, catalog.pool, context);
  const runner = new JobRunner({ turns, run, concurrency, log });
  await runner.start();
  const close = async (options: { readonly drain: boolean }): Promise<void> => {
    await runner.close(options);
    await catalog.pool.close();
  };
  return { models: catalog.pool.names, close };
}
