/** txt2img and img2img, and what one can do while they work. */
import type { FastifyInstance, FastifyReply } from 'fastify';
import sharp from 'sharp';
import type { Job } from '../../jobs/types.js';
import { leaving, untilDone } from '../finished.js';
import { imagesOf, infoOf } from './answer.js';
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
import { naming } from './images.js';
import { checkJob } from './job-check.js';
import { type Asked, imageToImage, type Reading, textToImage } from './request.js';
import type { RouteContext } from './route-context.js';

const tags = ['A1111'];

export function generationRoutes(app: FastifyInstance, context: RouteContext): void {
  app.post(
    '/txt2img',
    { schema: { tags, summary: 'Pictures of a prompt', body: txt2imgFields } },
    async (request, reply) => {
      const body = request.body as Txt2ImgBody;
      const asked = textToImage(body, await reading(context));
      return generate(context, reply, body, asked, { ...txt2imgDefaults, ...said(body) });
    },
  );
  app.post(
    '/img2img',
    { schema: { tags, summary: 'Pictures of a picture, or of a part of it', body: img2imgFields } },
    async (request, reply) => {
      const body = request.body as Img2ImgBody;
      const asked = await imageToImage(body, await reading(context));
      const pictures = body.include_init_images ? {} : { init_images: null, mask: null };
      return generate(context, reply, body, asked, { ...img2imgDefaults, ...said(body), ...pictures });
    },
  );
  watching(app, context);
}

async function reading(context: RouteContext): Promise<Reading> {
  const { find } = context.checkpoints;
  return { settings: await context.settings(), styles: await context.styles(), find };
}

function watching(app: FastifyInstance, { activity, queue }: RouteContext): void {
  app.get<{ Querystring: { skip_current_image?: string } }>(
    '/progress',
    { schema: { tags, summary: 'How far the work is' }, logLevel: 'warn' },
    async ({ query }) => {
      const { preview, ...told } = activity.told();
      const isWanted = preview !== undefined && !/^(?:true|1|yes|on)$/i.test(query.skip_current_image ?? '');
      return { ...told, current_image: isWanted ? await asPng(preview) : null };
    },
  );
  // A second one ends the decoding too: the answer is the previews then.
  app.post('/interrupt', { schema: { tags, summary: 'Stop, and keep the picture so far' } }, async () => {
    const work = activity.current;
    if (work?.id === undefined) return {};
    // The queue knows first that a job has begun; one that waits is not ended.
    const job = await queue.finish(work.id);
    if (job?.status === 'running') work.interrupted = true;
    return {};
  });
  app.post('/skip', { schema: { tags, summary: 'Leave out the picture under way' } }, async (_, reply) => {
    const work = activity.current;
    // What an interrupted job has is its answer; there is nothing after it to go on with.
    if (work?.id !== undefined && work.isRunning && !work.interrupted) {
      work.skipped = true;
      await queue.skip(work.id);
    }
    return nothing(reply);
  });
}

/** The body `null`, which Fastify would leave empty. */
export function nothing(reply: FastifyReply): FastifyReply {
  return reply.type('application/json; charset=utf-8').send('null');
}

async function generate(
  context: RouteContext,
  reply: FastifyReply,
  body: GenerationBody,
  asked: Asked,
  parameters: Readonly<Record<string, unknown>>,
): Promise<{ images: string[]; parameters: Readonly<Record<string, unknown>>; info: string }> {
  const { queue, checkpoints, schemas } = context;
  const model = checkpoints.current(asked.settings.sd_model_checkpoint);
  checkJob(asked.job, body, schemas);
  // The only picture that has not been looked at is the first; masks were read to see whether they are empty.
  const job = await naming('init_images[0]', () => queue.submit({ ...asked.job, model }));
  const ended = await follow(context, job, asked, leaving(reply));
  if (body.override_settings && body.override_settings_restore_afterwards === false)
    await context.keep(asked.settings);
  return { images: await imagesOf(ended, queue, body), parameters, info: infoOf(ended, body, asked) };
}

async function follow(
  { activity, queue }: RouteContext,
  job: Job,
  asked: Asked,
  signal: AbortSignal,
): Promise<Job> {
  const work = activity.begin(job, asked.batches);
  try {
    const events = untilDone(queue, job.id, signal);
    for (;;) {
      const next = await events.next();
      if (next.done) return next.value;
      work.take(next.value);
    }
  } catch (error) {
    const now = await queue.get(job.id);
    // Cancelled from elsewhere, such as the page: this client is still there and has to be told.
    if (now?.status === 'cancelled' && !signal.aborted) throw failure(409, 'The job was cancelled');
    throw error;
  } finally {
    activity.end(work);
  }
}

/** The fields that were given. */
function said(body: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(body).filter(([, value]) => value !== undefined && value !== null),
  );
}

async function asPng(uri: string): Promise<string> {
  const bytes = Buffer.from(uri.slice(uri.indexOf(',') + 1), 'base64');
  return (await sharp(bytes).png().toBuffer()).toString('base64');
}
