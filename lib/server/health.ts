/** Liveness and readiness checks of the server. */
import type { FastifyInstance } from 'fastify';

export interface Readiness {
  /** Returns the reason why the server is not ready; undefined if it is. */
  readonly notReady: () => string | undefined;
}

export function health(app: FastifyInstance, { notReady }: Readiness): void {
  const schema = { tags: ['monitoring'] };
  app.get(
    '/health/live',
    { schema: { ...schema, summary: 'Check that the process is running' }, logLevel: 'warn' },
    async () => ({
      status: 'ok',
    }),
  );
  app.get(
    '/health/ready',
    { schema: { ...schema, summary: 'Check that the server accepts jobs' }, logLevel: 'warn' },
    async (_, reply) => {
      const why = notReady();
      return why === undefined ? { status: 'ok' } : reply.code(503).send({ status: 'not ready', why });
    },
  );
}
