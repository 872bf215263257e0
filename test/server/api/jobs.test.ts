/** Safelight's own API over HTTP, as clients use it. */
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { starterModel } from '../../../lib/checkpoint/open.js';
import { call, startServer, type TestServer } from '../../support/server/test-server.js';
import { scratch } from '../../support/vqgan/autoencoders.js';
import { writeTransformerCheckpoint } from '../../support/vqgan/checkpoint.js';
import { ball, pngOf } from '../../support/vqgan/drawings.js';

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
  const writer = writeTransformerCheckpoint(`${folder}/writer`, 32, {
    cond_stage_config: '__is_first_stage__',
  });
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
  it('are queued with their options next to the type, and return images by URL', async () => {
    const { status, body, headers } = await post({ type: 'text-to-image', ...small });
    expect(status).toBe(201);
    expect(headers.get('location')).toBe(`/v1/jobs/${body.id}`);
    const job = await ended(body.id);
    expect(job).toMatchObject({ status: 'done', model: 'starter', options: small });
    expect(job.images).toMatchObject([{ width: 64, seed: 7 }]);
    const answer = await fetch(server.url + job.images[0]!.url);
    expect(answer.headers.get('content-type')).toBe('image/png');
    expect(await sharp(Buffer.from(await answer.arrayBuffer())).metadata()).toMatchObject({ width: 64 });
  });

  it('accept their options under `options`', async () => {
    const { status, body } = await post({ type: 'text-to-image', options: small });
    expect(status).toBe(201);
    expect((await ended(body.id)).options).toEqual(small);
  });

  it('accept -1 for a random seed, which the job reports', async () => {
    const seeds = { seed: -1, subseed: -1, subseedStrength: 0.5 };
    const { status, body } = await post({ type: 'text-to-image', ...small, ...seeds });
    expect(status).toBe(201);
    const { options, images } = await ended(body.id);
    for (const name of ['seed', 'subseed']) expect(Number(options[name])).toBeGreaterThanOrEqual(0);
    expect(images[0]!.seed).toBe(options.seed);
    const sample = await ended((await post({ type: 'sample', seed: -1 })).body.id);
    expect(Number(sample.options.seed)).toBeGreaterThanOrEqual(0);
    expect((await post({ type: 'text-to-image', ...small, seed: -2 })).status).toBe(400);
  });

  it('of VQGAN models return their code indices', async () => {
    const image = `data:image/png;base64,${(await pngOf(ball(16))).toString('base64')}`;
    for (const type of ['reconstruct', 'sketch', 'sample'] as const) {
      const { body } = await post({ type, ...(type === 'sample' ? {} : { image }) });
      const job = await ended(body.id);
      expect(job).toMatchObject({ status: 'done', model: 'writer', images: [{ width: 16 }] });
      expect(job.result!.codes.flat()).toHaveLength(16);
    }
  });
});

it('accepts a seed of -1 for a random one, which the job reports', async () => {
  const options = { type: 'text-to-image', ...small, schedule: 'Automatic', seed: -1, subseed: -1 };
  const jobs = await Promise.all([post(options), post(options)]);
  const seeds = jobs.map(({ status, body }) => {
    expect(status).toBe(201);
    return [body.options.seed, body.options.subseed] as number[];
  });
  expect(seeds[0]).not.toEqual(seeds[1]);
  for (const seed of seeds.flat()) expect(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32).toBe(true);
  const job = await ended(jobs[0]!.body.id);
  expect(job).toMatchObject({ status: 'done', images: [{ seed: seeds[0]![0] }] });
});

describe('invalid requests', () => {
  it.each([
    [{ type: 'text-to-image', stepz: 3 }, /stepz/],
    [{ type: 'text-to-image', steps: 0 }, /steps/],
    [{ type: 'text-to-image', seed: -2 }, /seed/],
    [{ type: 'text-to-image', steps: 'many' }, /steps/],
    [{ type: 'text-to-image', width: 2048, height: 2056 }, /height/],
    [{ type: 'text-to-image', prompt: 'x'.repeat(10_001) }, /prompt/],
    [{ type: 'text-to-image', count: 65 }, /count/],
    [{ type: 'text-to-image', hires: { scale: 8 } }, /hires/],
    [{ type: 'nothing' }, /type/],
    [{ prompt: 'x' }, /type/],
    [{ type: 'inpaint', init: 'eA==' }, /mask/],
    [{ type: 'sketch', image: 'eA==' }, /image/],
    [{ type: 'text-to-image', model: 'writer' }, /writer cannot run text-to-image jobs; use starter/],
    ['text', /./],
  ])('are rejected with the field: %j', async (json, message) => {
    const { status, body } = await post(json);
    expect(status).toBe(400);
    expect(body.error!.message).toMatch(message);
  });

  it('respond with 404 for an unknown model', async () => {
    expect(await post({ type: 'text-to-image', model: '/etc/passwd' })).toMatchObject({ status: 404 });
  });
});

describe('a request with a content type and no body', () => {
  const types = [
    'application/x-www-form-urlencoded',
    'text/plain',
    'application/json',
    'multipart/form-data',
  ];
  const ask = async (method: string, path: string, type: string, body: string | ReadableStream = '') => {
    const duplex = body instanceof ReadableStream ? { duplex: 'half' } : {};
    const init = { method, headers: { 'content-type': type }, body, ...duplex };
    const response = await fetch(server.url + path, init as RequestInit);
    return { status: response.status, text: await response.text() };
  };
  const chunked = () => new Blob([]).stream(); // no content-length

  it.each(types)('is answered if no body is expected: %s', async (type) => {
    const { id } = (await post({ type: 'text-to-image', ...small })).body;
    await ended(id);
    for (const body of [() => '', chunked]) {
      expect((await ask('POST', `/v1/jobs/${id}/finish`, type, body())).status).toBe(200);
      expect((await ask('DELETE', `/v1/jobs/${id}`, type, body())).status).toBe(200);
      expect((await ask('POST', '/sdapi/v1/interrupt', type, body())).status).toBe(200);
      expect((await ask('POST', '/sdapi/v1/refresh-checkpoints', type, body())).status).toBe(200);
    }
    expect((await ask('DELETE', `/v1/jobs/${id}/results`, type)).status).toBe(204);
  });

  it('may have a body', async () => {
    const { id } = (await post({ type: 'text-to-image', ...small })).body;
    await ended(id);
    for (const [type, body] of [
      [types[0]!, 'a=b'],
      [types[1]!, 'text'],
      [types[2]!, '{broken'],
    ] as const)
      expect((await ask('POST', `/v1/jobs/${id}/finish`, type, body)).status).toBe(200);
  });

  it('is rejected with the accepted types if a body is required', async () => {
    for (const path of ['/v1/jobs', '/v1/images/generations', '/v1/tokenize', '/sdapi/v1/png-info']) {
      for (const type of types) {
        const { status, text } = await ask('POST', path, type);
        const wanted = path.startsWith('/sdapi') ? 422 : 400;
        expect([path, status, text]).toEqual([path, wanted, expect.stringContaining('application/json')]);
      }
      for (const type of types.slice(0, 2)) {
        const { status, text } = await ask('POST', path, type, '{"prompt":"x"}');
        expect([path, status, text]).toEqual([path, 415, expect.stringContaining('application/json')]);
      }
    }
    const { status, text } = await ask('POST', '/v1/images/edits', types[0]!, 'prompt=x');
    expect([status, text]).toEqual([415, expect.stringContaining('multipart/form-data')]);
    expect((await ask('POST', '/v1/jobs', 'nonsense', '{}')).text).toContain('application/json');
    expect((await ask('POST', '/v1/jobs', types[2]!, '{broken')).status).toBe(400);
  });
});

describe('a long job', () => {
  const long = { type: 'text-to-image', ...small, width: 256, height: 256, steps: 100 };
  const cancel = async (id: string) => {
    const begun = performance.now();
    const { body } = await call<Shown>(`${server.url}/v1/jobs/${id}`, { method: 'DELETE' });
    return { job: body, took: performance.now() - begun };
  };

  it('is cancelled within 200 ms, running or queued', { retry: 3 }, async () => {
    const running = (await post(long)).body.id;
    const queued = (await post(long)).body;
    expect(queued).toMatchObject({ status: 'queued', place: 1 });
    for await (const { event } of events(running)) if (event === 'progress') break;
    for (const id of [queued.id, running]) {
      const { job, took } = await cancel(id);
      expect(job.status).toBe('cancelled');
      expect(took).toBeLessThan(200);
    }
    expect((await cancel(running)).job.status).toBe('cancelled');
  });

  it('keeps the incomplete image on finish', async () => {
    const { id } = (await post(long)).body;
    for await (const { event } of events(id)) if (event === 'progress') break;
    await call(`${server.url}/v1/jobs/${id}/finish`, { method: 'POST' });
    expect(await ended(id)).toMatchObject({ status: 'done', images: [{ width: 256 }] });
  });

  it('can be moved behind another position of the queue', async () => {
    const ids = [];
    for (let i = 0; i < 3; i++) ids.push((await post(long)).body.id);
    const moved = `${server.url}/v1/jobs/${ids[2]}/move`;
    await call(moved, { method: 'POST', json: { place: 0 } });
    expect(await get(ids[1]!)).toMatchObject({ place: 2 });
    expect((await call(moved, { method: 'POST', json: { place: -1 } })).status).toBe(400);
    for (const id of ids.reverse()) await cancel(id);
  });

  it('sends events and resumes after the Last-Event-ID', async () => {
    const { id } = (await post({ ...long, steps: 12, previews: { every: 1 } })).body;
    const seen: ShownJob[] = [];
    for await (const event of events(id)) seen.push(event);
    const kinds = seen.map(({ event }) => event);
    expect(kinds[0]).toBe('queued');
    expect(kinds).toContain('preview');
    expect(kinds.slice(-2)).toEqual(['image', 'done']);
    const steps = seen.filter(({ event, data }) => event === 'progress' && data.phase === 'denoise');
    expect(steps.at(-1)!.data).toMatchObject({ step: 12, steps: 12, left: 0 });
    expect(seen.at(-1)!.data).toMatchObject({ id, status: 'done' });
    const numbers = seen.map((event) => event.id);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    const later: ShownJob[] = [];
    for await (const event of events(id, seen.at(-2)!.id)) later.push(event);
    expect(later.map(({ event }) => event)).toEqual(['done']);
  });

  it('is created once for one Idempotency-Key', async () => {
    const headers = { 'idempotency-key': 'one' };
    const request = { type: 'text-to-image', ...small };
    const made = await Promise.all([post(request, headers), post(request, headers), post(request, headers)]);
    expect(new Set(made.map(({ body }) => body.id)).size).toBe(1);
    expect((await post({ ...request, prompt: 'a pear' }, headers)).status).toBe(400);
    expect((await post(request, { 'idempotency-key': 'x'.repeat(256) })).status).toBe(400);
    await ended(made[0]!.body.id);
  });

  it('is listed newest first, and removed with its images', async () => {
    const { id } = await ended((await post({ type: 'text-to-image', ...small })).body.id);
    const list = async (query: string) =>
      (await call<{ jobs: Shown[] }>(`${server.url}/v1/jobs?${query}`)).body.jobs;
    const [first, second] = await list('status=done&limit=2');
    expect(first!.id).toBe(id);
    expect((await list(`status=done&limit=1&before=${id}`))[0]!.id).toBe(second!.id);
    expect((await call(`${server.url}/v1/jobs?limit=0`)).status).toBe(400);
    expect((await call(`${server.url}/v1/jobs/${id}/results`, { method: 'DELETE' })).status).toBe(204);
    expect((await call(`${server.url}/v1/jobs/${id}`)).status).toBe(404);
    expect((await call(`${server.url}${first!.images[0]!.url}`)).status).toBe(404);
    expect((await call(`${server.url}/v1/jobs/${id}/events`)).status).toBe(404);
  });
});

interface ShownJob {
  readonly id: number;
  readonly event: string;
  readonly data: Record<string, unknown>;
}

/** Yields server-sent events as `curl -N` prints them. */
async function* events(id: string, after?: number): AsyncGenerator<ShownJob> {
  const headers = after === undefined ? {} : { 'last-event-id': String(after) };
  const { body } = await fetch(`${server.url}/v1/jobs/${id}/events`, { headers });
  let text = '';
  for await (const chunk of body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const blocks = text.split('\n\n');
    text = blocks.pop()!;
    for (const block of blocks) {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? '';
      if (field('event'))
        yield { id: Number(field('id')), event: field('event'), data: JSON.parse(field('data')) };
    }
  }
}
