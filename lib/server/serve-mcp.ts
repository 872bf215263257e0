/** Starts an MCP server for one client on stdin and stdout, from the configuration of a server. */
import { join } from 'node:path';
import { SafelightError } from '../errors.js';
import { dataFolder } from '../hub/environment.js';
import type { Catalog } from '../jobs/models/catalog.js';
import type { ModelProblem } from '../jobs/models/configured.js';
import { serveStdio } from '../mcp/stdio.js';
import { packageVersion } from '../package.js';
import type { ServeConfig, ServeInput } from './config.js';
import { checkConfig, type OpenedQueue, openCatalog, openQueue, promptFilesOf } from './open-jobs.js';

/** Number of data folders for clients that run at the same time. */
const MAX_FOLDERS = 16;
/** Milliseconds to wait until the process of an earlier client has left the first folder. */
const PATIENCE = 500;

export interface McpServerProcess {
  /** Names of the offered models. */
  readonly models: readonly string[];
  readonly problems: readonly ModelProblem[];
  /** Data folder with the images. */
  readonly data: string;
  /** Settles when the client has ended the connection. */
  readonly ended: Promise<void>;
  /** Cancels the calls in progress and closes everything. */
  close(): Promise<void>;
}

/**
 * Starts the server. Models are loaded when a call first needs them. Fields of the configuration about the network have no
 * effect.
 * @param onError receives unexpected errors
 * @throws INVALID_OPTION, FILE_NOT_FOUND and MODEL_NOT_FOUND for a model, FILE_NOT_WRITTEN and
 *   DATA_IN_USE for the data folder, QUEUE_UNAVAILABLE for Redis
 */
export async function serveMcp(
  input: ServeInput,
  onError: (error: unknown) => void,
): Promise<McpServerProcess> {
  const config = checkConfig(input);
  const { catalog, problems } = await openCatalog(config);
  const { queue, data } = await openJobs(config, catalog);
  const parts = {
    queue,
    catalog,
    version: packageVersion(),
    files: promptFilesOf(config),
    local: true,
    onError,
  };
  const connection = await serveStdio(parts);
  const close = async (): Promise<void> => {
    await connection.close();
    await queue.close({ drain: false });
    await catalog.pool.close();
  };
  return { models: catalog.models.map(({ name }) => name), problems, data, ended: connection.ended, close };
}

/** A queue and its data folder. */
type Opened = Pick<OpenedQueue, 'queue'> & { readonly data: string };

/**
 * Opens the configured data folder, or the first default one that no other process uses, because clients start a process
 * per window or conversation. Jobs that a killed process left in a default folder are cancelled: nobody waits for them.
 */
async function openJobs(config: ServeConfig, catalog: Catalog): Promise<Opened> {
  if (config.data !== undefined || config.queue !== undefined)
    return { ...(await openQueue(config, catalog)), data: config.data ?? dataFolder() };
  const opened = await openFreeFolder(config, catalog);
  for (const { id, finished } of await opened.queue.list({ limit: 1000 }))
    if (finished === undefined) await opened.queue.cancel(id);
  return opened;
}

async function openFreeFolder(config: ServeConfig, catalog: Catalog): Promise<Opened> {
  for (let i = 1; ; i++) {
    const data = join(dataFolder(), 'mcp', String(i));
    try {
      const { queue } = await openQueue({ ...config, data }, catalog, i === 1 ? PATIENCE : 0);
      return { queue, data };
    } catch (error) {
      const isUsed = error instanceof SafelightError && error.code === 'DATA_IN_USE';
      if (!isUsed || i === MAX_FOLDERS) throw error;
    }
  }
}
