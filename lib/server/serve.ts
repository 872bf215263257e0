/** Starts a server from its configuration. */
import type { FastifyInstance } from 'fastify';
import { SafelightError } from '../errors.js';
import type { Catalog } from '../jobs/models/catalog.js';
import type { JobQueue } from '../jobs/types.js';
import { createApp } from './app.js';
import type { ServeConfig, ServeInput } from './config.js';
import { checkConfig, openCatalog, openQueue, problemMessage } from './open-jobs.js';
import { checkReach } from './security.js';

export interface RunningServer {
  readonly app: FastifyInstance;
  readonly queue: JobQueue;
  /** URL that the server listens on, such as `http://127.0.0.1:7860`, with the base path. */
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
  const { catalog, problems } = await openCatalog(config);
  const { queue, lock, warnings } = await openQueue(config, catalog);
  const closing = new AbortController();
  let draining = false;
  const app = await createApp({
    ...{ config, queue, catalog, closing: closing.signal },
    notReady: () => (draining ? 'the server is stopping' : queue.problem),
  }).catch(async (error: unknown) => {
    closing.abort();
    await queue.close({ drain: false });
    throw error;
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

async function listen(
  app: FastifyInstance,
  { host, port, 'base-path': basePath }: ServeConfig,
  queue: JobQueue,
): Promise<string> {
  try {
    return (await app.listen({ host, port })) + basePath;
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
