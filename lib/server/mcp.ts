/** The Model Context Protocol at `/mcp` (streamable HTTP), behind the same access checks as all routes. */
import { Readable } from 'node:stream';
import type { ReadableStream as NodeStream } from 'node:stream/web';
import { setTimeout } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Catalog } from '../jobs/models/catalog.js';
import type { JobQueue } from '../jobs/types.js';
import { McpHttp } from '../mcp/http.js';
import { packageVersion } from '../package.js';
import type { ServeConfig } from './config.js';
import { disconnectSignal } from './job-completion.js';
import { promptFilesOf } from './open-jobs.js';

interface Context {
  readonly queue: JobQueue;
  readonly catalog: Catalog;
  readonly config: ServeConfig;
}

/** Milliseconds to wait for clients to receive the answers to their calls when the server stops. */
const PATIENCE = 1000;

export async function mcp(app: FastifyInstance, { queue, catalog, config }: Context): Promise<void> {
  let opening: Promise<McpHttp> | undefined;
  /** Loads the SDK with the first request. */
  const open = (): Promise<McpHttp> => {
    opening ??= McpHttp.open(
      {
        ...{ queue, catalog, version: packageVersion(), files: promptFilesOf(config), local: false },
        onError: (error) => app.log.error(error),
      },
      { maxBody: config['max-body'] },
    );
    return opening;
  };
  const replies = new Set<Promise<unknown>>();
  app.addHook('preClose', async () => {
    await opening?.then((endpoint) => endpoint.close());
    // The connections are closed next, also before they have received their last data.
    await Promise.race([Promise.all(replies), setTimeout(PATIENCE, undefined, { ref: false })]);
  });

  // The SDK checks the content type and reports malformed JSON as an error of the protocol.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_, body, done) => done(null, body));
  app.route({
    method: ['GET', 'POST', 'DELETE'],
    url: '/mcp',
    schema: { hide: true },
    handler: async (request, reply) => {
      const signal = disconnectSignal(reply);
      const ended = new Promise<void>((resolve) => reply.raw.once('close', resolve));
      replies.add(ended);
      void ended.then(() => replies.delete(ended));
      const endpoint = await open();
      const body = typeof request.body === 'string' ? request.body : '';
      return send(reply, await endpoint.handle(webRequest(request, signal), body));
    },
  });
}

/** Converts a request without its body. The API key stays out of it. */
function webRequest({ method, headers, url }: FastifyRequest, signal: AbortSignal): Request {
  const copied = new Headers();
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !['authorization', 'cookie'].includes(name)) copied.set(name, String(value));
  return new Request(new URL(url, 'http://localhost'), { method, headers: copied, signal });
}

function send(reply: FastifyReply, response: Response): FastifyReply {
  reply.code(response.status);
  response.headers.forEach((value, name) => {
    // Node.js decides on the connection.
    if (name !== 'connection') reply.header(name, value);
  });
  return reply.send(response.body === null ? undefined : Readable.fromWeb(response.body as NodeStream));
}
