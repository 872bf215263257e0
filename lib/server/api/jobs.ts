/** Job routes of Safelight's own API: requests, events and results. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { SafelightError } from '../../errors.js';
import type { JobLimits } from '../../jobs/schemas.js';
import type { Job, JobEvent, JobQueue } from '../../jobs/types.js';
import { type SseEvent, sendEvents } from '../sse.js';
import * as schemas from './schemas.js';
import { sendImage } from './send-image.js';

const tags = ['jobs'];
const response = { 200: schemas.jobResponse, '4xx': schemas.failure };

/** @param basePath begins the URLs of images */
export function jobRoutes(
  instance: FastifyInstance,
  queue: JobQueue,
  { limits, basePath }: { readonly limits: JobLimits; readonly basePath: string },
): void {
  const toClient = clientJobs(basePath);
  const app = instance.withTypeProvider<ZodTypeProvider>();

  app.post(
    '/v1/jobs',
    {
      schema: {
        ...{ tags, summary: 'Queue a job', body: schemas.jobRequest(limits) },
        response: { 201: schemas.jobResponse, '4xx': schemas.failure },
      },
      preValidation: async (request) => {
        request.body = schemas.flattenOptions(request.body) as typeof request.body;
      },
    },
    async (request, reply) => {
      const key = request.headers['idempotency-key'];
      const client = request.headers['x-safelight-client'] === 'page' ? 'page' : 'own';
      const parsed = await schemas.toJobRequest(request.body, queue);
      const job = await queue.submit({ ...parsed, client }, keyOption(key));
      return reply.code(201).header('location', `/v1/jobs/${job.id}`).send(toClient(job));
    },
  );
  app.get(
    '/v1/jobs',
    {
      schema: {
        tags,
        summary: 'List jobs, newest first',
        querystring: schemas.listQuery,
        response: { 200: schemas.jobList },
      },
    },
    async ({ query }) => {
      const { status, limit, before } = query;
      const filter = { ...(status && { status }), ...(limit && { limit }), ...(before && { before }) };
      return { jobs: (await queue.list(filter)).map(toClient) };
    },
  );
  app.get(
    '/v1/jobs/:id',
    { schema: { tags, summary: 'Get a job', params: schemas.jobParams, response } },
    async ({ params }) => toClient(orNotFound(await queue.get(params.id), params.id)),
  );
  app.delete(
    '/v1/jobs/:id',
    { schema: { tags, summary: 'Cancel a queued or running job', params: schemas.jobParams, response } },
    async ({ params }) => toClient(orNotFound(await queue.cancel(params.id), params.id)),
  );
  app.post(
    '/v1/jobs/:id/finish',
    {
      schema: {
        tags,
        summary: 'Stop a running job early and keep its images so far',
        params: schemas.jobParams,
        response,
      },
    },
    async ({ params }) => toClient(orNotFound(await queue.finish(params.id), params.id)),
  );
  app.post(
    '/v1/jobs/:id/move',
    {
      schema: {
        tags,
        summary: 'Move a queued job',
        params: schemas.jobParams,
        body: schemas.moveBody,
        response,
      },
    },
    async ({ params, body }) => toClient(orNotFound(await queue.move(params.id, body.place), params.id)),
  );
  app.delete(
    '/v1/jobs/:id/results',
    { schema: { tags, summary: 'Delete an ended job and its images', params: schemas.jobParams } },
    async ({ params }, reply) => {
      orNotFound(await queue.get(params.id), params.id);
      if (await queue.remove(params.id)) return reply.code(204).send();
      throw new SafelightError('INVALID_OPTION', 'The job has not ended yet; cancel it first');
    },
  );
  app.get(
    '/v1/jobs/:id/files/:name',
    {
      schema: {
        tags,
        summary: 'Get an image of a job, or a thumbnail of it',
        params: schemas.fileParams,
        querystring: schemas.fileQuery,
      },
    },
    async ({ params, query }, reply) => {
      const file = await queue.file(params.id, params.name);
      if (!file) throw new SafelightError('FILE_NOT_FOUND', `Job ${params.id} has no result ${params.name}`);
      return sendImage(reply, file, query.width);
    },
  );
  app.get(
    '/v1/jobs/:id/events',
    {
      schema: { tags, summary: 'Follow the events of a job (server-sent events)', params: schemas.jobParams },
    },
    async (request, reply) => {
      orNotFound(await queue.get(request.params.id), request.params.id);
      const after = lastEventId(request.headers['last-event-id']);
      return sendEvents(request, reply, (signal) =>
        eventsOf(queue.events(request.params.id, { after, signal }), toClient),
      );
    },
  );
  app.get(
    '/v1/events',
    { schema: { tags, summary: 'Follow the changes of all jobs (server-sent events)' } },
    async (request, reply) => sendEvents(request, reply, (signal) => changes(queue, signal, toClient)),
  );
}

/** Returns a function that converts a job for clients: it adds the URLs of images and removes API-specific data. */
function clientJobs(basePath: string) {
  return ({ extra: _, previews: _previews, ...job }: Job) => ({
    ...job,
    images: job.images.map((image) => ({ ...image, url: basePath + fileUrl(job.id, image.name) })),
    warnings: [...job.warnings],
  });
}

type ToClient = ReturnType<typeof clientJobs>;

/** Returns the path of an image, without the base path. */
export function fileUrl(id: string, name: string): string {
  return `/v1/jobs/${id}/files/${name}`;
}

async function* eventsOf(events: AsyncIterable<JobEvent>, toClient: ToClient): AsyncGenerator<SseEvent> {
  for await (const { id, type, data } of events) {
    yield { id, event: type, data: 'images' in data ? toClient(data) : data };
  }
}

async function* changes(queue: JobQueue, signal: AbortSignal, toClient: ToClient): AsyncGenerator<SseEvent> {
  for await (const change of queue.watch(signal)) {
    if ('job' in change) yield { event: 'job', data: { ...toClient(change.job), result: undefined } };
    else yield { event: 'removed', data: { id: change.removed } };
  }
}

function orNotFound(job: Job | undefined, id: string): Job {
  if (job) return job;
  throw new SafelightError('FILE_NOT_FOUND', `No job has the id ${JSON.stringify(id)}`);
}

function keyOption(key: string | string[] | undefined): { idempotencyKey?: string } {
  if (key === undefined) return {};
  if (typeof key !== 'string' || key.length === 0 || key.length > 255)
    throw new SafelightError('INVALID_OPTION', 'Expected an Idempotency-Key of 1 to 255 characters');
  return { idempotencyKey: key };
}

function lastEventId(value: string | string[] | undefined): number {
  const id = Number(value ?? 0);
  return Number.isSafeInteger(id) && id > 0 ? id : 0;
}
