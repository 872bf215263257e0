/** One structured line for each request that was answered or given up, with its method and URL. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** Characters of a URL that are logged. */
const MAX_URL = 500;

/** Expects the framework's own two lines to be turned off. Routes with a `logLevel` above info are left out. */
export function logRequests(app: FastifyInstance): void {
  const line = (request: FastifyRequest, reply: FastifyReply) => ({
    method: request.method,
    url: request.url.slice(0, MAX_URL),
    status: reply.statusCode,
    duration: Math.round(reply.elapsedTime) / 1000,
    remote: request.ip,
  });
  app.addHook('onResponse', async (request, reply) => {
    request.log.info(line(request, reply), 'request completed');
  });
  app.addHook('onRequestAbort', async (request) => {
    const { method, url, ip } = request;
    request.log.info({ method, url: url.slice(0, MAX_URL), remote: ip }, 'request aborted');
  });
}
