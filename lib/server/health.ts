/** Whether the process lives, and whether it can take work. */
import type { FastifyInstance } from 'fastify';

export interface Readiness {
  /** Undefined when ready, else why not. */
  readonly notReady: () => string | undefined;
}

export function health(app: FastifyInstance, { notReady }: Readiness): void {
  const schema = { tags: ['running it'] };
  app.get(
    '/health/live',
    { schema: { ...schema, summary: 'The process lives' }, logLevel: 'warn' },
    async () => ({
      status: 'ok',
    }),
  );
  app.get(
    '/health/ready',
    { schema: { ...schema, summary: 'Jobs are taken' }, logLevel: 'warn' },
    async (_, reply) => {
      const why = notReady();
      return why === undefined ? { status: 'ok' } : reply.code(503).send({ status: 'not ready', why });
    },
  );
}
