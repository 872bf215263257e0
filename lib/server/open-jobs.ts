/** Opens the models and the job queue of a configuration, for servers over HTTP and over stdio. */
import { resolve } from 'node:path';
import { defined } from '../defined.js';
import { SafelightError } from '../errors.js';
import { dataFolder } from '../hub/environment.js';
import { Catalog } from '../jobs/models/catalog.js';
import { configuredModels, type ModelProblem, promptFoldersIn } from '../jobs/models/configured.js';
import { openLocalJobs, openRedisJobs } from '../jobs/open.js';
import type { RunJob } from '../jobs/run/context.js';
import { runJob } from '../jobs/run-job.js';
import type { PrepareRequest } from '../jobs/service/submission.js';
import { DataFolder } from '../jobs/store/data-folder.js';
import { DataLock } from '../jobs/store/data-lock.js';
import type { JobQueue } from '../jobs/types.js';
import type { PromptFileOptions } from '../pipelines/prompt-files.js';
import { type ServeConfig, type ServeInput, serveSchema } from './config.js';

/** Validates a configuration and fills in the defaults. @throws INVALID_OPTION */
export function checkConfig(input: ServeInput): ServeConfig {
  const checked = serveSchema.safeParse(input);
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues;
  const name = issue?.path.join('.') || 'the configuration';
  throw new SafelightError('INVALID_OPTION', `Invalid value for ${name}: ${issue?.message}`);
}

/** The models of a configuration. */
export interface OpenedCatalog {
  readonly catalog: Catalog;
  readonly problems: readonly ModelProblem[];
}

/** @throws INVALID_OPTION, FILE_NOT_FOUND and MODEL_NOT_FOUND for a model */
export async function openCatalog(config: ServeConfig): Promise<OpenedCatalog> {
  const problems: ModelProblem[] = [];
  const catalog = await Catalog.open(
    await configuredModels({
      ...{ model: config.model, models: config.models, starter: config.starter },
      remote: config.queue !== undefined,
      onProblem: (problem) => problems.push(problem),
    }),
    defined({
      backend: config.backend,
      memory: config.memory,
      precision: config.precision,
      storage: config.storage,
      threads: config.threads || undefined,
      previewVaes: config['preview-vae'],
      ...promptFilesOf(config),
    }),
    {
      ...{ maxSide: config['max-side'], maxPixels: config['max-pixels'], maxCount: config['max-count'] },
      ...{ maxSteps: config['max-steps'], maxPrompt: config['max-prompt'] },
    },
    { budget: config['memory-budget'], idle: config.idle },
  );
  return { catalog, problems };
}

/** Formats the log message of a model that cannot be offered or loaded. */
export function problemMessage({ model, offered }: ModelProblem): string {
  return offered
    ? `model ${model} cannot be loaded, its jobs will fail`
    : `${model} in the models folder is skipped`;
}

/** Returns the folders that prompts refer to: in the folder of models, and the styles in the data folder. */
export function promptFilesOf({ models, data }: Pick<ServeConfig, 'models' | 'data'>): PromptFileOptions {
  const stylesFile = resolve(data ?? dataFolder(), 'styles.csv');
  return { ...promptFoldersIn(models), stylesFile };
}

export interface OpenedQueue {
  readonly queue: JobQueue;
  /** Lock of the data folder of a local queue. */
  readonly lock?: DataLock;
  /** Problems of the stored jobs, which were opened nevertheless. */
  readonly warnings: readonly string[];
}

/**
 * Opens the job queue. Servers that share a Redis may share a data folder; a local queue locks it.
 * @param patience milliseconds to wait for another process that uses the data folder and is about to end
 * @throws FILE_NOT_WRITTEN and DATA_IN_USE for the data folder, QUEUE_UNAVAILABLE for Redis
 */
export async function openQueue(
  config: ServeConfig,
  catalog: Catalog,
  patience?: number,
): Promise<OpenedQueue> {
  const folder = resolve(config.data ?? dataFolder());
  const data = await DataFolder.open(folder);
  const prepare: PrepareRequest = (request) =>
    catalog.upscalers.settle(request.type, catalog.prepare(request));
  const options = {
    ...{ maxPixels: config['max-pixels'], maxQueued: config['max-queued'] },
    ...{ keepJobs: config['keep-jobs'], keepDays: config['keep-days'] },
  };
  if (config.queue !== undefined)
    return { queue: await openRedisJobs({ url: config.queue, data, prepare }, options), warnings: [] };
  const lock = await DataLock.acquire(folder, patience);
  const run: RunJob = (job, context) => runJob(job, catalog, context);
  const warnings: string[] = [];
  const onWarning = (warning: string) => warnings.push(warning);
  try {
    const queue = await openLocalJobs({ data, lock, prepare, run, onWarning }, options);
    return { queue, lock, warnings };
  } catch (error) {
    await lock.close();
    throw error;
  }
}
