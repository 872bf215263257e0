/** Routes for existing images: upscaling ("Extras") and reading generation parameters. */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { defined } from '../../defined.js';
import { encodePng } from '../../image/png.js';
import { readTexts } from '../../image/texts.js';
import { disconnectSignal } from '../job-completion.js';
import { upscalingJob } from './extras.js';
import { failure } from './failures.js';
import { type ExtraFields, extraBatchFields, extraSingleFields, pngInfoFields } from './fields.js';
import { follow } from './generation.js';
import { bytesOf, decodeImage, parameterFields, withFieldName } from './images.js';
import { imagesOf } from './response.js';
import type { RouteContext } from './route-context.js';

const tags = ['A1111'];

interface Extra {
  /** PNG in base64. */
  readonly image: string;
  readonly html: string;
}

export function fileRoutes(app: FastifyInstance, context: RouteContext): void {
  app.post(
    '/extra-single-image',
    { schema: { tags, summary: 'Upscale an image', body: extraSingleFields } },
    async (request, reply) => {
      const body = request.body as ExtraFields & { image: string };
      const upscaled = await upscale(context, { image: body.image }, body, disconnectSignal(reply));
      if (!upscaled) throw failure(409, 'The image was skipped');
      return { html_info: upscaled.html, image: upscaled.image };
    },
  );
  app.post(
    '/extra-batch-images',
    { schema: { tags, summary: 'Upscale images', body: extraBatchFields } },
    async (request, reply) => {
      const body = request.body as ExtraFields & { imageList: { data: string }[] };
      return upscaleEach(context, body, reply);
    },
  );
  app.post(
    '/png-info',
    { schema: { tags, summary: 'Read the generation parameters of an image', body: pngInfoFields } },
    async (request) => {
      const { image } = request.body as { image: string };
      const { parameters: info = '', ...items } = await readTexts('image', bytesOf('image', image));
      return { info, items, parameters: parameterFields(info) };
    },
  );
}

/** Upscales images one after the other, so that one request takes one place in the queue at a time. */
async function upscaleEach(
  context: RouteContext,
  body: ExtraFields & { readonly imageList: readonly { readonly data: string }[] },
  reply: FastifyReply,
): Promise<{ html_info: string; images: string[] }> {
  const signal = disconnectSignal(reply);
  const images: string[] = [];
  let html = '<p></p>';
  for (const [i, { data }] of body.imageList.entries()) {
    const upscaled = await upscale(context, { [`imageList[${i}].data`]: data }, body, signal);
    if (!upscaled) continue;
    images.push(upscaled.image);
    html = upscaled.html;
  }
  return { html_info: html, images };
}

/**
 * Upscales an image; returns undefined if it was skipped.
 * @param named the image under the name of its field
 */
async function upscale(
  context: RouteContext,
  named: Readonly<Record<string, string>>,
  fields: ExtraFields,
  signal: AbortSignal,
): Promise<Extra | undefined> {
  const [[field, image] = ['', '']] = Object.entries(named);
  const request = await upscalingJob(image, fields, context.upscalers);
  if (!request) return unchanged(field, image);
  const job = await withFieldName(field, () => context.queue.submit(request));
  const ended = await follow(context, job, 1, signal);
  const [png] = await imagesOf(ended, context.queue, {});
  if (png === undefined) return undefined;
  const { postprocessing = '' } = (ended.result ?? {}) as { postprocessing?: string };
  return { image: png, html: `<p>${postprocessing}</p>` };
}

/** Returns an image that no upscaler changes as a PNG with its generation parameters. */
async function unchanged(field: string, image: string): Promise<Extra> {
  const pixels = await decodeImage(field, image);
  const { parameters } = await readTexts(field, bytesOf(field, image));
  const png = await encodePng(pixels, defined({ parameters: parameters || undefined }));
  return { image: Buffer.from(png).toString('base64'), html: '<p></p>' };
}
