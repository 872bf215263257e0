/** Detects that the client of a request has disconnected, which cancels its job in APIs that respond when the job has ended. */
import type { FastifyReply } from 'fastify';

/** Returns a signal that is aborted when the client disconnects or has received the whole response. */
export function disconnectSignal(reply: FastifyReply): AbortSignal {
  const disconnected = new AbortController();
  // Listens to the response rather than the connection, which may be reused for further requests.
  reply.raw.once('close', () => disconnected.abort());
  return disconnected.signal;
}
