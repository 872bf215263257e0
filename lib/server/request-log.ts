/** Logs one structured line per completed or aborted request, with its method and URL. */
import { type FastifyReply, type FastifyRequest, LogController } from 'fastify';

/** Maximum number of logged characters of a URL. */
const MAX_URL = 500;

/**
 * Replaces Fastify's two lines per request, of which the second lacks the URL. A route with a `logLevel` above
 * info is not logged.
 */
export class RequestLog extends LogController {
  override incomingRequest(): void {}

  override requestCompleted(
    error: Error | null | undefined,
    request: FastifyRequest,
    reply: FastifyReply,
  ): void {
    const line = {
      ...{ method: request.method, url: request.originalUrl.slice(0, MAX_URL), status: reply.statusCode },
      ...{ duration: Math.round(reply.elapsedTime) / 1000, remote: request.ip },
    };
    // A client that disconnects, such as a reader of events, is not an error of the server.
    if (error) request.log.info({ ...line, aborted: true }, 'request aborted');
    else request.log.info(line, 'request completed');
  }

  override streamError(error: Error, request: FastifyRequest): void {
    const isGone = 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE';
    if (!isGone) request.log.warn(error, 'response ended with an error');
  }
}
