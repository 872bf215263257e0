/** Route of the labelled sheets of grid jobs. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { SafelightError } from '../../errors.js';
import { drawJobSheet } from '../../jobs/grid/sheet.js';
import type { JobQueue } from '../../jobs/types.js';
import * as schemas from './schemas.js';

export function gridRoutes(instance: FastifyInstance, queue: JobQueue): void {
  const app = instance.withTypeProvider<ZodTypeProvider>();
  /** Tail of the sheets being drawn: one at a time, because a sheet may take hundreds of megabytes. */
  let drawing: Promise<unknown> = Promise.resolve();

  app.get(
    '/v1/jobs/:id/sheet',
    {
      schema: {
        ...{ tags: ['jobs'], summary: 'Draw the labelled sheet of a grid job from its finished images' },
        ...{ params: schemas.jobParams, querystring: schemas.sheetQuery },
      },
    },
    async ({ params: { id }, query: { z } }, reply) => {
      const job = await queue.get(id);
      if (!job) throw new SafelightError('FILE_NOT_FOUND', `No job has the id ${JSON.stringify(id)}`);
      const sheet = drawing.then(() => drawJobSheet(job, queue, z));
      drawing = sheet.catch(() => undefined);
      const name = `safelight-grid-${String(job.options.seed)}${z === undefined ? '' : `-${z + 1}`}.png`;
      return reply
        .type('image/png')
        .header('cache-control', 'no-store')
        .header('content-disposition', `inline; filename="${name}"`)
        .send(Buffer.from(await sheet));
    },
  );
}
