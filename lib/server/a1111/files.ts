/** Pictures that are only looked at, or enlarged. */
import type { FastifyInstance } from 'fastify';
import { asPng, enlarge, sentence } from './extras.js';
import { type ExtraFields, extraBatchFields, extraSingleFields, pngInfoFields } from './fields.js';
import { bytesOf, parameterFields, renderDecoded, textsOf } from './images.js';
import type { RouteContext } from './route-context.js';

const tags = ['A1111'];

export function fileRoutes(app: FastifyInstance, { limits }: RouteContext): void {
  const one = async (field: string, text: string, fields: ExtraFields) => {
    const image = await renderDecoded(field, text);
    const texts = await textsOf(field, bytesOf(field, text));
    const made = await enlarge(image, fields, limits);
    return { image: await asPng(made, texts), html: `<p>${sentence(made.info)}</p>` };
  };
  app.post(
    '/extra-single-image',
    { schema: { tags, summary: 'Enlarge a picture', body: extraSingleFields } },
    async (request) => {
      const body = request.body as ExtraFields & { image: string };
      const { image, html } = await one('image', body.image, body);
      return { html_info: html, image };
    },
  );
  app.post(
    '/extra-batch-images',
    { schema: { tags, summary: 'Enlarge pictures', body: extraBatchFields } },
    async (request) => {
      const body = request.body as ExtraFields & { imageList: { data: string }[] };
      const images: string[] = [];
      let html = '<p></p>';
      for (const [i, { data }] of body.imageList.entries()) {
        const made = await one(`imageList[${i}].data`, data, body);
        images.push(made.image);
        html = made.html;
      }
      return { html_info: html, images };
    },
  );
  app.post(
    '/png-info',
    { schema: { tags, summary: 'What a picture says it was made by', body: pngInfoFields } },
    async (request) => {
      const { image } = request.body as { image: string };
      const { parameters: info = '', ...items } = await textsOf('image', bytesOf('image', image));
      return { info, items, parameters: parameterFields(info) };
    },
  );
}
