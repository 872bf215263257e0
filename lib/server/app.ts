/** Assembles the server's routes, security and error handling, without listening. */
import { resolve } from 'node:path';
import multipart from '@fastify/multipart';
import swagger from '@fastify/swagger';
import Fastify, { type FastifyInstance } from 'fastify';
import { jsonSchemaTransform, serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { defined } from '../defined.js';
import { dataFolder } from '../hub/environment.js';
import type { Catalog } from '../jobs/models/catalog.js';
import { promptFoldersIn } from '../jobs/models/configured.js';
import type { JobQueue } from '../jobs/types.js';
import { packageVersion } from '../package.js';
import { a1111 } from './a1111/routes.js';
import { AdapterLibrary } from './adapters/library.js';
import { about } from './api/about.js';
import { adapters } from './api/adapters.js';
import { gridRoutes } from './api/grids.js';
import { jobRoutes } from './api/jobs.js';
import { styles } from './api/styles.js';
import { upscalerRoutes } from './api/upscalers.js';
import { addBasePath, urlRewriter } from './base-path.js';
import type { ServeConfig } from './config.js';
import { toHttpFailure } from './errors.js';
import { health, type Readiness } from './health.js';
import { logJobs } from './job-log.js';
import { mcp } from './mcp.js';
import { metrics } from './metrics.js';
import { openAi } from './openai/routes.js';
import { page } from './page.js';
import { acceptBodies } from './request-bodies.js';
import { RequestLog } from './request-log.js';
import { addSecurity } from './security.js';
import { StylesFile } from './styles.js';

export interface AppParts extends Readiness {
  readonly config: ServeConfig;
  readonly queue: JobQueue;
  readonly catalog: Catalog;
  /** Aborted when the server closes; ends everything that follows the queue. */
  readonly closing: AbortSignal;
}

export async function createApp(parts: AppParts): Promise<FastifyInstance> {
  const { config, queue, catalog, closing } = parts;
  const basePath = config['base-path'];
  const app = Fastify({
    logger: config['log-level'] === 'silent' ? false : { level: config['log-level'] },
    logController: new RequestLog(),
    bodyLimit: config['max-body'],
    requestTimeout: 120_000, // limits requests whose body never ends
    connectionTimeout: 0,
    forceCloseConnections: true,
    genReqId: () => crypto.randomUUID(),
    routerOptions: { maxParamLength: 2000 },
    ...defined({ rewriteUrl: urlRewriter(basePath) }),
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler((error, request, reply) => {
    const { status, code, message, retryAfter } = toHttpFailure(error);
    if (status >= 500) request.log.error(error);
    if (retryAfter !== undefined) reply.header('retry-after', String(retryAfter));
    return reply.code(status).send({ error: { code, message } });
  });
  app.setNotFoundHandler((request, reply) =>
    reply.code(404).send({
      error: {
        code: 'NOT_FOUND',
        message: `No route for ${request.method} ${request.originalUrl.split('?', 1)[0]}`,
      },
    }),
  );
  addSecurity(app, {
    basePath,
    host: config.host,
    apiKey: config['api-key'],
    cors: config.cors,
    allowHost: config['allow-host'],
  });
  const checkBasePath = addBasePath(app, basePath);
  acceptBodies(app);
  await app.register(swagger, {
    openapi: {
      info: { title: 'Safelight', version: packageVersion() },
      ...(basePath === '' ? {} : { servers: [{ url: basePath }] }),
    },
    transform: jsonSchemaTransform,
  });
  await app.register(multipart, {
    limits: { fileSize: config['max-body'], fieldSize: config['max-body'], files: 20, fields: 40 },
  });
  jobRoutes(app, queue, { limits: catalog.limits, basePath });
  gridRoutes(app, queue);
  about(app, { catalog, locked: config['api-key'] !== undefined, maxPrompt: config['max-prompt'] });
  styles(app, {
    file: new StylesFile(resolve(config.data ?? dataFolder(), 'styles.csv')),
    maxPrompt: config['max-prompt'],
  });
  const library = new AdapterLibrary(promptFoldersIn(config.models), closing);
  adapters(app, library);
  upscalerRoutes(app, catalog.upscalers);
  await app.register(openAi, { queue, catalog, basePath });
  await app.register(a1111, { queue, catalog, config, adapters: library });
  await app.register(mcp, { queue, catalog, config });
  health(app, parts);
  metrics(app, queue, catalog, closing);
  logJobs(app.log, queue, closing);
  await apiDocumentation(app, basePath);
  await page(app);
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
  checkBasePath();
  return app;
}

/** Serves the API documentation at `/docs` if the optional package @fastify/swagger-ui is installed. */
async function apiDocumentation(app: FastifyInstance, basePath: string): Promise<void> {
  const swaggerUi = await import('@fastify/swagger-ui').catch(() => undefined);
  if (swaggerUi) {
    await app.register(swaggerUi.default, { routePrefix: '/docs', indexPrefix: basePath, staticCSP: true });
    return;
  }
  app.get('/docs', { schema: { hide: true } }, (_, reply) =>
    reply.code(404).send({
      error: {
        code: 'NOT_FOUND',
        message:
          'The API documentation needs a package: run `npm install @fastify/swagger-ui` and restart the server. /openapi.json describes the API without it.',
      },
    }),
  );
}
