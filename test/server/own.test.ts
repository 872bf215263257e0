/** Safelight's own API, as its clients use it: over HTTP. */
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { starterModel } from '../../lib/models/open-model.js';
import { writeWriter } from '../codes-pipeline/checkpoint.js';
import { ball, pngOf } from '../codes-pipeline/drawings.js';
import { scratch } from '../vq/fixture.js';
import { call, startServer, type TestServer } from './running.js';

interface Shown {
  readonly id: string;
  readonly status: string;
  readonly model: string;
  readonly options: Record<string, unknown>;
  readonly images: { url: string; width: number; seed?: number }[];
  readonly result?: { codes: number[][]; psnr: number };
  readonly error?: { code: string; message: string };
}

const folder = scratch();
const small = { prompt: 'a red apple', width: 64, height: 64, steps: 2, seed: 7 };
let server: TestServer;
beforeAll(async () => {
  const writer = writeWriter(`${folder}/writer`, 32, { cond_stage_config: '__is_first_stage__' });
  server = await startServer({ model: [`starter=${starterModel}`, `writer=${writer}`], threads: 1 });
});
afterAll(() => server.end());

const post = (json: unknown, headers: Record<string, string> = {}) =>
  call<Shown>(`${server.url}/v1/jobs`, { method: 'POST', json, headers });
const get = async (id: string) => (await call<Shown>(`${server.url}/v1/jobs/${id}`)).body;

async function ended(id: string): Promise<Shown> {
  for (let i = 0; i < 1000; i++) {
    const job = await get(id);
    if (job.status !== 'queued' && job.status !== 'running') return job;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`${id} did not end`);
}

describe('jobs over HTTP', () => {
  it('are queued with their options beside the type, and give pictures by their addresses', async () => {
    const { status, body, headers } = await post({ type: 'text-to-image', ...small });
    expect(status).toBe(201);
    expect(headers.get('location')).toBe(`/v1/jobs/${body.id}`);
    const job = await ended(body.id);
    expect(job).toMatchObject({ status: 'done', model: 'starter', options: small });
    expect(job.images).toMatchObject([{ width: 64, seed: 7 }]);
    const picture = await fetch(server.url + job.images[0]!.url);
    expect(picture.headers.get('content-type')).toBe('image/png');
    expect(await sharp(Buffer.from(await picture.arrayBuffer())).metadata()).toMatchObject({ width: 64 });
  });

  it('take their options under `options` just as well', async () => {
    const { status, body } = await post({ type: 'text-to-image', options: small });
    expect(status).toBe(201);
    expect((await ended(body.id)).options).toEqual(small);
  });

  it('of models of codes give their codes', async () => {
    const image = `data:image/png;base64,${(await pngOf(ball(16))).toString('base64')}`;
    for (const type of ['reconstruct', 'sketch', 'sample'] as const) {
      const { body } = await post({ type, ...(type === 'sample' ? {} : { image }) });
      const job = await ended(body.id);
      expect(job).toMatchObject({ status: 'done', model: 'writer', images: [{ width: 16 }] });
      expect(job.result!.codes.flat()).toHaveLength(16);
    }
  });
});

describe('requests that are not right', () => {
  it.each([
    [{ type: 'text-to-image', stepz: 3 }, /stepz/],
    [{ type: 'text-to-image', steps: 0 }, /steps/],
    [{ type: 'text-to-image', steps: 'many' }, /steps/],
    [{ type: 'text-to-image', width: 2048, height: 2056 }, /height/],
    [{ type: 'text-to-image', prompt: 'x'.repeat(10_001) }, /prompt/],
    [{ type: 'text-to-image', count: 65 }, /count/],
    [{ type: 'text-to-image', hires: { scale: 8 } }, /hires/],
    [{ type: 'nothing' }, /type/],
    [{ prompt: 'x' }, /type/],
    [{ type: 'inpaint', init: 'eA==' }, /mask/],
    [{ type: 'sketch', image: 'eA==' }, /image/],
    [{ type: 'text-to-image', model: 'writer' }, /writer does not do text-to-image; take starter/],
    ['text', /./],
  ])('are refused with the field: %j', async (json, message) => {
    const { status, body } = await post(json);
    expect(status).toBe(400);
    expect(body.error!.message).toMatch(message);
  });

  it('name a model that is not there: 404', async () => {
    expect(await post({ type: 'text-to-image', model: '/etc/passwd' })).toMatchObject({ status: 404 });
  });
});
