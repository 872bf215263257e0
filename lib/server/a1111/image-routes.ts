/** Routes for existing images: upscaling ("Extras") and reading generation parameters. */
import type { FastifyInstance } from 'fastify';
import { asPng, formatInfo, upscale } from './extras.js';
import { type ExtraFields, extraBatchFields, extraSingleFields, pngInfoFields } from './fields.js';
import { bytesOf, decodeImage, parameterFields, textsOf } from './images.js';
import type { RouteContext } from './route-context.js';

const tags = ['A1111'];

export function fileRoutes(app: FastifyInstance, { limits }: RouteContext): void {
  const upscaleOne = async (field: string, text: string, fields: ExtraFields) => {
    const image = await decodeImage(field, text);
    const texts = await textsOf(field, bytesOf(field, text));
    const upscaled = await upscale(image, fields, limits);
    return { image: await asPng(upscaled, texts), html: `<p>${formatInfo(upscaled.info)}</p>` };
  };
  app.post(
    '/extra-single-image',
    { schema: { tags, summary: 'Upscale an image', body: extraSingleFields } },
    async (request) => {
      const body = request.body as ExtraFields & { image: string };
      const { image, html } = await upscaleOne('image', body.image, body);
      return { html_info: html, image };
    },
  );
  app.post(
    '/extra-batch-images',
    { schema: { tags, summary: 'Upscale images', body: extraBatchFields } },
    async (request) => {
      const body = request.body as ExtraFields & { imageList: { data: string }[] };
      const images: string[] = [];
      let html = '<p></p>';
      for (const [i, { data }] of body.imageList.entries()) {
        const upscaled = await upscaleOne(`imageList[${i}].data`, data, body);
        images.push(upscaled.image);
        html = upscaled.html;
      }
      return { html_info: html, images };
    },
  );
  app.post(
    '/png-info',
    { schema: { tags, summary: 'Read the generation parameters of an image', body: pngInfoFields } },
    async (request) => {
      const { image } = request.body as { image: string };
      const { parameters: info = '', ...items } = await textsOf('image', bytesOf('image', image));
      return { info, items, parameters: parameterFields(info) };
    },
  );
}
