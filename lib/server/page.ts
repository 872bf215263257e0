/** The page at `/`, as Vite built it into dist/web. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';

/** From `lib/` and from `dist/` alike. */
export const builtPage = fileURLToPath(new URL('../../dist/web', import.meta.url));

const NOT_BUILT = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Safelight</title>
<p>The server runs, but its page was not built. <code>npm run prepare</code> builds it; the APIs work without (<a href="/docs">/docs</a>).</p></html>`;

/** Assets carry a hash of their contents in their names: they never change. The page itself is asked for each time. */
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
