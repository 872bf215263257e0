import OpenAI, { toFile } from 'openai';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { starterModel } from '../../lib/checkpoint/open.js';
import { readPngText } from '../../lib/image/png.js';
import { changeOf } from '../support/image-change.js';
import { call, startServer, type TestServer } from '../support/server/test-server.js';

const KEY = 'sk-safelight';

const flat = (background: string, channels: 3 | 4 = 4, height = 64): Promise<Buffer> =>
  sharp({ create: { width: 64, height, channels, background } })
    .png()
    .toBuffer();

/** A mask that is transparent in its lower half. */
const holeBelow = async (): Promise<Buffer> =>
  sharp({ create: { width: 64, height: 64, channels: 4, background: '#00000000' } })
    .composite([{ input: await flat('#ffffff', 4, 32), top: 0, left: 0 }])
    .png()
    .toBuffer();

describe("OpenAI's client", () => {
  let server: TestServer;
  let client: OpenAI;
  beforeAll(async () => {
    server = await startServer({
      'api-key': KEY,
      model: ['starter', `sub/mine=${starterModel}`],
    });
    client = new OpenAI({ apiKey: KEY, baseURL: `${server.url}/v1`, maxRetries: 0 });
  });
  afterAll(() => server.end());

  it('generates images and receives their parameters', async () => {
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

  it('receives JPEG and WebP on request, and URLs', async () => {
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

  it.each([
    [1, 1, 'auto'],
    [2, 1, 'low'],
    [3, 1, 'low'],
    [3, 2, 'low'],
    [3, 6, 'low'], // two batches
    [0, 1, 'low'],
  ] as const)('streams exactly %i partial images, then %i final ones', async (partial_images, n, quality) => {
    const stream = await client.images.generate({
      prompt: 'a red apple',
      size: '64x64' as '256x256',
      stream: true,
      ...{ partial_images, n, quality },
    });
    const events = [];
    for await (const event of stream) events.push(event);
    const whole = events.slice(partial_images);
    expect(whole.map(({ type }) => type)).toEqual(Array(n).fill('image_generation.completed'));
    expect(whole[0]).toMatchObject({ size: '64x64' });
    const partial = events.slice(0, partial_images);
    for (const [i, event] of partial.entries())
      expect(event).toMatchObject({
        type: 'image_generation.partial_image',
        partial_image_index: i,
        output_format: 'png',
      });
    expect(new Set(events.map(({ b64_json }) => b64_json)).size).toBe(partial_images + n);
  });

  it('streams partial images of an edit, too', async () => {
    const stream = await client.images.edit({
      image: await toFile(await flat('#2060a0'), 'image.png', { type: 'image/png' }),
      prompt: 'a red apple',
      quality: 'low',
      stream: true,
      partial_images: 3,
    });
    const types = [];
    for await (const { type } of stream) types.push(type);
    expect(types).toEqual([...Array(3).fill('image_edit.partial_image'), 'image_edit.completed']);
  });

  it('edits the transparent part of the mask and keeps the rest', async () => {
    const picture = await flat('#2060a0', 3);
    const mask = await holeBelow();
    const { data } = await client.images.edit({
      image: await toFile(picture, 'picture.png', { type: 'image/png' }),
      mask: await toFile(mask, 'mask.png', { type: 'image/png' }),
      prompt: 'a red apple',
    });
    const { data: pixels } = await sharp(Buffer.from(data![0]!.b64_json!, 'base64'))
      .raw()
      .toBuffer({ resolveWithObject: true });
    // The server chooses the seed, so no single pixel is predictable.
    expect(changeOf(pixels, 0, 24)).toBeLessThan(6);
    expect(changeOf(pixels, 40, 64)).toBeGreaterThan(30);
  });

  const form = async (files: readonly (readonly [string, Buffer | string])[], more: object = {}) => {
    const body = new FormData();
    for (const [name, value] of files)
      if (typeof value === 'string') body.append(name, value);
      else body.append(name, new Blob([new Uint8Array(value)], { type: 'image/png' }), 'file.png');
    for (const [name, value] of Object.entries({ prompt: 'a red apple', quality: 'low', ...more }))
      body.append(name, String(value));
    const headers = { authorization: `Bearer ${KEY}` };
    return call<{ data: unknown[]; error: { message: string; code: string; param: string | null } }>(
      `${server.url}/v1/images/edits`,
      { method: 'POST', body, headers },
    );
  };

  it.each(['mask', 'mask[]', 'mask[0]'])('may send the mask in the field %s', async (mask) => {
    const image = await flat('#2060a0');
    const { status } = await form([
      ['image[0]', image],
      [mask, await holeBelow()],
    ]);
    expect(status).toBe(200);
    const [job] = await server.queue.list({ limit: 1 });
    expect(job).toMatchObject({ type: 'inpaint', options: { mask: { file: 'mask' } } });
  });

  it('may send an image as a data URI', async () => {
    const uri = `data:image/png;base64,${(await flat('#2060a0')).toString('base64')}`;
    expect((await form([['image', uri]])).status).toBe(200);
  });

  it('receives an error that names unsupported options of an edit', async () => {
    const [image, mask] = [await flat('#2060a0'), await holeBelow()] as const;
    const cases: [readonly (readonly [string, Buffer | string])[], RegExp][] = [
      [
        [
          ['image', image],
          ['masks', mask],
        ],
        /"masks"/,
      ],
      [
        [
          ['image', image],
          ['mask', mask],
          ['mask[]', mask],
        ],
        /one mask/,
      ],
      [
        [
          ['image[0]', image],
          ['image[1]', image],
        ],
        /one image/,
      ],
      [[['image', 'https://example.com/a.png']], /image.*https:/],
      [
        [
          ['image', image],
          ['mask', 'file-abc123'],
        ],
        /mask.*file-abc123/,
      ],
      [
        [
          ['image', image],
          ['mask', await flat('#ffffff', 3)],
        ],
        /no transparent part/,
      ],
      [[['mask', mask]], /one image/],
    ];
    for (const [files, message] of cases) {
      const { status, body } = await form(files);
      expect([status, body.error.message]).toEqual([400, expect.stringMatching(message)]);
    }
    const large = await form([
      ['masks', Buffer.alloc(8 * 2 ** 20)],
      ['image', image],
    ]);
    expect(large).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringContaining('masks') } },
    });
    const asked = client.images.generate({ prompt: 'x', image: 'data:,' } as { prompt: string });
    await expect(asked).rejects.toMatchObject({ status: 400, param: 'image' });
    const json = client.post('/images/edits', { body: { prompt: 'x' } });
    await expect(json).rejects.toThrow(/multipart\/form-data/);
  });

  it.each([
    ['multipart/form-data', 'abc'],
    ['multipart/form-data; boundary=x', 'abc'],
    [
      'multipart/form-data; boundary=x',
      '--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nabc',
    ],
  ])('receives 400 for a malformed form: %s', async (type, body) => {
    const headers = { authorization: `Bearer ${KEY}`, 'content-type': type };
    const { status } = await call(`${server.url}/v1/images/edits`, { method: 'POST', headers, body });
    expect(status).toBe(400);
  });

  it('lists models, and finds one of a subfolder by its path', async () => {
    const { data } = await client.models.list();
    expect(data.map(({ id }) => id)).toEqual(['starter', 'sub/mine', 'sketch']);
    expect(data[0]).toMatchObject({ kind: 'diffusion', default: true });
    expect((await client.models.retrieve('starter')).object).toBe('model');
    for (const path of ['sub%2Fmine', 'sub/mine']) {
      const headers = { authorization: `Bearer ${KEY}` };
      expect((await call(`${server.url}/v1/models/${path}`, { headers })).body).toMatchObject({
        id: 'sub/mine',
      });
    }
  });

  it.each(['dall-e-3', 'gpt-image-1', 'gpt-image-1.5', 'gpt-image-2-2026-04-21', 'chatgpt-image-latest', ''])(
    'uses the default model for %j',
    async (model) => {
      await client.images.generate({ model, prompt: 'x', size: '64x64' as '256x256', quality: 'low' });
      expect((await server.queue.list({ limit: 1 }))[0]!.model).toBe('starter');
      if (model !== '')
        expect(await client.models.retrieve(model)).toMatchObject({ id: model, root: 'starter' });
    },
  );

  it('uses a configured model by its name, and rejects unknown names', async () => {
    const asked = { prompt: 'x', size: '64x64' as '256x256', quality: 'low' as const };
    await client.images.generate({ ...asked, model: 'sub/mine' });
    expect((await server.queue.list({ limit: 1 }))[0]!.model).toBe('sub/mine');
    const unknown = {
      ...{ status: 404, code: 'model_not_found', type: 'invalid_request_error', param: 'model' },
      message: expect.stringContaining('gpt-image-99'),
    };
    await expect(client.images.generate({ ...asked, model: 'gpt-image-99' })).rejects.toMatchObject(unknown);
    await expect(client.models.retrieve('gpt-image-99')).rejects.toMatchObject(unknown);
    const { status, body } = await form([['image', await flat('#2060a0')]], { model: 'gpt-image-99' });
    expect([status, body.error]).toEqual([404, expect.objectContaining({ code: 'model_not_found' })]);
    await expect(client.images.generate({ ...asked, model: 'sketch' })).rejects.toMatchObject({
      ...{
        status: 400,
        param: 'model',
        message: expect.stringMatching(/sketch does not make.*take starter/),
      },
    });
  });

  it("receives errors in OpenAI's format", async () => {
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

  it('cancels its job when it disconnects', async () => {
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
