/** One structured line for each request that was answered or given up, with its method and URL. */
import { type FastifyReply, type FastifyRequest, LogController } from 'fastify';

/** Characters of a URL that are logged. */
const MAX_URL = 500;

/** In place of Fastify's two lines, of which the second does not say what was asked. A route's `logLevel` above info leaves it out. */
export class RequestLog extends LogController {
  override incomingRequest(): void {}

  override requestCompleted(
    error: Error | null | undefined,
    request: FastifyRequest,
    reply: FastifyReply,
  ): void {
    const line = {
      ...{ method: request.method, url: request.url.slice(0, MAX_URL), status: reply.statusCode },
      ...{ duration: Math.round(reply.elapsedTime) / 1000, remote: request.ip },
    };
    // A client that leaves, such as a reader of events, is no fault of the server.
    if (error) request.log.info({ ...line, aborted: true }, 'request aborted');
    else request.log.info(line, 'request completed');
  }

  override streamError(error: Error, request: FastifyRequest): void {
    const isGone = 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE';
    if (!isGone) request.log.warn(error, 'the answer ended with an error');
  }
}
