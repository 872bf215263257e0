/** Requests of the web page other than jobs: models, tokens, thumbnails and traces. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { starterModel } from '../../../lib/checkpoint/open.js';
import { caseNamed, writeModel } from '../../support/latent-diffusion.js';
import { call, startServer, type TestServer } from '../../support/server/test-server.js';
import { scratch } from '../../support/vqgan/autoencoders.js';
import { writeTransformerCheckpoint } from '../../support/vqgan/checkpoint.js';

interface ShownJob {
  readonly id: string;
  readonly status: string;
  readonly images: { readonly name: string; readonly type: string; readonly url: string }[];
  readonly result: Record<string, unknown>;
  readonly error?: { readonly code: string; readonly message: string };
}

const folder = scratch();
let server: TestServer;
beforeAll(async () => {
  const writer = writeTransformerCheckpoint(join(folder, 'writer'), 32, {
    cond_stage_config: '__is_first_stage__',
  });
  const gone = join(folder, 'gone.safetensors');
  writeFileSync(gone, 'not a model');
  const wordless = ['faces', 'ddpm'].map(
    (name) => `${name}=${writeModel(caseNamed(name), join(folder, name))}`,
  );
  server = await startServer({
    model: [`starter=${starterModel}`, `writer=${writer}`, `gone=${gone}`, ...wordless],
    starter: false,
  });
});
afterAll(() => server.end());

async function ended(json: object): Promise<ShownJob> {
  const { status, body } = await call<ShownJob>(`${server.url}/v1/jobs`, { method: 'POST', json });
  expect(status, JSON.stringify(body)).toBe(201);
  await (await fetch(`${server.url}/v1/jobs/${body.id}/events`)).text();
  return (await call<ShownJob>(`${server.url}/v1/jobs/${body.id}`)).body;
}

const file = async (job: ShownJob, name: string): Promise<Response> =>
  fetch(server.url + job.images.find((image) => image.name === name)!.url);

describe('GET /v1/about', () => {
  it('returns models with their defaults, and the problem of a broken one', async () => {
    const { body } = await call(`${server.url}/v1/about`);
    expect(body).toMatchObject({
      models: [
        {
          name: 'starter',
          kind: 'diffusion',
          diffusion: { condition: 'text', width: 128, height: 128, factor: 8, steps: 20, cfg: 4 },
        },
        { name: 'writer', kind: 'codes', codes: { codebook: true, discriminator: false } },
        { name: 'gone', kind: 'unknown' },
        { name: 'faces', kind: 'diffusion', diffusion: { condition: 'none' } },
        { name: 'ddpm', kind: 'diffusion' },
      ],
      locked: false,
    });
    expect(JSON.stringify(body.samplers)).toContain(
      '{"name":"dpmpp_2m","label":"DPM++ 2M","ownsSchedule":false}',
    );
  });
});

describe('POST /v1/tokenize', () => {
  const count = (json: object) => call(`${server.url}/v1/tokenize`, { method: 'POST', json });

  it('counts tokens as the model does, without weights, by window', async () => {
    expect((await count({ prompt: '(red apple:1.2)' })).body).toEqual({ tokens: 2, windows: 1, window: 30 });
    expect((await count({ prompt: '' })).body).toEqual({ tokens: 0, windows: 1, window: 30 });
    expect((await count({ prompt: 'apple '.repeat(40) })).body).toEqual({
      tokens: 40,
      windows: 2,
      window: 30,
    });
  });

  it('rejects invalid requests', async () => {
    expect((await count({ prompt: 'x', model: 'nothing' })).status).toBe(404);
    expect((await count({ prompt: 'x', model: 'writer' })).status).toBe(400);
    expect((await count({})).status).toBe(400);
  });
});

describe('trace jobs', () => {
  let picture: ShownJob;
  beforeAll(async () => {
    picture = await ended({ type: 'text-to-image', prompt: 'red apple', steps: 3, seed: 5, count: 2 });
  });

  it('record the steps, words and tensors of the same image', async () => {
    const tensors = ['mid_block.resnets.0', 'text_encoder:final_layer_norm', 'decoder:mid_block'];
    const known = (await (
      await file(await ended({ type: 'inside', job: picture.id }), 'inside.json')
    ).json()) as {
      nodes: Record<string, { name: string }[]>;
    };
    const asked = [tensors[0], ...['text_encoder', 'decoder'].map((m) => `${m}:${known.nodes[m]![0]!.name}`)];
    const job = await ended({ type: 'inside', job: picture.id, picture: 1, tensors: asked });
    expect(job).toMatchObject({ status: 'done', result: { steps: 3, words: ['red', 'apple'] } });
    const seen = (await (await file(job, 'inside.json')).json()) as {
      steps: {
        sigma: number;
        latent: { top: number; width: number; height: number };
        stats: { latent: { std: number }[] };
      }[];
      words: { word: string; top: number }[];
      tensors: { name: string; steps: { std: number }[]; shape: number[]; histogram: { counts: number[] } }[];
    };
    expect(seen.steps.map(({ latent }) => latent)).toEqual(
      [0, 16, 32].map((top) => ({ top, width: 64, height: 16 })),
    );
    expect(seen.steps[0]!.sigma).toBeGreaterThan(seen.steps[2]!.sigma);
    expect(seen.tensors.map(({ name, steps }) => [name, steps.length])).toEqual([
      [asked[0], 3],
      [asked[1], 1],
      [asked[2], 1],
    ]);
    for (const { steps, shape, histogram } of seen.tensors) {
      expect(steps.every(({ std }) => std > 0)).toBe(true);
      expect(histogram.counts.reduce((a, b) => a + b)).toBe(shape.reduce((a, b) => a * b));
    }
    const latents = await sharp(Buffer.from(await (await file(job, 'latents.png')).arrayBuffer())).metadata();
    expect([latents.width, latents.height]).toEqual([64, 48]);
    const words = await sharp(Buffer.from(await (await file(job, 'words.png')).arrayBuffer())).stats();
    expect([words.channels[0]!.min, words.channels[0]!.max]).toEqual([0, 255]);
  });

  it('use the images of the traced job', async () => {
    const init = (
      await sharp({ create: { width: 64, height: 64, channels: 3, background: '#a05020' } })
        .png()
        .toBuffer()
    ).toString('base64');
    const other = await ended({ type: 'image-to-image', prompt: 'bear', init, strength: 0.7, steps: 3 });
    const question = await call<ShownJob>(`${server.url}/v1/jobs`, {
      method: 'POST',
      json: { type: 'inside', job: other.id },
    });
    await call(`${server.url}/v1/jobs/${other.id}/results`, { method: 'DELETE' });
    await (await fetch(`${server.url}/v1/jobs/${question.body.id}/events`)).text();
    expect((await call<ShownJob>(`${server.url}/v1/jobs/${question.body.id}`)).body.status).toBe('done');
  });

  it('are rejected if there is nothing to trace', async () => {
    const ask = (json: object) =>
      call(`${server.url}/v1/jobs`, { method: 'POST', json: { type: 'inside', ...json } });
    expect((await ask({ job: '0'.repeat(30) })).status).toBe(404);
    expect((await ask({ job: '../..' })).status).toBe(404);
    expect((await ask({ job: picture.id, picture: 2 })).status).toBe(404);
    expect((await ask({ job: picture.id, settings: { prompt: 'x' } })).status).toBe(400);
    expect((await ask({ job: picture.id, tensors: Array(33).fill('x') })).status).toBe(400);
    const unknown = await ended({ type: 'inside', job: picture.id, tensors: ['nothing'] });
    expect(unknown.error).toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('nothing'),
    });
    const look = await ended({ type: 'inside', job: picture.id });
    expect((await ask({ job: look.id })).status).toBe(400);
  });

  it('serve thumbnails and full images', async () => {
    const url = server.url + picture.images[0]!.url;
    const small = await fetch(`${url}?width=32`);
    expect(small.headers.get('content-type')).toBe('image/webp');
    expect((await sharp(Buffer.from(await small.arrayBuffer())).metadata()).width).toBe(32);
    expect((await fetch(url)).headers.get('content-type')).toBe('image/png');
    expect((await fetch(`${url}?width=4`)).status).toBe(400);
  });

  it.each(['faces', 'ddpm'])('record the steps of a model without a text encoder: %s', async (model) => {
    const other = await ended({ type: 'text-to-image', model, steps: 3, sampler: 'ddim' });
    expect(other).toMatchObject({ status: 'done' });
    const look = await ended({ type: 'inside', job: other.id, tensors: ['conv_in'] });
    expect(look).toMatchObject({ status: 'done', result: { steps: 3, words: [] } });
    const seen = (await (await file(look, 'inside.json')).json()) as { tensors: { steps: unknown[] }[] };
    expect(seen.tensors[0]!.steps).toHaveLength(3);
  });

  it('pass an image through a VQGAN model', async () => {
    const image = { job: picture.id, image: picture.images[0]!.name };
    const { images, result } = await ended({ type: 'score', model: 'writer', image });
    const { codes, patches, losses } = result as {
      codes: number[][];
      patches: unknown;
      losses: { rec_loss: number };
    };
    expect(images.map(({ name }) => name)).toEqual(['0.png', '1.png']);
    expect(codes.flat().every((code) => Number.isInteger(code) && code >= 0)).toBe(true);
    expect([codes.length, codes[0]!.length, patches]).toEqual([codes.length, codes.length, null]);
    expect(losses.rec_loss).toBeGreaterThan(0);
  });
});
