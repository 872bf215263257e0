/** A1111's txt2img and img2img routes, and those that report or control their progress. */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { loadSharp } from '../../image/sharp.js';
import { untilDone } from '../../jobs/completion.js';
import type { Job } from '../../jobs/types.js';
import { disconnectSignal } from '../job-completion.js';
import { failure } from './failures.js';
import {
  type GenerationBody,
  type Img2ImgBody,
  img2imgDefaults,
  img2imgFields,
  type Txt2ImgBody,
  txt2imgDefaults,
  txt2imgFields,
} from './fields.js';
import { withFieldName } from './images.js';
import { checkJob } from './job-check.js';
import { imageToImage, type ParsedRequest, type ParserContext, textToImage } from './request.js';
import { imagesOf, infoOf } from './response.js';
import type { RouteContext } from './route-context.js';

const tags = ['A1111'];

export function generationRoutes(app: FastifyInstance, context: RouteContext): void {
  app.post(
    '/txt2img',
    { schema: { tags, summary: 'Generate images from a prompt', body: txt2imgFields } },
    async (request, reply) => {
      const body = request.body as Txt2ImgBody;
      const parsed = textToImage(body, await parserContext(context));
      return generate(context, reply, body, parsed, { ...txt2imgDefaults, ...presentFields(body) });
    },
  );
  app.post(
    '/img2img',
    {
      schema: {
        tags,
        summary: 'Generate images from an image (image to image, inpainting)',
        body: img2imgFields,
      },
    },
    async (request, reply) => {
      const body = request.body as Img2ImgBody;
      const parsed = await imageToImage(body, await parserContext(context));
      const inputs = body.include_init_images ? {} : { init_images: null, mask: null };
      return generate(context, reply, body, parsed, {
        ...img2imgDefaults,
        ...presentFields(body),
        ...inputs,
      });
    },
  );
  progressRoutes(app, context);
}

async function parserContext(context: RouteContext): Promise<ParserContext> {
  const { find } = context.checkpoints;
  const upscalers = await context.upscalers.entries();
  return { settings: await context.settings(), styles: await context.styles(), find, upscalers };
}

function progressRoutes(app: FastifyInstance, { activity, queue }: RouteContext): void {
  app.get<{ Querystring: { skip_current_image?: string } }>(
    '/progress',
    { schema: { tags, summary: 'Progress of the current request' }, logLevel: 'warn' },
    async ({ query }) => {
      const { preview, ...progress } = activity.snapshot();
      const isWanted = preview !== undefined && !/^(?:true|1|yes|on)$/i.test(query.skip_current_image ?? '');
      return { ...progress, current_image: isWanted ? await asPng(preview) : null };
    },
  );
  // A second interrupt also stops the decoding; the response then contains previews.
  app.post(
    '/interrupt',
    { schema: { tags, summary: 'Stop the current request and keep its images so far' } },
    async () => {
      const current = activity.current;
      if (current?.id === undefined) return {};
      // The queue determines if the job is running; a queued job is not interrupted.
      const job = await queue.finish(current.id);
      if (job?.status === 'running') current.interrupted = true;
      return {};
    },
  );
  app.post(
    '/skip',
    { schema: { tags, summary: 'Skip the image that is being generated' } },
    async (_, reply) => {
      const current = activity.current;
      // An interrupted request already returns its images, so there is nothing left to skip.
      if (current?.id !== undefined && current.isRunning && !current.interrupted) {
        current.skipped = true;
        await queue.skip(current.id);
      }
      return sendNull(reply);
    },
  );
}

/** Sends the body `null`, which Fastify would leave empty. */
export function sendNull(reply: FastifyReply): FastifyReply {
  return reply.type('application/json; charset=utf-8').send('null');
}

async function generate(
  context: RouteContext,
  reply: FastifyReply,
  body: GenerationBody,
  parsed: ParsedRequest,
  parameters: Readonly<Record<string, unknown>>,
): Promise<{ images: string[]; parameters: Readonly<Record<string, unknown>>; info: string }> {
  const { queue, checkpoints, schemas } = context;
  const model = checkpoints.current(parsed.settings.sd_model_checkpoint);
  checkJob(parsed.job, body, schemas);
  // Only init_images[0] has not been decoded yet; masks were decoded to check whether they are blank.
  const job = await withFieldName('init_images[0]', () => queue.submit({ ...parsed.job, model }));
  const ended = await follow(context, job, parsed.batches, disconnectSignal(reply));
  if (body.override_settings && body.override_settings_restore_afterwards === false)
    await context.saveSettings(parsed.settings);
  return { images: await imagesOf(ended, queue, body), parameters, info: infoOf(ended, body, parsed) };
}

/**
 * Follows a job until its end, with its progress as A1111's global state.
 * @throws the error of a failed job, 409 for one that was cancelled elsewhere, ABORTED
 */
export async function follow(
  { activity, queue }: Pick<RouteContext, 'activity' | 'queue'>,
  job: Job,
  batches: number,
  signal: AbortSignal,
): Promise<Job> {
  const request = activity.begin(job, batches);
  try {
    const events = untilDone(queue, job.id, signal);
    for (;;) {
      const next = await events.next();
      if (next.done) return next.value;
      request.update(next.value);
    }
  } catch (error) {
    const now = await queue.get(job.id);
    // Cancelled elsewhere, for example on the web page; this client is still connected and gets an error.
    if (now?.status === 'cancelled' && !signal.aborted) throw failure(409, 'The job was cancelled');
    throw error;
  } finally {
    activity.end(request);
  }
}

/** Returns the fields that are present in the request. */
function presentFields(body: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(body).filter(([, value]) => value !== undefined && value !== null),
  );
}

async function asPng(uri: string): Promise<string> {
  const bytes = Buffer.from(uri.slice(uri.indexOf(',') + 1), 'base64');
  const sharp = await loadSharp();
  return (await sharp(bytes).png().toBuffer()).toString('base64');
}
