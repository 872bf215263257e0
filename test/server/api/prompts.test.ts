/** Prompts over HTTP with everything that they may refer to: LoRAs, embeddings, wildcards, styles and regions. */
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseParameters } from '../../../lib/image/parameters.js';
import { readPngText } from '../../../lib/image/png.js';
import { WebUIApi } from '../../support/server/a1111-client.js';
import { AdapterFolder } from '../../support/server/adapter-folder.js';
import { call, startServer, type TestServer } from '../../support/server/test-server.js';

interface Shown {
  readonly id: string;
  readonly status: string;
  readonly images: { url: string; seed: number }[];
  readonly warnings?: { code: string }[];
  readonly error?: { code: string; message: string };
}

const SMALL = { type: 'text-to-image', width: 64, height: 64, steps: 2, seed: 7 };
const models = new AdapterFolder();
let server: TestServer;
beforeAll(async () => {
  models.lora('loras/mine.safetensors');
  models.embedding('embeddings/zyx.safetensors');
  models.text('wildcards/fruit.txt', Array.from({ length: 40 }, (_, i) => `fruit ${i}`).join('\n'));
  server = await startServer({ models: models.path, threads: 1 });
  await call(`${server.url}/v1/styles/ink`, { method: 'PUT', json: { prompt: '{prompt}, ink drawing' } });
});
afterAll(() => server.end());

async function run(options: object): Promise<Shown> {
  const { body } = await call<Shown>(`${server.url}/v1/jobs`, {
    method: 'POST',
    json: { ...SMALL, ...options },
  });
  if (body.id === undefined) throw new Error(JSON.stringify(body));
  for (;;) {
    const job = (await call<Shown>(`${server.url}/v1/jobs/${body.id}`)).body;
    if (job.status !== 'queued' && job.status !== 'running') return job;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function pixels(job: Shown, index = 0): Promise<Buffer> {
  return sharp(await png(job, index))
    .raw()
    .toBuffer();
}
async function png(job: Shown, index = 0): Promise<Buffer> {
  expect(job.error).toBeUndefined();
  return Buffer.from(await (await fetch(server.url + job.images[index]!.url)).arrayBuffer());
}
async function texts(job: Shown, index = 0) {
  return parseParameters((await readPngText(await png(job, index))).parameters!);
}

describe('a prompt in a job', () => {
  it('names LoRAs of the models folder, also those added while serving', async () => {
    const plain = await pixels(await run({ prompt: 'a red apple ' }));
    const tagged = await run({ prompt: 'a red apple <lora:mine:1>' });
    expect((await pixels(tagged)).equals(plain)).toBe(false);
    expect((await texts(tagged)).fields['Lora hashes']).toMatch(/^mine: [0-9a-f]{12}$/);
    const missing = await run({ prompt: 'a red apple <lora:later:1>' });
    expect(missing).toMatchObject({ status: 'failed', error: { code: 'ADAPTER_NOT_FOUND' } });
    models.lora('loras/sub/later.safetensors');
    expect((await run({ prompt: 'a red apple <lora:later:1>' })).status).toBe('done');
  });

  it('names embeddings of the models folder', async () => {
    const [plain, embedded] = [
      await run({ prompt: 'a red apple zzz' }),
      await run({ prompt: 'a red apple zyx' }),
    ];
    expect((await pixels(embedded)).equals(await pixels(plain))).toBe(false);
    expect((await texts(embedded)).fields['TI hashes']).toMatch(/^zyx: [0-9a-f]{12}$/);
  });

  it('is resolved from the seed of each image, with styles, and recorded resolved', async () => {
    const options = { prompt: 'a {red|green} __fruit__', styles: ['ink'], dynamicPrompts: true, count: 4 };
    const job = await run(options);
    const prompts = await Promise.all(job.images.map(async (_, i) => (await texts(job, i)).prompt));
    for (const prompt of prompts) expect(prompt).toMatch(/^a (red|green) fruit \d+, ink drawing$/);
    expect(new Set(prompts).size).toBeGreaterThan(1);
    const third = await run({ ...options, count: 1, seed: SMALL.seed + 2 });
    expect((await texts(third)).prompt).toBe(prompts[2]);
    expect((await pixels(third)).equals(await pixels(job, 2))).toBe(true);
    const resolved = await run({ prompt: prompts[2], seed: SMALL.seed + 2 });
    expect((await pixels(resolved)).equals(await pixels(job, 2))).toBe(true);
  });

  it('fails with a reason for an unknown style or wildcard', async () => {
    expect((await run({ prompt: 'a', styles: ['inc'] })).error).toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('ink'),
    });
    expect((await run({ prompt: '__fruits__', dynamicPrompts: true })).error).toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: expect.stringContaining('fruit'),
    });
  });

  it('may have regions, whose masks are images of the request', async () => {
    const mask = async (white: boolean) => {
      const image = sharp({
        create: { width: 8, height: 8, channels: 3, background: white ? '#fff' : '#000' },
      });
      return (await image.png().toBuffer()).toString('base64');
    };
    const plain = await pixels(await run({ prompt: 'a red apple' }));
    const region = async (white: boolean) =>
      run({ prompt: 'a red apple', regions: [{ mask: await mask(white), prompt: 'blue water' }] });
    expect((await pixels(await region(false))).equals(plain)).toBe(true);
    const white = await region(true);
    const water = await pixels(await run({ prompt: 'blue water' }));
    const pair = [...(await pixels(white))].map((value, i) => Math.abs(value - water[i]!));
    expect(Math.max(...pair)).toBeLessThanOrEqual(1);
    const trace = await run({ type: 'inside', ...strip(white.id) });
    expect(trace).toMatchObject({ status: 'done' });
    const bad = await call(`${server.url}/v1/jobs`, {
      method: 'POST',
      json: { ...SMALL, prompt: 'a', regions: [{ mask: 'bm8=', prompt: 'b' }] },
    });
    expect(bad).toMatchObject({ status: 400, body: { error: { code: 'INVALID_IMAGE' } } });
  });
});

/** Returns the options of a trace, without those of a generation. */
function strip(job: string) {
  return { job, width: undefined, height: undefined, steps: undefined, seed: undefined };
}

describe("a prompt in A1111's API", () => {
  it('names LoRAs, and ignores unknown ones', async () => {
    const api = new WebUIApi(server.url);
    const made = async (prompt: string) => (await api.txt2img({ prompt })).images[0];
    const plain = await made('a red apple ');
    expect(await made('a red apple <lora:mine:1>')).not.toBe(plain);
    const { images, info } = await api.txt2img({ prompt: 'a red apple <lora:nothing:1>' });
    const pixelsOf = (image: string) => sharp(Buffer.from(image, 'base64')).raw().toBuffer();
    expect((await pixelsOf(images[0]!)).equals(await pixelsOf(plain!))).toBe(true);
    expect(info).toContain('<lora:nothing:1>');
  });
});
