/** Grid jobs over HTTP: axes, cells, limits, ending early, continuing, and sheets. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { starterModel } from '../../../lib/checkpoint/open.js';
import { readPngText } from '../../../lib/image/png.js';
import { Pipeline } from '../../../lib/pipelines/diffusion/pipeline.js';
import { type RunningServer, serve } from '../../../lib/server/serve.js';
import { call, startServer, type TestServer } from '../../support/server/test-server.js';

interface ShownJob {
  readonly id: string;
  readonly status: string;
  readonly attempts: number;
  readonly options: Record<string, unknown>;
  readonly images: {
    readonly name: string;
    readonly url: string;
    readonly cell: number;
    readonly seed: number;
    readonly parameters: string;
  }[];
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly code: string; readonly message: string };
}

interface ShownEvent {
  readonly type: string;
  readonly data: Record<string, unknown>;
}

const BASE = { prompt: 'a red apple', width: 64, height: 64, steps: 1, seed: 5 };
/** Number of steps of a cell that does not begin before it is aborted. */
const HELD = 4;

/** Makes cells with that number of steps wait until the spy is restored or their job ends. */
function hold() {
  const generate = Pipeline.prototype.generate;
  return vi.spyOn(Pipeline.prototype, 'generate').mockImplementation(async function (this: Pipeline, given) {
    const { steps, signal } = given!;
    if (steps === HELD) await new Promise((resolve) => signal?.addEventListener('abort', resolve));
    return generate.call(this, given);
  });
}

const options = { model: [`starter=${starterModel}`], starter: false, 'max-count': 12 };
let server: TestServer;
beforeAll(async () => {
  server = await startServer(options);
});
afterAll(() => server.end());
afterEach(() => vi.restoreAllMocks());

const post = (json: object, url = server.url) => call<ShownJob>(`${url}/v1/jobs`, { method: 'POST', json });

async function submitted(json: object): Promise<ShownJob> {
  const { status, body } = await post({ type: 'grid', ...json });
  expect(status, JSON.stringify(body)).toBe(201);
  return body;
}

const get = async (id: string, url = server.url) => (await call<ShownJob>(`${url}/v1/jobs/${id}`)).body;

/** Yields the events of a job until it has ended. */
async function* events(id: string, url = server.url): AsyncGenerator<ShownEvent> {
  const response = await fetch(`${url}/v1/jobs/${id}/events`);
  let text = '';
  for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
    text += part;
    const blocks = text.split('\n\n');
    text = blocks.pop()!;
    for (const block of blocks) {
      const [, type] = /^event: (.*)$/m.exec(block) ?? [];
      const [, data] = /^data: (.*)$/m.exec(block) ?? [];
      if (type && data) yield { type, data: JSON.parse(data) as Record<string, unknown> };
    }
  }
}

async function ended(id: string, url = server.url): Promise<ShownJob> {
  for await (const _ of events(id, url));
  return get(id, url);
}

async function untilImages(id: string, count: number): Promise<void> {
  let seen = 0;
  for await (const { type } of events(id)) if (type === 'image' && ++seen === count) return;
}

const bytes = async (url: string) => Buffer.from(await (await fetch(url)).arrayBuffer());
const file = (image: { readonly url: string }) => bytes(server.url + image.url);

async function refused(json: object): Promise<string> {
  const { status, body } = await post({ type: 'grid', ...BASE, ...json });
  expect([status, body.error?.code], JSON.stringify(body)).toEqual([400, 'INVALID_OPTION']);
  return body.error!.message;
}

describe('grid jobs', () => {
  it('generate each cell bit for bit as a single job, with its own parameters', async () => {
    const axes = { x: 'steps=1-2', y: 'prompt-sr=red,green', z: 'seed=5,8' };
    const job = await ended((await submitted({ ...BASE, ...axes })).id);
    expect(job).toMatchObject({
      status: 'done',
      result: {
        axes: {
          x: { option: 'steps', labels: ['steps: 1', 'steps: 2'] },
          y: { option: 'prompt-sr', labels: ['red', 'green'] },
          z: { option: 'seed', labels: ['seed: 5', 'seed: 8'] },
        },
        ...{ generated: 8, reused: 0, missing: 0 },
      },
    });
    expect(job.images.map(({ cell }) => cell)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    for (const { cell, ...image } of job.images) {
      const prompt = cell % 4 < 2 ? 'a red apple' : 'a green apple';
      const own = { prompt, steps: (cell % 2) + 1, seed: cell < 4 ? 5 : 8 };
      expect(image.seed).toBe(own.seed);
      expect(image.parameters).toMatch(`${prompt}\nSteps: ${own.steps}, `);
      const single = await post({ type: 'text-to-image', ...BASE, ...own });
      const [expected] = (await ended(single.body.id)).images;
      const [a, b] = [await file(image), await file(expected!)];
      expect(a.equals(b)).toBe(true);
      expect(JSON.parse(readPngText(a).safelight!)).toMatchObject({ options: own });
    }
  });

  it('report progress over all cells, with the cell of each preview', async () => {
    const { id } = await submitted({ ...BASE, previews: { every: 1 }, x: 'steps=30,40' });
    const progress: { step: number; steps: number; grid?: { cell: number; done: number; cells: number } }[] =
      [];
    const previews: unknown[] = [];
    for await (const { type, data } of events(id)) {
      if (type === 'progress' && data.grid) progress.push(data as (typeof progress)[number]);
      if (type === 'preview') previews.push(data.cell);
    }
    expect(new Set(progress.map(({ steps }) => steps))).toEqual(new Set([70]));
    const steps = progress.map(({ step }) => step);
    expect(steps).toEqual(steps.toSorted((a, b) => a - b));
    expect(progress[0]!.grid).toEqual({ cell: 0, done: 0, cells: 2 });
    expect(progress.at(-1)).toMatchObject({ step: 70, grid: { cell: 1, done: 1, cells: 2 } });
    expect(previews).toContain(0);
    expect(new Set([...previews, 0, 1])).toEqual(new Set([0, 1]));
  });

  it('vary the strength of an input image', async () => {
    const init = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#c03030' } })
      .png()
      .toBuffer();
    const shared = { ...BASE, steps: 4, init: init.toString('base64') };
    const job = await ended((await submitted({ ...shared, x: 'strength=0.25,1' })).id);
    expect(job).toMatchObject({ status: 'done', options: { init: { file: 'init' } } });
    for (const [i, strength] of [0.25, 1].entries()) {
      const single = await post({ type: 'image-to-image', ...shared, strength });
      const [expected] = (await ended(single.body.id)).images;
      expect((await file(job.images[i]!)).equals(await file(expected!))).toBe(true);
    }
  });

  it('reject axes that no grid accepts, before anything is queued', async () => {
    expect(await refused({})).toContain('at least one of x, y and z');
    expect(await refused({ x: 'stepps=1,2' })).toContain('did you mean steps');
    expect(await refused({ x: 'steps' })).toContain('OPTION=VALUES');
    expect(await refused({ x: 'steps=1,2', y: 'steps=3' })).toContain('a different option for each axis');
    expect(await refused({ x: 'prompt-sr=pear,plum' })).toContain('neither the prompt nor');
    expect(await refused({ x: 'sampler=nothing' })).toContain('sampler');
    expect(await refused({ x: 'steps=1,2', count: 2 })).toContain('count');
  });

  it('apply the limits of the server to each cell', async () => {
    expect(await refused({ x: 'seed=1-4', y: 'cfg=1-4' })).toContain('at most 12 cells');
    expect(await refused({ x: 'steps=1,151' })).toContain('Invalid options of the cell steps: 151: steps');
    expect(await refused({ x: 'width=64,2048', y: 'height=64,2056' })).toContain('height: 2056');
    expect(await refused({ x: 'hires-scale=2,8', width: 1024, height: 1024 })).toContain('pixels');
    const long = 'a'.repeat(9000);
    expect(await refused({ prompt: long, x: `prompt-sr=a,${'b'.repeat(1000)}` })).toContain('120000');
  });

  it('accept no files', async () => {
    const path = join(server.data, 'secret.png');
    for (const axis of [`init=${path}`, `mask=${path}`, `region=${path}:pear`, `lora=,${path}`])
      expect(await refused({ x: axis })).toContain('files, which requests over HTTP cannot name');
    expect(await refused({ x: 'lora=a:1' })).toContain('<lora:NAME:0.5>');
    expect(await refused({ x: `hires-upscaler=latent,${path}` })).toContain('hires.upscaler');
    expect(
      await refused({ x: 'steps=1', cells: [{ cell: 0, image: { job: 'x', image: '0.png' } }] }),
    ).toContain('cells');
  });

  it('draw labelled sheets of all cells or of one value of z', async () => {
    const job = await ended((await submitted({ ...BASE, x: 'cfg=1,2', z: 'seed=5,8' })).id);
    const sheet = (query = '') => fetch(`${server.url}/v1/jobs/${job.id}/sheet${query}`);
    const all = await sheet();
    expect(all.headers.get('content-type')).toBe('image/png');
    expect(all.headers.get('content-disposition')).toContain('safelight-grid-5.png');
    const [whole, part] = [await bytes(all.url), await bytes(`${all.url}?z=1`)].map((png) => sharp(png));
    const [a, b] = [await whole!.metadata(), await part!.metadata()];
    expect(a.width).toBe(2 * 64 + 4);
    expect([a.width, a.height]).toEqual([b.width, 2 * b.height + 4]);
    const last = await part!
      .extract({ left: 68, top: b.height - 64, width: 64, height: 64 })
      .raw()
      .toBuffer();
    expect(
      last.equals(
        await sharp(await file(job.images[3]!))
          .raw()
          .toBuffer(),
      ),
    ).toBe(true);
    expect((await sheet('?z=2')).status).toBe(400);
    expect((await fetch(`${server.url}/v1/jobs/${'0'.repeat(30)}/sheet`)).status).toBe(404);
    const other = await post({ type: 'text-to-image', ...BASE });
    expect((await fetch(`${server.url}/v1/jobs/${other.body.id}/sheet`)).status).toBe(400);
    await ended(other.body.id);
  });

  it('end early with the finished cells, which a job that continues does not generate again', async () => {
    const held = hold();
    const { id } = await submitted({ ...BASE, x: `steps=1,2,${HELD}` });
    await untilImages(id, 2);
    await call(`${server.url}/v1/jobs/${id}/finish`, { method: 'POST', json: {} });
    const job = await ended(id);
    expect(job).toMatchObject({ status: 'done', result: { generated: 2, reused: 0, missing: 1 } });
    held.mockRestore();
    const rest = await ended((await submitted({ continue: id })).id);
    expect(rest).toMatchObject({
      status: 'done',
      options: { continues: id, seed: 5, x: `steps=1,2,${HELD}` },
      result: { generated: 1, reused: 2, missing: 0 },
    });
    expect(rest.images.map(({ cell }) => cell)).toEqual([0, 1, 2]);
    for (const i of [0, 1]) {
      expect((await file(rest.images[i]!)).equals(await file(job.images[i]!))).toBe(true);
      expect(rest.images[i]!.parameters).toBe(job.images[i]!.parameters);
    }
    expect(await refused({ continue: rest.id })).toContain('together with continue');
    const complete = await post({ type: 'grid', continue: rest.id });
    expect(complete.body.error?.message).toContain('this grid is complete');
  });

  it('keep the finished cells when they are cancelled, and the files that a continued job still needs', async () => {
    const held = hold();
    const { id } = await submitted({ ...BASE, x: `steps=1,${HELD}`, y: 'cfg=3,4' });
    expect((await post({ type: 'grid', continue: id })).body.error?.message).toContain('has ended');
    await untilImages(id, 1);
    await call(`${server.url}/v1/jobs/${id}`, { method: 'DELETE' });
    const job = await get(id);
    expect(job).toMatchObject({ status: 'cancelled', images: [{ cell: 0 }] });
    expect((await sharp(await bytes(`${server.url}/v1/jobs/${id}/sheet`)).metadata()).width).toBeGreaterThan(
      128,
    );
    const next = await submitted({ continue: id });
    const kept = await file(job.images[0]!);
    await call(`${server.url}/v1/jobs/${id}/results`, { method: 'DELETE' });
    await untilImages(next.id, 1);
    await call(`${server.url}/v1/jobs/${next.id}`, { method: 'DELETE' });
    held.mockRestore();
    const { images } = await ended((await submitted({ continue: next.id })).id);
    expect(images.map(({ cell }) => cell)).toEqual([0, 1, 2, 3]);
    expect((await file(images[0]!)).equals(kept)).toBe(true);
    expect((await post({ type: 'grid', continue: '0'.repeat(30) })).status).toBe(404);
    const other = await post({ type: 'text-to-image', ...BASE });
    await ended(other.body.id);
    const wrong = await post({ type: 'grid', continue: other.body.id });
    expect(wrong.body.error?.message).toContain('the id of a grid job');
  });

  it('are inspected with the options of their cell', async () => {
    const job = await ended((await submitted({ ...BASE, x: 'steps=1,3', y: 'prompt-sr=red,green' })).id);
    const trace = await post({ type: 'inside', job: job.id, picture: 3 });
    expect(await ended(trace.body.id)).toMatchObject({
      status: 'done',
      result: { steps: 3, words: ['a', 'green', 'apple'] },
    });
  });
});

describe('a grid job of a server that restarts', () => {
  it('keeps its finished cells and generates only the others', async () => {
    const first = await startServer(options);
    let second: RunningServer | undefined;
    try {
      const held = hold();
      const { body } = await post({ type: 'grid', ...BASE, x: `steps=1,2,${HELD}` }, first.url);
      let seen = 0;
      for await (const { type } of events(body.id, first.url)) if (type === 'image' && ++seen === 2) break;
      const path = join(first.data, 'jobs', body.id, '0.png');
      const before = await readFile(path);
      await first.close();
      held.mockRestore();
      second = await serve({ ...options, port: 0, 'log-level': 'silent', data: first.data });
      expect(await ended(body.id, second.url)).toMatchObject({
        status: 'done',
        images: [{ cell: 0 }, { cell: 1 }, { cell: 2 }],
        result: { generated: 1, reused: 2, missing: 0 },
      });
      expect((await readFile(path)).equals(before)).toBe(true);
    } finally {
      await second?.close();
      await rm(first.data, { recursive: true, force: true });
    }
  });
});
