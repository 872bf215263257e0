/** Serves the web page at `/`, built by Vite into dist/web. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';
import { packageFolder } from '../package.js';

/** Folder of the built page. */
export const builtPage = join(packageFolder, 'dist/web');

const NOT_BUILT = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Safelight</title>
<p>The server is running, but the web page has not been built; <code>npm run prepare</code> builds it. The APIs work without it (<a href="docs">docs</a>).</p></html>`;

/**
 * Registers the page. Assets have a content hash in their names and are cached forever; the page itself is
 * revalidated on each load.
 */
export async function page(app: FastifyInstance, folder = builtPage): Promise<void> {
  if (!existsSync(join(folder, 'index.html'))) {
    app.get('/', { schema: { hide: true } }, (_, reply) =>
      reply.type('text/html; charset=utf-8').send(NOT_BUILT),
    );
    return;
  }
  await app.register(fastifyStatic, {
    root: join(folder, 'assets'),
    prefix: '/assets/',
    preCompressed: true,
    index: false,
    immutable: true,
    maxAge: 31_536_000_000,
    schemaHide: true,
  });
  app.get('/', { schema: { hide: true } }, (_, reply) =>
    reply.sendFile('index.html', folder, { cacheControl: false }).header('cache-control', 'no-cache'),
  );
}
