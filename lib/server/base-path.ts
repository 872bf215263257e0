/**
 * Serves the routes below a base path, such as `/safelight`, for a reverse proxy that offers several programs under
 * one host name.
 */
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { SafelightError } from '../errors.js';

/** Paths of letters, digits and `-._~`, without `.` and `..`, which clients resolve themselves. */
export const BASE_PATH = /^(?:\/(?!\.{1,2}(?:\/|$))[\w.~-]+)*\/?$/;

/**
 * Removes the base path from the URL of a request, before it is routed and checked. A request without it is served
 * too, because the proxy may have removed it, and for health checks that do not pass through the proxy.
 */
export function withoutBasePath(url: string, basePath: string): string {
  if (basePath === '' || !url.startsWith(basePath)) return url;
  const rest = url.slice(basePath.length);
  if (rest.startsWith('/')) return rest;
  return rest === '' || rest.startsWith('?') ? `/${rest}` : url;
}

/** Returns Fastify's `rewriteUrl` for a base path; undefined for an empty one. */
export function urlRewriter(basePath: string): ((request: IncomingMessage) => string) | undefined {
  return basePath === '' ? undefined : ({ url = '/' }) => withoutBasePath(url, basePath);
}

/**
 * Adds the base path to the addresses in `location` headers, and redirects the base path itself to the page. To be
 * called before routes are added.
 * @returns a function that checks the routes added since. It throws INVALID_OPTION if the base path hides one.
 */
export function addBasePath(app: FastifyInstance, basePath: string): () => void {
  if (basePath === '') return () => undefined;
  let hidden: string | undefined;
  app.addHook('onRoute', ({ url }) => {
    if (url === basePath || url.startsWith(`${basePath}/`)) hidden ??= url;
  });
  app.addHook('onRequest', async (request, reply) => {
    const [path, query] = request.originalUrl.split('?', 2);
    // Relative addresses of the page need the slash.
    if (path !== basePath || (request.method !== 'GET' && request.method !== 'HEAD')) return undefined;
    return reply.redirect(query === undefined ? '/' : `/?${query}`);
  });
  app.addHook('onSend', async (_, reply) => {
    const location = reply.getHeader('location');
    if (typeof location === 'string' && location.startsWith('/'))
      reply.header('location', `${basePath}${location}`);
  });
  return () => {
    if (hidden === undefined) return;
    throw new SafelightError(
      'INVALID_OPTION',
      `Expected a base path that is not one of the server's own, such as /safelight, received ${basePath}, which hides ${hidden}`,
    );
  };
}
