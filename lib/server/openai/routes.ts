/** OpenAI's images API, so that its clients work unchanged: generations, edits, models. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { SafelightError } from '../../errors.js';
import type { Catalog } from '../../jobs/models/catalog.js';
import type { Job, JobEvent, JobQueue, JobRequest } from '../../jobs/types.js';
import { httpFailure } from '../errors.js';
import { done, leaving, untilDone } from '../finished.js';
import { type SseEvent, sendEvents } from '../sse.js';
import { described, encoded, openAiError, pictures, usage } from './answer.js';
import { editForm } from './form.js';
import { listed, requestedModel, retrieved } from './models.js';
import {
  editFields,
  editJob,
  generationBody,
  generationJob,
  type ImageRequest,
  type OutputSettings,
  outputOf,
} from './request.js';

export async function openAi(
  app: FastifyInstance,
  { queue, catalog }: { queue: JobQueue; catalog: Catalog },
): Promise<void> {
  const tags = ['OpenAI'];
  app.setErrorHandler((error, request, reply) => {
    const failure = httpFailure(error);
    if (failure.status >= 500) request.log.error(error);
    if (failure.retryAfter !== undefined) reply.header('retry-after', String(failure.retryAfter));
    return reply.code(failure.status).send(openAiError(failure));
  });
  const answer = new Answering(queue);

  app.post(
    '/v1/images/generations',
    { schema: { tags, summary: 'Create images', body: generationBody } },
    async (request, reply) => {
      const body = request.body as ImageRequest;
      return answer.send(request, reply, {
        body,
        job: generationJob(body, requestedModel(catalog, body.model)),
        given: [],
        event: 'image_generation',
      });
    },
  );
  app.post(
    '/v1/images/edits',
    { schema: { tags, summary: 'Edit an image (multipart form)', consumes: ['multipart/form-data'] } },
    async (request, reply) => {
      const { fields, image, mask } = await editForm(request);
      const body = parsed(fields);
      const job = await editJob(body, { image, mask }, requestedModel(catalog, body.model));
      return answer.send(request, reply, { body, job, given: image, event: 'image_edit' });
    },
  );
  app.get('/v1/models', { schema: { tags, summary: 'Models' } }, async () => ({
    object: 'list',
    data: listed(catalog),
  }));
  app.get<{ Params: { model: string } }>(
    '/v1/models/:model',
    { schema: { tags, summary: 'A model' } },
    async ({ params }) => retrieved(params.model, catalog),
  );
  // `sub/name` from clients that do not encode the slash.
  app.get<{ Params: { '*': string } }>('/v1/models/*', { schema: { hide: true } }, async ({ params }) =>
    retrieved(params['*'], catalog),
  );
}

interface Asked {
  readonly body: ImageRequest;
  readonly job: JobRequest;
  /** Pictures that came along. */
  readonly given: readonly Uint8Array[];
  readonly event: 'image_generation' | 'image_edit';
}

class Answering {
  constructor(private readonly queue: JobQueue) {}

  async send(request: FastifyRequest, reply: FastifyReply, asked: Asked): Promise<unknown> {
    const output = outputOf(asked.body);
    const job = await this.queue.submit(asked.job);
    const signal = leaving(reply);
    if (output.stream)
      return sendEvents(request, reply, (left) =>
        this.events(job.id, asked, output, AbortSignal.any([signal, left])),
      );
    const ended = await done(this.queue, job.id, signal);
    return {
      created: Math.floor(Date.now() / 1000),
      data: await pictures(ended, this.queue, output, `${request.protocol}://${request.host}`),
      ...described(ended, output, asked.body.quality),
      usage: await usage(ended, asked.body.prompt, asked.given),
      ...warningsOf(ended),
    };
  }

  /** Partial pictures as they come, then each picture whole. A failure is an event too: the answer has begun. */
  private async *events(
    id: string,
    asked: Asked,
    output: OutputSettings,
    signal: AbortSignal,
  ): AsyncGenerator<SseEvent> {
    const { body, event } = asked;
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
        const b64_json = await encoded(await asPng(next.value.data.image), output);
        const type = `${event}.partial_image`;
        yield { event: type, data: { type, partial_image_index: index, b64_json, created_at, ...format } };
      }
      const used = await usage(next.value, body.prompt, asked.given);
      const all = await pictures(next.value, this.queue, { ...output, asUrl: false }, '');
      const type = `${event}.completed`;
      for (const { b64_json } of all)
        yield {
          event: type,
          data: {
            type,
            b64_json,
            created_at,
            ...format,
            ...described(next.value, output, body.quality),
            usage: used,
            ...warningsOf(next.value),
          },
        };
    } catch (error) {
      yield { event: 'error', data: { type: 'error', ...openAiError(httpFailure(error)) } };
    }
  }
}

/** An extension of OpenAI's answers: absent unless there is a warning. */
function warningsOf({ warnings }: Job): Pick<Job, 'warnings'> | undefined {
  return warnings.length > 0 ? { warnings } : undefined;
}

/** Numbers the previews of a job, each once: a job that runs again on another worker begins anew. */
class Partials {
  private given = 0;
  private last = -1;

  /** Undefined for what is no preview, or one that was given before. */
  indexOf(event: JobEvent): number | undefined {
    if (event.type !== 'preview') return undefined;
    const { index = -1 } = event.data;
    if (index <= this.last) return undefined;
    this.last = index;
    return this.given++;
  }
}

async function asPng(uri: string): Promise<Uint8Array> {
  const { default: sharp } = await import('sharp');
  return sharp(Buffer.from(uri.slice(uri.indexOf(',') + 1), 'base64'))
    .png()
    .toBuffer();
}

function parsed(fields: Record<string, string>): ImageRequest {
  const checked = editFields.safeParse(fields);
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues as [z.core.$ZodIssue];
  throw new SafelightError(
    'INVALID_OPTION',
    `Expected a right value for ${issue.path.join('.')}: ${issue.message}`,
  );
}
