/** The API of stable-diffusion-webui, so that its clients work unchanged: /sdapi/v1, its errors, its tolerance. */
import { resolve } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { dataFolder } from '../../hub/environment.js';
import type { Catalog } from '../../jobs/models/catalog.js';
import { type JobLimits, type JobSchemas, jobSchemas } from '../../jobs/schemas.js';
import type { JobQueue } from '../../jobs/types.js';
import type { ServeConfig } from '../config.js';
import { Activity } from './activity.js';
import { Checkpoints } from './checkpoints.js';
import { failureOf, inItsForm } from './failures.js';
import { fileRoutes } from './files.js';
import { generationRoutes } from './generation.js';
import { listRoutes } from './lists.js';
import { modelRoutes } from './models.js';
import { type Settings, SettingsFile } from './settings.js';
import { readStyles, type Style } from './styles.js';

/** What the routes share. */
export interface Door {
  readonly queue: JobQueue;
  readonly pool: Catalog['pool'];
  readonly limits: JobLimits;
  /** What jobs may be asked. */
  readonly schemas: JobSchemas;
  readonly config: ServeConfig;
  readonly checkpoints: Checkpoints;
  readonly activity: Activity;
  /** Whether workers elsewhere do the jobs. */
  readonly isRemote: boolean;
  styles(): Promise<Style[]>;
  settings(): Promise<Settings>;
  keep(settings: Settings): Promise<void>;
}

export interface A1111Parts {
  readonly queue: JobQueue;
  readonly catalog: Catalog;
  readonly config: ServeConfig;
}

/** To be registered without a prefix. */
export async function a1111(app: FastifyInstance, parts: A1111Parts): Promise<void> {
  const door = doorOf(parts);
  app.setErrorHandler((error, request, reply) => {
    const found = failureOf(error);
    if (found.status >= 500) request.log.error(error);
    if (found.retryAfter !== undefined) reply.header('retry-after', String(found.retryAfter));
    return reply.code(found.status).send(inItsForm(found));
  });
  app.get(
    '/internal/ping',
    { schema: { tags: ['A1111'], summary: 'Whether it is there' } },
    async () => ({}),
  );
  await app.register(
    async (api) => {
      api.setNotFoundHandler((request, reply) =>
        reply.code(404).send(
          inItsForm({
            status: 404,
            code: 'NOT_FOUND',
            message: `Not Found: ${request.method} ${request.url.split('?', 1)[0]}`,
          }),
        ),
      );
      generationRoutes(api, door);
      modelRoutes(api, door);
      fileRoutes(api, door);
      listRoutes(api, door);
    },
    { prefix: '/sdapi/v1' },
  );
}

function doorOf({ queue, catalog, config }: A1111Parts): Door {
  const checkpoints = new Checkpoints(catalog);
  const inData = (name: string): string => resolve(config.data ?? dataFolder(), name);
  let file: Promise<SettingsFile> | undefined;
  const open = (): Promise<SettingsFile> => {
    file ??= SettingsFile.open(inData('a1111-options.json'), checkpoints.find);
    return file;
  };
  return {
    ...{ queue, config, checkpoints, limits: catalog.limits, pool: catalog.pool, activity: new Activity() },
    schemas: jobSchemas(catalog.limits),
    isRemote: config.queue !== undefined,
    styles: () => readStyles(inData('styles.csv')),
    settings: async () => (await open()).settings,
    keep: async (settings) => (await open()).keep(settings),
  };
}
