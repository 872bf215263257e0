/**
 * Routes that A1111's clients read at startup: lists of available items, many of them empty, and system
 * information.
 */
import { freemem, totalmem } from 'node:os';
import type { FastifyInstance } from 'fastify';
import { hiresFields, latentUpscalers } from '../../options/declarations/hires.js';
import { A1111Adapters } from '../adapters/a1111-lists.js';
import { realEsrganList, upscalerList } from './extras.js';
import { notSupported } from './failures.js';
import { interrogateFields } from './fields.js';
import type { RouteContext } from './route-context.js';
import { samplerList, schedulerList } from './samplers.js';

const tags = ['A1111'];

export function listRoutes(
  app: FastifyInstance,
  { config, styles, adapters, upscalers }: RouteContext,
): void {
  const adapterLists = new A1111Adapters(adapters);
  const get = (path: string, summary: string, list: () => object | Promise<object>): void => {
    app.get(path, { schema: { tags, summary } }, async () => list());
  };
  get('/samplers', 'Samplers', samplerList);
  get('/schedulers', 'Schedules', schedulerList);
  get('/upscalers', 'Upscalers', () => upscalerList(upscalers));
  get('/latent-upscale-modes', 'Latent upscale modes', () =>
    (Object.keys(latentUpscalers) as (keyof typeof latentUpscalers)[]).map((name) => ({
      name: hiresFields.hires.fields.upscaler.labels[name],
    })),
  );
  get('/sd-vae', 'Separate autoencoders', () => []);
  get('/loras', 'LoRAs', () => adapterLists.loras());
  get('/embeddings', 'Textual inversions', () => adapterLists.embeddings());
  get('/hypernetworks', 'Hypernetworks', () => []);
  get('/face-restorers', 'Face restorers', () => []);
  get('/realesrgan-models', 'Real-ESRGAN models', () => realEsrganList(upscalers));
  get('/prompt-styles', 'Styles', styles);
  get('/scripts', 'Scripts', () => ({ txt2img: [], img2img: [] }));
  get('/script-info', 'Arguments of scripts', () => []);
  get('/extensions', 'Extensions', () => []);
  get('/memory', 'Memory', memory);
  get('/cmd-flags', 'Command-line options', () => ({
    ...{ api: true, nowebui: false, listen: config.host, port: config.port, share: false, ckpt: null },
    ...{
      api_auth: null,
      cors_allow_origins: config.cors.join(',') || null,
      lowvram: config.memory === 'lean',
    },
    ...{ medvram: false, disable_nan_check: false, use_cpu: config.backend === 'cpu' ? ['all'] : [] },
  }));
  app.post(
    '/interrogate',
    { schema: { tags, summary: 'Not supported: describe an image', body: interrogateFields } },
    async () => {
      throw notSupported('interrogate', 'images cannot be captioned');
    },
  );
}

/** Returns the system memory in bytes; GPU memory is not reported. */
function memory() {
  const total = totalmem();
  const used = process.memoryUsage().rss;
  return { ram: { free: freemem(), used, total }, cuda: { error: 'unavailable' } };
}
