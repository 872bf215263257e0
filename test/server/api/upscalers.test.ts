/** Upscaling over HTTP: the list of models, jobs of type `upscale`, and hires fix with a model by name. */
import { rmSync } from 'node:fs';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodePng, readPngText } from '../../../lib/image/png.js';
import { readImage } from '../../../lib/image/read.js';
import { Upscaler } from '../../../lib/pipelines/upscale/upscaler.js';
import { call, startServer, type TestServer } from '../../support/server/test-server.js';
import { UpscalerModels } from '../../support/server/upscaler-folder.js';
import { testImage } from '../../support/upscale/images.js';

interface Shown {
  readonly id: string;
  readonly type: string;
  readonly status: string;
  readonly model: string;
  readonly started?: string;
  readonly options: Record<string, unknown>;
  readonly images: { name: string; url: string; width: number; height: number; parameters: string }[];
  readonly error?: { code: string; message: string };
}

const models = new UpscalerModels();
const LIMITS = { 'max-pixels': 200_000 };
const source = testImage(40, 24, 3);
let image: string;
/** An image of so many small tiles that a job can be stopped in between. */
let large: string;
let server: TestServer;
beforeAll(async () => {
  models.put('upscalers/sub/4x-Tiny.safetensors');
  models.put('RealESRGAN/RealESRGAN_x2plus.safetensors', 'esrgan-x2');
  models.text('upscalers/broken.pth', 'no tensors');
  models.put('outside.safetensors');
  const base64 = async (...size: [number, number]) =>
    Buffer.from(await encodePng(testImage(...size, 3), { parameters: 'a cat\nSteps: 3' })).toString('base64');
  [image, large] = [await base64(40, 24), await base64(200, 200)];
  server = await startServer({ models: models.path, threads: 1, ...LIMITS });
});
afterAll(async () => {
  await server.end();
  for (const folder of models.folders) rmSync(folder, { recursive: true });
});

const post = (json: unknown) => call<Shown>(`${server.url}/v1/jobs`, { method: 'POST', json });
const get = async (id: string) => (await call<Shown>(`${server.url}/v1/jobs/${id}`)).body;
const bytesOf = async (job: Shown) =>
  Buffer.from(await (await fetch(server.url + job.images[0]!.url)).arrayBuffer());

async function until(id: string, isReached: (job: Shown) => boolean): Promise<Shown> {
  for (let i = 0; i < 2000; i++) {
    const job = await get(id);
    if (isReached(job)) return job;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`${id} did not get there`);
}
const ended = (id: string) => until(id, ({ status }) => !['queued', 'running'].includes(status));

/** Returns the types of the events of a job with their data. */
async function eventsOf(id: string): Promise<{ type: string; data: Record<string, unknown> }[]> {
  const text = await (await fetch(`${server.url}/v1/jobs/${id}/events`)).text();
  return text.split('\n\n').flatMap((event) => {
    const [, type] = /^event: (.*)$/m.exec(event) ?? [];
    const [, data] = /^data: (.*)$/m.exec(event) ?? [];
    return type && data ? [{ type, data: JSON.parse(data) as Record<string, unknown> }] : [];
  });
}

describe('GET /v1/upscalers', () => {
  it("lists the models with A1111's labels, and what is wrong with a file", async () => {
    const { body } = await call(`${server.url}/v1/upscalers`);
    expect(body).toEqual({
      configured: true,
      upscalers: [
        {
          ...{
            name: 'broken',
            label: 'broken',
            file: 'upscalers/broken.pth',
            architecture: null,
            scale: null,
          },
          problem: expect.stringContaining('upscalers/broken.pth'),
        },
        {
          ...{ name: '4x-Tiny', label: '4x-Tiny', file: 'upscalers/sub/4x-Tiny.safetensors', scale: 4 },
          architecture: 'Real-ESRGAN Compact',
        },
        {
          ...{ name: 'RealESRGAN_x2plus', label: 'R-ESRGAN 2x+', architecture: 'ESRGAN', scale: 2 },
          file: 'RealESRGAN/RealESRGAN_x2plus.safetensors',
        },
      ],
    });
    expect(JSON.stringify(body)).not.toContain(models.path);
  });

  it('notices new files, and offers none of them as a model', async () => {
    const late = models.put('SwinIR/late.safetensors');
    const { body } = await call<{ upscalers: { name: string }[] }>(`${server.url}/v1/upscalers`);
    expect(body.upscalers.map(({ name }) => name)).toContain('late');
    rmSync(late);
    expect(server.models).toEqual(['starter', 'sketch']);
  });
});

describe('an upscaling job', () => {
  it('runs without a checkpoint, reports its tiles and keeps the generation parameters', async () => {
    const { status, body } = await post({
      type: 'upscale',
      upscaler: '4x-tiny',
      image,
      tile: 24,
      overlap: 8,
    });
    expect([status, body.model]).toEqual([201, '4x-Tiny']);
    const events = await eventsOf(body.id);
    const phases = events.filter(({ type }) => type === 'progress').map(({ data }) => data.phase);
    expect(phases).toContain('upscale');
    const job = await ended(body.id);
    expect(job).toMatchObject({
      ...{ type: 'upscale', status: 'done', model: '4x-Tiny' },
      options: { upscaler: '4x-Tiny', scale: 4 },
      images: [{ name: '0.png', width: 160, height: 96, parameters: 'a cat\nSteps: 3' }],
    });
    expect(readPngText(await bytesOf(job))).toMatchObject({
      parameters: 'a cat\nSteps: 3',
      postprocessing: 'Postprocess upscale by: 4, Postprocess upscaler: 4x-Tiny',
    });
    const { body: list } = await call<{ jobs: Shown[] }>(`${server.url}/v1/jobs?limit=1`);
    expect(list.jobs).toMatchObject([{ id: body.id, type: 'upscale', model: '4x-Tiny' }]);
  });

  it('upscales the result of an earlier job', async () => {
    const first = await ended(
      (await post({ type: 'upscale', upscaler: 'nearest', image, scale: 1 })).body.id,
    );
    const earlier = { job: first.id, image: first.images[0]!.name };
    const { body } = await post({ type: 'upscale', upscaler: 'R-ESRGAN 2x+', image: earlier });
    const job = await ended(body.id);
    expect(job).toMatchObject({ model: 'RealESRGAN_x2plus', images: [{ width: 80, height: 48 }] });
    await using upscaler = await Upscaler.load(`${models.path}/RealESRGAN/RealESRGAN_x2plus.safetensors`, {
      threads: 1,
    });
    expect((await readImage(await bytesOf(job))).data).toEqual((await upscaler.upscale(source)).data);
  });

  it('is cancelled while it runs, and continues after a restart of the server', async () => {
    const request = { type: 'upscale', upscaler: '4x-Tiny', image: large, tile: 16, overlap: 12 };
    const first = (await post(request)).body;
    await until(first.id, ({ status }) => status === 'running');
    await call(`${server.url}/v1/jobs/${first.id}`, { method: 'DELETE' });
    expect(await ended(first.id)).toMatchObject({ status: 'cancelled', images: [] });
    const second = (await post(request)).body;
    await until(second.id, ({ status }) => status === 'running');
    await server.close();
    const closed = Date.now();
    server = { ...(await startServer({ models: models.path, threads: 1, data: server.data, ...LIMITS })) };
    const job = await ended(second.id);
    expect(job).toMatchObject({ status: 'done', images: [{ width: 800, height: 800 }] });
    expect(Date.parse(job.started!)).toBeGreaterThanOrEqual(closed);
  });

  it.each([
    [{ upscaler: '4x-Tniy' }, 404, /did you mean 4x-Tiny\?/],
    [{ upscaler: 'outside' }, 404, /outside/],
    [{ upscaler: '../outside' }, 400, /upscaler/],
    [{ upscaler: '/etc/passwd' }, 400, /upscaler/],
    [{ upscaler: '4x-Tiny', model: 'starter' }, 400, /model/],
    [{ upscaler: '4x-Tiny', scale: 100 }, 400, /pixels.* for scale/],
    [{ upscaler: '4x-Tiny', size: { width: 60_000, height: 9 } }, 400, /pixels.* for size/],
    [{ upscaler: '4x-Tiny', image: 'AAAA' }, 400, /image/],
    [{}, 400, /upscaler/],
  ])('is not queued with %j', async (fields, status, message) => {
    const { status: received, body } = await post({ type: 'upscale', image, ...fields });
    expect([received, body.error!.message]).toEqual([status, expect.stringMatching(message)]);
  });
});

describe('hires fix', () => {
  const small = { type: 'text-to-image', prompt: 'an apple', width: 32, height: 32, steps: 2, seed: 3 };

  it('uses a model by its name and records it', async () => {
    const generated = async (upscaler: string) => {
      const { body } = await post({ ...small, hires: { scale: 2, steps: 1, strength: 0.1, upscaler } });
      return ended(body.id);
    };
    const job = await generated('4X-TINY');
    expect(job).toMatchObject({ status: 'done', options: { hires: { upscaler: '4x-Tiny' } } });
    expect(job.images[0]!.parameters).toContain('Hires upscaler: 4x-Tiny');
    const [bytes, other] = [await bytesOf(job), await bytesOf(await generated('lanczos'))];
    expect(readPngText(bytes).safelight).toContain('"upscaler":"4x-Tiny"');
    const pixels = (png: Buffer) => sharp(png).raw().toBuffer();
    expect(await pixels(bytes)).not.toEqual(await pixels(other));
  });

  it.each([
    ['4x-Tniy', 404, /did you mean 4x-Tiny\?/],
    ['../outside', 400, /without a path/],
    ['/etc/passwd', 400, /without a path/],
    ['outside.safetensors', 404, /outside/],
  ])('rejects the upscaler %s', async (upscaler, status, message) => {
    const { status: received, body } = await post({ ...small, hires: { upscaler } });
    expect([received, body.error!.message]).toEqual([status, expect.stringMatching(message)]);
  });
});
