/** Upscaler models in A1111's API: lists, "Extras" and hires fix. */
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mix } from '../../../lib/image/mix.js';
import { encodePng, readPngText } from '../../../lib/image/png.js';
import { readImage } from '../../../lib/image/read.js';
import { resample } from '../../../lib/image/resample.js';
import { upscaleTo } from '../../../lib/pipelines/upscale/upscale-to.js';
import { Upscaler } from '../../../lib/pipelines/upscale/upscaler.js';
import { WebUIApi } from '../../support/server/a1111-client.js';
import { call, startServer, type TestServer } from '../../support/server/test-server.js';
import { UpscalerModels } from '../../support/server/upscaler-folder.js';
import { testImage } from '../../support/upscale/images.js';

const models = new UpscalerModels();
const source = testImage(40, 24, 3);
let image: string;
let server: TestServer;
let api: WebUIApi;
let upscaler: Upscaler;
beforeAll(async () => {
  const file = models.put('RealESRGAN/RealESRGAN_x4plus.safetensors');
  models.put('upscalers/2x-Tiny.safetensors', 'esrgan-x2');
  models.text('upscalers/broken.pth', 'no tensors');
  image = Buffer.from(await encodePng(source, { parameters: 'a cat\nSteps: 3' })).toString('base64');
  server = await startServer({ models: models.path, threads: 1 });
  api = new WebUIApi(server.url);
  upscaler = await Upscaler.load(file, { threads: 1 });
});
afterAll(async () => {
  await upscaler.dispose();
  await server.end();
  for (const folder of models.folders) rmSync(folder, { recursive: true });
});

interface Extra {
  readonly image: string;
  readonly html_info: string;
  readonly detail: string;
}
const extra = (fields: object, signal?: AbortSignal) =>
  api.post<Extra>('extra-single-image', { image, ...fields }, signal);
const pixelsOf = async (base64: string) => (await readImage(Buffer.from(base64, 'base64'))).data;

interface Listed {
  readonly id: string;
  readonly type: string;
  readonly status: string;
  readonly client: string;
  readonly model: string;
}
const jobs = async () => (await call<{ jobs: Listed[] }>(`${server.url}/v1/jobs`)).body.jobs;

describe('lists', () => {
  it('contain the models that can be used, under the labels that A1111 has for them', async () => {
    const { body } = await api.get<Record<string, unknown>[]>('upscalers');
    expect(body.slice(0, 3).map(({ name }) => name)).toEqual(['None', 'Lanczos', 'Nearest']);
    expect(body.slice(3)).toEqual([
      {
        ...{ name: '2x-Tiny', model_name: '2x-Tiny', model_path: 'upscalers/2x-Tiny.safetensors' },
        ...{ model_url: null, scale: 2 },
      },
      {
        ...{ name: 'R-ESRGAN 4x+', model_name: 'RealESRGAN_x4plus', model_url: null, scale: 4 },
        model_path: 'RealESRGAN/RealESRGAN_x4plus.safetensors',
      },
    ]);
    expect((await api.get('realesrgan-models')).body).toEqual([
      { name: 'R-ESRGAN 4x+', path: 'RealESRGAN/RealESRGAN_x4plus.safetensors', scale: 4 },
    ]);
  });
});

describe('Extras', () => {
  it('upscale with a model by a job of the queue', async () => {
    const { status, body } = await extra({ upscaler_1: 'R-ESRGAN 4x+', upscaling_resize: 4 });
    expect(status).toBe(200);
    expect(await pixelsOf(body.image)).toEqual((await upscaler.upscale(source)).data);
    expect(body.html_info).toBe('<p>Postprocess upscale by: 4, Postprocess upscaler: R-ESRGAN 4x+</p>');
    expect(readPngText(Buffer.from(body.image, 'base64'))).toMatchObject({ parameters: 'a cat\nSteps: 3' });
    expect(await jobs()).toMatchObject([
      { type: 'upscale', status: 'done', client: 'a1111', model: 'RealESRGAN_x4plus' },
    ]);
  });

  it('rounds sizes as A1111 does and runs the model until the image covers them', async () => {
    const { body } = await extra({ upscaler_1: 'RealESRGAN_x4plus', upscaling_resize: 4.7 });
    const expected = await upscaleTo(upscaler, await readImage(source), { width: 184, height: 112 });
    expect(await pixelsOf(body.image)).toEqual(expected.data);
  });

  it('mix two upscalers', async () => {
    const { body } = await extra({
      ...{ upscaler_1: 'Lanczos', upscaler_2: 'R-ESRGAN 4x+', extras_upscaler_2_visibility: 0.5 },
      upscaling_resize: 4,
    });
    const [first, second] = [
      await resample(await readImage(source), 160, 96, 'lanczos'),
      await upscaler.upscale(source),
    ];
    expect(await pixelsOf(body.image)).toEqual((await mix(first, second, 0.5)).data);
    expect(body.html_info).toContain('Postprocess upscaler 2: R-ESRGAN 4x+');
  });

  it('upscale several images one after the other', async () => {
    const { body } = await api.post<{ images: string[] }>('extra-batch-images', {
      ...{ upscaler_1: '2x-tiny', upscaling_resize: 2 },
      imageList: [{ data: image }, { data: `data:image/png;base64,${image}` }],
    });
    expect(body.images).toHaveLength(2);
    expect(body.images[0]).toBe(body.images[1]);
    const broken = await api.post<Extra>('extra-batch-images', {
      ...{ upscaler_1: '2x-tiny', imageList: [{ data: image }, { data: 'AAAA' }] },
    });
    expect([broken.status, broken.body.detail]).toEqual([400, expect.stringContaining('imageList[1].data')]);
  });

  it('are cancelled when the client disconnects', async () => {
    const png = await encodePng(testImage(300, 300, 3));
    const client = new AbortController();
    const fields = { image: Buffer.from(png).toString('base64'), upscaler_1: 'R-ESRGAN 4x+' };
    const before = (await jobs()).length;
    const response = extra({ ...fields, upscaling_resize: 4 }, client.signal);
    response.catch(() => undefined);
    const newest = async () => {
      const all = await jobs();
      return all.length > before ? all[0] : undefined;
    };
    await expect.poll(async () => (await newest())?.status, { timeout: 20_000 }).toBe('running');
    client.abort();
    await expect(response).rejects.toThrow();
    await expect.poll(async () => (await newest())?.status, { timeout: 20_000 }).toBe('cancelled');
  });

  it.each([
    [{ upscaler_1: 'R-ESRGAN 5x' }, /upscaler_1.*R-ESRGAN 4x\+/],
    [{ upscaler_1: '2x-Tiny', upscaler_2: 'nothing' }, /upscaler_2/],
    [{ upscaler_1: '../upscalers/2x-Tiny' }, /upscaler_1/],
    [{ upscaler_1: '2x-Tiny', upscaling_resize: 100 }, /pixels.* for upscaling_resize/],
  ])('reject %j', async (fields, message) => {
    const limited = {
      ...fields,
      image: Buffer.from(await encodePng(testImage(96, 96, 3))).toString('base64'),
    };
    const { status, body } = await extra(limited);
    expect([status, body.detail]).toEqual([422, expect.stringMatching(message)]);
  });
});

describe('hires fix', () => {
  const second = { enable_hr: true, hr_scale: 2, hr_second_pass_steps: 1, denoising_strength: 0.1, steps: 1 };

  it("uses a model by A1111's label of it", async () => {
    const { info, images } = await api.txt2img({ ...second, hr_upscaler: 'R-ESRGAN 4x+' });
    const { infotexts } = JSON.parse(info) as { infotexts: string[] };
    expect(infotexts[0]).toContain('Hires upscaler: R-ESRGAN 4x+');
    const other = await api.txt2img({ ...second, hr_upscaler: 'Lanczos' });
    expect(await pixelsOf(images[0]!)).not.toEqual(await pixelsOf(other.images[0]!));
    const again = await api.post<{ images: string[]; info: string }>('txt2img', {
      ...{ infotext: infotexts[0], width: 64, height: 64, sampler_name: 'Euler a' },
    });
    expect(JSON.parse(again.body.info)).toMatchObject({
      infotexts: [expect.stringContaining('Hires upscaler: R-ESRGAN 4x+')],
    });
    expect(await pixelsOf(again.body.images[0]!)).toEqual(await pixelsOf(images[0]!));
  });

  it('rejects an unknown upscaler with the names of all', async () => {
    const { status, body } = await api.post<Extra>('txt2img', { ...second, hr_upscaler: 'ScuNET' });
    expect([status, body.detail]).toEqual([422, expect.stringMatching(/ScuNET.*Latent.*R-ESRGAN 4x\+/)]);
  });
});
