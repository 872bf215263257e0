/** OpenAI's image API, compatible with its clients: generations, edits and models. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { SafelightError } from '../../errors.js';
import { loadSharp } from '../../image/sharp.js';
import { untilDone, waitUntilDone } from '../../jobs/completion.js';
import type { Catalog } from '../../jobs/models/catalog.js';
import type { Job, JobEvent, JobQueue, JobRequest } from '../../jobs/types.js';
import { toHttpFailure } from '../errors.js';
import { disconnectSignal } from '../job-completion.js';
import { type SseEvent, sendEvents } from '../sse.js';
import { editForm } from './form.js';
import { listModels, requestedModel, retrieveModel } from './models.js';
import {
  editFields,
  editJob,
  generationBody,
  generationJob,
  type ImageRequest,
  type OutputSettings,
  outputOf,
} from './request.js';
import { encodeImage, imageData, imageProperties, openAiError, usage } from './response.js';

export async function openAi(
  app: FastifyInstance,
  { queue, catalog, basePath }: { queue: JobQueue; catalog: Catalog; basePath: string },
): Promise<void> {
  const tags = ['OpenAI'];
  app.setErrorHandler((error, request, reply) => {
    const failure = toHttpFailure(error);
    if (failure.status >= 500) request.log.error(error);
    if (failure.retryAfter !== undefined) reply.header('retry-after', String(failure.retryAfter));
    return reply.code(failure.status).send(openAiError(failure));
  });
  const responder = new ImageResponder(queue, basePath);

  app.post(
    '/v1/images/generations',
    { schema: { tags, summary: 'Create images', body: generationBody } },
    async (request, reply) => {
      const body = request.body as ImageRequest;
      return responder.send(request, reply, {
        body,
        job: generationJob(body, requestedModel(catalog, body.model)),
        inputs: [],
        event: 'image_generation',
      });
    },
  );
  app.post(
    '/v1/images/edits',
    { schema: { tags, summary: 'Edit an image (multipart form)', consumes: ['multipart/form-data'] } },
    async (request, reply) => {
      const { fields, image, mask } = await editForm(request);
      const body = parseFields(fields);
      const job = await editJob(body, { image, mask }, requestedModel(catalog, body.model));
      return responder.send(request, reply, { body, job, inputs: image, event: 'image_edit' });
    },
  );
  app.get('/v1/models', { schema: { tags, summary: 'Models' } }, async () => ({
    object: 'list',
    data: listModels(catalog),
  }));
  app.get<{ Params: { model: string } }>(
    '/v1/models/:model',
    { schema: { tags, summary: 'A model' } },
    async ({ params }) => retrieveModel(params.model, catalog),
  );
  // Names such as `sub/name` from clients that do not encode the slash.
  app.get<{ Params: { '*': string } }>('/v1/models/*', { schema: { hide: true } }, async ({ params }) =>
    retrieveModel(params['*'], catalog),
  );
}

interface ImageCall {
  readonly body: ImageRequest;
  readonly job: JobRequest;
  /** Images of the request. */
  readonly inputs: readonly Uint8Array[];
  readonly event: 'image_generation' | 'image_edit';
}

class ImageResponder {
  constructor(
    private readonly queue: JobQueue,
    private readonly basePath: string,
  ) {}

  async send(request: FastifyRequest, reply: FastifyReply, call: ImageCall): Promise<unknown> {
    const output = outputOf(call.body);
    const job = await this.queue.submit(call.job);
    const signal = disconnectSignal(reply);
    if (output.stream)
      return sendEvents(request, reply, (disconnected) =>
        this.events(job.id, call, output, AbortSignal.any([signal, disconnected])),
      );
    const ended = await waitUntilDone(this.queue, job.id, signal);
    return {
      created: Math.floor(Date.now() / 1000),
      data: await imageData(
        ended,
        this.queue,
        output,
        `${request.protocol}://${request.host}${this.basePath}`,
      ),
      ...imageProperties(ended, output, call.body.quality),
      usage: await usage(ended, call.body.prompt, call.inputs),
      ...warningsOf(ended),
    };
  }

  /**
   * Yields partial images, then each final image. Errors are sent as an event, because the response has already
   * started.
   */
  private async *events(
    id: string,
    call: ImageCall,
    output: OutputSettings,
    signal: AbortSignal,
  ): AsyncGenerator<SseEvent> {
    const { body, event } = call;
    const created_at = Math.floor(Date.now() / 1000);
    const format = {
      output_format: output.format,
      background: 'opaque',
      quality: body.quality ?? 'auto',
      size: body.size ?? 'auto',
    };
    const partial = new Partials();
    try {
      const events = untilDone(this.queue, id, signal);
      let next = await events.next();
      for (; !next.done; next = await events.next()) {
        const index = partial.indexOf(next.value);
        if (index === undefined || next.value.type !== 'preview') continue;
        const b64_json = await encodeImage(await asPng(next.value.data.image), output);
        const type = `${event}.partial_image`;
        yield { event: type, data: { type, partial_image_index: index, b64_json, created_at, ...format } };
      }
      const tokenUsage = await usage(next.value, body.prompt, call.inputs);
      const all = await imageData(next.value, this.queue, { ...output, asUrl: false }, '');
      const type = `${event}.completed`;
      for (const { b64_json } of all)
        yield {
          event: type,
          data: {
            type,
            b64_json,
            created_at,
            ...format,
            ...imageProperties(next.value, output, body.quality),
            usage: tokenUsage,
            ...warningsOf(next.value),
          },
        };
    } catch (error) {
      yield { event: 'error', data: { type: 'error', ...openAiError(toHttpFailure(error)) } };
    }
  }
}

/** Returns `warnings`, an extension of OpenAI's format that is absent if there are none. */
function warningsOf({ warnings }: Job): Pick<Job, 'warnings'> | undefined {
  return warnings.length > 0 ? { warnings } : undefined;
}

/** Numbers the previews of a job, skipping repeated ones if the job is retried on another worker. */
class Partials {
  private count = 0;
  private last = -1;

  /** Returns the number of a new preview; undefined for other events and repeated previews. */
  indexOf(event: JobEvent): number | undefined {
    if (event.type !== 'preview') return undefined;
    const { index = -1 } = event.data;
    if (index <= this.last) return undefined;
    this.last = index;
    return this.count++;
  }
}

async function asPng(uri: string): Promise<Uint8Array> {
  const sharp = await loadSharp();
  return sharp(Buffer.from(uri.slice(uri.indexOf(',') + 1), 'base64'))
    .png()
    .toBuffer();
}

function parseFields(fields: Record<string, string>): ImageRequest {
  const checked = editFields.safeParse(fields);
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues as [z.core.$ZodIssue];
  throw new SafelightError('INVALID_OPTION', `Invalid value for ${issue.path.join('.')}: ${issue.message}`);
}
