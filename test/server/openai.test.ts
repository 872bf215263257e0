import OpenAI, { toFile } from 'openai';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readPngText } from '../../lib/image/png.js';
import { startServer, type TestServer } from './running.js';

const KEY = 'sk-safelight';

describe("OpenAI's client, unchanged", () => {
  let server: TestServer;
  let client: OpenAI;
  beforeAll(async () => {
    server = await startServer({ 'api-key': KEY });
    client = new OpenAI({ apiKey: KEY, baseURL: `${server.url}/v1`, maxRetries: 0 });
  });
  afterAll(() => server.end());

  it('generates pictures and is told what they are', async () => {
    const answer = await client.images.generate({
      model: 'gpt-image-1',
      prompt: 'a red apple',
      n: 2,
      size: '64x128' as '256x256',
      quality: 'low',
    });
    expect(answer).toMatchObject({
      background: 'opaque',
      output_format: 'png',
      quality: 'low',
      size: '64x128',
    });
    expect(answer.data).toHaveLength(2);
    const [first, second] = answer.data!.map(({ b64_json }) => Buffer.from(b64_json ?? '', 'base64'));
    expect(await sharp(first).metadata()).toMatchObject({ format: 'png', width: 64, height: 128 });
    expect(readPngText(first!).parameters).toContain('a red apple');
    expect(first!.equals(second!)).toBe(false);
    expect(answer.usage).toMatchObject({
      output_tokens: 2 * 4 * 8,
      input_tokens_details: { text_tokens: 3, image_tokens: 0 },
    });
  });

  it('gets JPEG and WebP where it asks for them, and addresses', async () => {
    for (const output_format of ['jpeg', 'webp'] as const) {
      const { data } = await client.images.generate({
        prompt: 'a pear',
        size: '64x64' as '256x256',
        output_format,
        output_compression: 50,
      });
      expect((await sharp(Buffer.from(data![0]!.b64_json!, 'base64')).metadata()).format).toBe(output_format);
    }
    const { data } = await client.images.generate({
      prompt: 'a pear',
      size: '64x64' as '256x256',
      response_format: 'url',
    });
    const fetched = await fetch(data![0]!.url!, { headers: { authorization: `Bearer ${KEY}` } });
    expect(fetched.headers.get('content-type')).toBe('image/png');
  });

  it('streams partial pictures and then the whole one', async () => {
    const stream = await client.images.generate({
      prompt: 'a red apple',
      size: '128x128' as '256x256',
      stream: true,
      partial_images: 2,
    });
    const events = [];
    for await (const event of stream) events.push(event);
    expect(events.at(-1)).toMatchObject({ type: 'image_generation.completed', size: '128x128' });
    const partial = events.slice(0, -1);
    expect(partial.length).toBeLessThanOrEqual(2);
    for (const [i, event] of partial.entries())
      expect(event).toMatchObject({
        type: 'image_generation.partial_image',
        partial_image_index: i,
        output_format: 'png',
      });
  });

  it('edits what the mask leaves transparent, and keeps the rest', async () => {
    const picture = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#2060a0' } })
      .png()
      .toBuffer();
    const hole = { create: { width: 64, height: 32, channels: 4, background: '#ffffff' } } as const;
    const mask = await sharp({ create: { width: 64, height: 64, channels: 4, background: '#00000000' } })
      .composite([{ input: await sharp(hole).png().toBuffer(), top: 0, left: 0 }])
      .png()
      .toBuffer();
    const { data } = await client.images.edit({
      image: await toFile(picture, 'picture.png', { type: 'image/png' }),
      mask: await toFile(mask, 'mask.png', { type: 'image/png' }),
      prompt: 'a red apple',
    });
    const { data: pixels } = await sharp(Buffer.from(data![0]!.b64_json!, 'base64'))
      .raw()
      .toBuffer({ resolveWithObject: true });
    // How far the rows are from the picture's colour, on average: the seed is the server's, so no single pixel can be foretold.
    const changed = (top: number, bottom: number) => {
      let sum = 0;
      for (let i = top * 64; i < bottom * 64; i++)
        sum += Math.abs(pixels[3 * i]! - 0x20) + Math.abs(pixels[3 * i + 2]! - 0xa0);
      return sum / ((bottom - top) * 64);
    };
    expect(changed(0, 24)).toBeLessThan(6);
    expect(changed(40, 64)).toBeGreaterThan(30);
  });

  it('lists models', async () => {
    const { data } = await client.models.list();
    expect(data[0]).toMatchObject({ id: 'starter', kind: 'diffusion' });
    expect((await client.models.retrieve('starter')).object).toBe('model');
  });

  it('is told of mistakes in its own form', async () => {
    const wrong = { prompt: 'x', size: 'large' as '256x256' };
    const error = (await client.images.generate(wrong).catch((e: unknown) => e)) as InstanceType<
      typeof OpenAI.APIError
    >;
    expect(error.status).toBe(400);
    expect(error).toMatchObject({ type: 'invalid_request_error', param: 'size' });
    expect(error.requestID).toBeTruthy();
    const stranger = new OpenAI({ apiKey: 'other', baseURL: `${server.url}/v1`, maxRetries: 0 });
    await expect(stranger.models.list()).rejects.toMatchObject({ status: 401, code: 'invalid_api_key' });
    await expect(client.models.retrieve('nothing')).rejects.toMatchObject({ status: 404 });
    const many = { prompt: 'x', n: 11 };
    await expect(client.images.generate(many)).rejects.toMatchObject({ status: 400 });
  });

  it('takes its job with it when it leaves', async () => {
    const leave = new AbortController();
    const asked = client.images.generate(
      { prompt: 'a castle', quality: 'high', n: 10 },
      { signal: leave.signal },
    );
    asked.catch(() => undefined);
    let [job] = await server.queue.list({ status: 'running' });
    for (let i = 0; i < 200 && !job; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      [job] = await server.queue.list({ status: 'running' });
    }
    leave.abort();
    await expect(asked).rejects.toThrow();
    for (let i = 0; i < 100 && (await server.queue.get(job!.id))?.status === 'running'; i++)
      await new Promise((resolve) => setTimeout(resolve, 10));
    expect((await server.queue.get(job!.id))?.status).toBe('cancelled');
  });
});
