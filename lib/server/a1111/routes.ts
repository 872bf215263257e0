/**
 * The API of AUTOMATIC1111's stable-diffusion-webui at /sdapi/v1, compatible with its clients, including error
 * format and lenient parsing.
 */
import { resolve } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { dataFolder } from '../../hub/environment.js';
import type { Catalog } from '../../jobs/models/catalog.js';
import { jobSchemas } from '../../jobs/schemas.js';
import type { JobQueue } from '../../jobs/types.js';
import type { AdapterLibrary } from '../adapters/library.js';
import type { ServeConfig } from '../config.js';
import { Activity } from './activity.js';
import { Checkpoints } from './checkpoints.js';
import { errorBody, failureOf } from './failures.js';
import { generationRoutes } from './generation.js';
import { fileRoutes } from './image-routes.js';
import { listRoutes } from './lists.js';
import { modelRoutes } from './models.js';
import type { RouteContext } from './route-context.js';
import { SettingsFile } from './settings.js';
import { readStyles } from './styles.js';

export interface A1111Parts {
  readonly queue: JobQueue;
  readonly catalog: Catalog;
  readonly config: ServeConfig;
  readonly adapters: AdapterLibrary;
}

/** Fastify plugin with A1111's routes; register it without a prefix. */
export async function a1111(app: FastifyInstance, parts: A1111Parts): Promise<void> {
  const context = contextOf(parts);
  app.setErrorHandler((error, request, reply) => {
    const failure = failureOf(error);
    if (failure.status >= 500) request.log.error(error);
    if (failure.retryAfter !== undefined) reply.header('retry-after', String(failure.retryAfter));
    return reply.code(failure.status).send(errorBody(failure));
  });
  app.get(
    '/internal/ping',
    { schema: { tags: ['A1111'], summary: 'Check that the server is reachable' } },
    async () => ({}),
  );
  await app.register(
    async (api) => {
      api.setNotFoundHandler((request, reply) =>
        reply.code(404).send(
          errorBody({
            status: 404,
            code: 'NOT_FOUND',
            message: `Not Found: ${request.method} ${request.url.split('?', 1)[0]}`,
          }),
        ),
      );
      generationRoutes(api, context);
      modelRoutes(api, context);
      fileRoutes(api, context);
      listRoutes(api, context);
    },
    { prefix: '/sdapi/v1' },
  );
}

function contextOf({ queue, catalog, config, adapters }: A1111Parts): RouteContext {
  const checkpoints = new Checkpoints(catalog);
  const inData = (name: string): string => resolve(config.data ?? dataFolder(), name);
  let file: Promise<SettingsFile> | undefined;
  const open = (): Promise<SettingsFile> => {
    file ??= SettingsFile.open(inData('a1111-options.json'), checkpoints.find);
    return file;
  };
  return {
    ...{ queue, config, checkpoints, activity: new Activity() },
    ...{ pool: catalog.pool, upscalers: catalog.upscalers },
    adapters,
    schemas: jobSchemas(catalog.limits),
    isRemote: config.queue !== undefined,
    styles: () => readStyles(inData('styles.csv')),
    settings: async () => (await open()).settings,
    saveSettings: async (settings) => (await open()).save(settings),
  };
}
