/** Starts a server from its configuration. */
import { resolve } from 'node:path';
import type { FastifyInstance } from 'fastify';
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
import { createApp } from './app.js';
import { type ServeConfig, type ServeInput, serveSchema } from './config.js';
import { checkReach } from './security.js';

export interface RunningServer {
  readonly app: FastifyInstance;
  readonly queue: JobQueue;
  /** URL that the server listens on, such as `http://127.0.0.1:7860`. */
  readonly url: string;
  /** Names of the offered models. */
  readonly models: readonly string[];
  /**
   * Stops accepting requests. With `drain`, the running job ends first; otherwise it is queued again for the next
   * start.
   */
  close(options?: { readonly drain?: boolean }): Promise<void>;
}

/**
 * Starts a server. Models are loaded when a job first needs them.
 * @throws INVALID_OPTION (also if the port is in use), FILE_NOT_FOUND and MODEL_NOT_FOUND for a model,
 *   FILE_NOT_WRITTEN and DATA_IN_USE for the data folder, QUEUE_UNAVAILABLE for Redis
 */
export async function serve(input: ServeInput = {}): Promise<RunningServer> {
  const config = checkConfig(input);
  checkReach({ host: config.host, apiKey: config['api-key'] });
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
  const warnings: string[] = [];
  const { queue, lock } = await openQueue(config, catalog, (warning) => warnings.push(warning));
  const closing = new AbortController();
  let draining = false;
  const app = await createApp({
    ...{ config, queue, catalog, closing: closing.signal },
    notReady: () => (draining ? 'the server is stopping' : queue.problem),
  });
  for (const warning of warnings) app.log.warn(warning);
  for (const problem of problems) app.log.warn(problem, problemMessage(problem));
  const url = await listen(app, config, queue);
  await lock?.note({ url });
  const models = catalog.models.map(({ name }) => name);
  if (config.preload) void preload(app, catalog);
  const close = async ({ drain = false }: { readonly drain?: boolean } = {}): Promise<void> => {
    draining = true;
    await queue.close({ drain });
    closing.abort();
    await app.close();
    await catalog.pool.close();
  };
  return { app, queue, url, models, close };
}

/** Returns the folders that prompts refer to: in the folder of models, and the styles in the data folder. */
export function promptFilesOf({ models, data }: Pick<ServeConfig, 'models' | 'data'>): PromptFileOptions {
  const stylesFile = resolve(data ?? dataFolder(), 'styles.csv');
  return { ...promptFoldersIn(models), stylesFile };
}

function problemMessage({ model, offered }: ModelProblem): string {
  return offered
    ? `model ${model} cannot be loaded, its jobs will fail`
    : `${model} in the models folder is skipped`;
}

function checkConfig(input: ServeInput): ServeConfig {
  const checked = serveSchema.safeParse(input);
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues;
  const name = issue?.path.join('.') || 'the configuration';
  throw new SafelightError('INVALID_OPTION', `Invalid value for ${name}: ${issue?.message}`);
}

/** Opens the job queue. Servers that share a Redis may share a data folder; a local queue locks it. */
async function openQueue(
  config: ServeConfig,
  catalog: Catalog,
  onWarning: (message: string) => void,
): Promise<{ readonly queue: JobQueue; readonly lock?: DataLock }> {
  const folder = resolve(config.data ?? dataFolder());
  const data = await DataFolder.open(folder);
  const prepare: PrepareRequest = (request) =>
    catalog.upscalers.settle(request.type, catalog.prepare(request));
  const options = {
    ...{ maxPixels: config['max-pixels'], maxQueued: config['max-queued'] },
    ...{ keepJobs: config['keep-jobs'], keepDays: config['keep-days'] },
  };
  if (config.queue !== undefined)
    return { queue: await openRedisJobs({ url: config.queue, data, prepare }, options) };
  const lock = await DataLock.acquire(folder);
  const run: RunJob = (job, context) => runJob(job, catalog, context);
  try {
    return { queue: await openLocalJobs({ data, lock, prepare, run, onWarning }, options), lock };
  } catch (error) {
    await lock.close();
    throw error;
  }
}

async function listen(app: FastifyInstance, { host, port }: ServeConfig, queue: JobQueue): Promise<string> {
  try {
    return await app.listen({ host, port });
  } catch (error) {
    await queue.close({ drain: false });
    await app.close();
    const { code, message } = error as NodeJS.ErrnoException;
    const reason =
      code === 'EADDRINUSE' ? 'the port is in use by another program; choose another --port' : message;
    throw new SafelightError('INVALID_OPTION', `Cannot listen on ${host}:${port}: ${reason}`, {
      cause: error,
    });
  }
}

async function preload(app: FastifyInstance, { pool, defaultModel }: Catalog): Promise<void> {
  try {
    (await pool.use(defaultModel)).release();
  } catch (error) {
    app.log.error(error, `model ${defaultModel} failed to load`);
  }
}
