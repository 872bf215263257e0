import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { aborted } from '../../../lib/errors.js';
import { Autoencoder } from '../../../lib/modules/autoencoder.js';
import { UNet } from '../../../lib/modules/unet.js';
import { type Generated, WebUIApi } from '../../support/server/a1111-client.js';
import { call, startServer, type TestServer } from '../../support/server/test-server.js';

let server: TestServer;
let api: WebUIApi;
beforeAll(async () => {
  server = await startServer();
  api = new WebUIApi(server.url);
});
afterEach(() => vi.restoreAllMocks());
afterAll(() => server.end());

interface Progress {
  readonly state: {
    readonly sampling_step: number;
    readonly interrupted: boolean;
    readonly job_count: number;
  };
}

/** Far more work than any test waits for. */
const LONG = { steps: 150, width: 128, height: 128 };
const SIDE = 128 / 8;

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  for (let i = 0; i < 1000 && !(await condition()); i++)
    await new Promise((resolve) => setTimeout(resolve, 5));
  expect(await condition()).toBe(true);
}

const begun = () => until(async () => (await api.get<Progress>('progress')).body.state.sampling_step > 1);

const interrupt = async (): Promise<void> => {
  expect(await api.post('interrupt')).toMatchObject({ status: 200, body: {} });
};

async function sizes({ images }: Generated): Promise<string[]> {
  const all = await Promise.all(images.map((image) => sharp(Buffer.from(image, 'base64')).metadata()));
  return all.map(({ format, width, height }) => `${format} ${width}x${height}`);
}

const seeds = ({ info }: Generated) => (JSON.parse(info) as { all_seeds: number[] }).all_seeds;

async function plain(side: number): Promise<string> {
  const create = { width: side, height: side, channels: 3, background: '#c03020' } as const;
  return (await sharp({ create }).png().toBuffer()).toString('base64');
}

/** Makes decodings of whole images wait until they are stopped, and counts those that begin. */
function stuckDecoding(side: number) {
  const decode = Autoencoder.prototype.decode;
  const seen = { begun: 0 };
  vi.spyOn(Autoencoder.prototype, 'decode').mockImplementation(function (
    this: Autoencoder,
    latent,
    options = {},
  ) {
    if (latent.shape[2]! < side) return decode.call(this, latent, options);
    seen.begun++;
    return new Promise((_, reject) => {
      if (options.signal?.aborted) reject(aborted());
      else options.signal?.addEventListener('abort', () => reject(aborted()));
    });
  });
  return seen;
}

describe('interrupt', () => {
  it('ends a batch at once: each of its images is decoded once, and nothing is sampled afterwards', async () => {
    const making = api.txt2img({ ...LONG, seed: 5, batch_size: 4, n_iter: 3 });
    await begun();
    const evaluate = vi.spyOn(UNet.prototype, 'forward');
    const decode = vi.spyOn(Autoencoder.prototype, 'decode');
    const start = performance.now();
    await interrupt();
    const evaluations = evaluate.mock.calls.length;
    const made = await making;
    // Generous: with the running step, it takes a fraction of a second on two cores.
    expect(performance.now() - start).toBeLessThan(3000);
    expect(evaluate.mock.calls.length).toBe(evaluations);
    expect(decode.mock.calls.filter(([latent]) => latent.shape[2] === SIDE)).toHaveLength(4);
    expect(await sizes(made)).toEqual(Array(4).fill('png 128x128'));
    expect(seeds(made)).toEqual([5, 6, 7, 8]);
  });

  it('keeps the finished batches', async () => {
    const making = api.txt2img({
      ...LONG,
      steps: 8,
      width: 64,
      height: 64,
      seed: 5,
      batch_size: 2,
      n_iter: 32,
    });
    await until(async () => ((await server.queue.list({ status: 'running' }))[0]?.images.length ?? 0) >= 2);
    await interrupt();
    const made = await making;
    expect(made.images.length).toBeGreaterThanOrEqual(2);
    expect(made.images.length).toBeLessThan(64);
    expect(seeds(made)).toEqual(made.images.map((_, i) => 5 + i));
  });

  it.each([
    ['DPM++ SDE', {}],
    ['DPM adaptive', {}],
    ['DPM2', {}],
    ['Euler a', { enable_hr: true, hr_scale: 1.5, hr_second_pass_steps: 100 }],
    ['Euler', { enable_hr: true, hr_scale: 2, hr_upscaler: 'Lanczos', hr_second_pass_steps: 100, steps: 2 }],
  ])('returns images: %s, %j', async (sampler_name, fields) => {
    const making = api.txt2img({ ...LONG, batch_size: 2, sampler_name, ...fields });
    await begun();
    await interrupt();
    const made = await making;
    expect(made.images.length).toBeGreaterThan(0);
    for (const size of await sizes(made)) expect(size).toMatch(/^png (128x128|192x192|256x256)$/);
  });

  it('returns images pasted into the initial ones', async () => {
    const mask = await sharp(
      Uint8Array.from({ length: 160 * 160 }, (_, i) => (i % 160 < 50 ? 255 : 0)),
      {
        raw: { width: 160, height: 160, channels: 1 },
      },
    )
      .png()
      .toBuffer();
    const fields = { ...LONG, batch_size: 2, mask: mask.toString('base64'), mask_blur: 0 };
    const making = api.img2img(await plain(160), fields);
    await begun();
    await interrupt();
    expect(await sizes(await making)).toEqual(Array(2).fill('png 160x160'));
  });

  it('returns previews when it is repeated during decoding', async () => {
    const decoding = stuckDecoding(SIDE);
    let answered = false;
    const making = api.txt2img({ ...LONG, batch_size: 3 }).finally(() => {
      answered = true;
    });
    await begun();
    await interrupt();
    await until(() => decoding.begun === 1);
    expect((await api.get<Progress>('progress')).body.state.interrupted).toBe(true);
    expect(answered).toBe(false);
    await interrupt();
    expect(await sizes(await making)).toEqual(Array(3).fill('png 128x128'));
  });

  it('has precedence over skip', async () => {
    const decoding = stuckDecoding(SIDE);
    const making = api.txt2img(LONG);
    await begun();
    await interrupt();
    await until(() => decoding.begun === 1);
    expect((await api.post('skip')).body).toBeNull();
    await interrupt();
    expect((await making).images).toHaveLength(1);
  });

  it('is not lost before the first progress report', async () => {
    const making = api.txt2img({ ...LONG, batch_size: 2 });
    await until(async () => (await server.queue.list({ status: 'running' })).length > 0);
    await until(async () => (await api.get<Progress>('progress')).body.state.job_count > 0);
    await interrupt();
    expect((await making).images.length).toBeGreaterThan(0);
  });

  it('leaves queued jobs unchanged', async () => {
    const first = await call<{ id: string }>(`${server.url}/v1/jobs`, {
      method: 'POST',
      json: { type: 'text-to-image', prompt: 'x', ...LONG },
    });
    const making = api.txt2img({ steps: 1 });
    await until(async () => (await api.get<Progress>('progress')).body.state.job_count > 0);
    await interrupt();
    await call(`${server.url}/v1/jobs/${first.body.id}`, { method: 'DELETE' });
    const made = await making;
    expect(made.images).toHaveLength(1);
    expect((await api.get<Progress>('progress')).body.state.interrupted).toBe(false);
  });
});

describe('finish in the API under /v1', () => {
  it('has the same effect: a second one stops the decoding', async () => {
    const decoding = stuckDecoding(SIDE);
    const json = { type: 'text-to-image', prompt: 'x', ...LONG, count: 2 };
    const { body } = await call<{ id: string }>(`${server.url}/v1/jobs`, { method: 'POST', json });
    const job = () => server.queue.get(body.id);
    await until(async () => (await job())?.progress?.phase === 'denoise');
    const finish = () => call(`${server.url}/v1/jobs/${body.id}/finish`, { method: 'POST' });
    await finish();
    await until(() => decoding.begun === 1);
    expect((await job())?.status).toBe('running');
    await finish();
    await until(async () => (await job())?.status === 'done');
    const images = (await job())!.images;
    expect(images.map(({ name }) => name)).toEqual(['0.png', '1.png']);
    const file = await server.queue.file(body.id, '1.png');
    expect(await sharp(await readFile(file!.path)).metadata()).toMatchObject({ width: 128, height: 128 });
  });
});
