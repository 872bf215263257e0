/** `/mcp` over HTTP, with the official client in both generations of the protocol. */
import type { Client } from '@modelcontextprotocol/client';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageVersion } from '../../lib/package.js';
import { connectHttp, imagesOf, jobResultOf, type Revision, textOf } from '../support/mcp-client.js';
import { startServer, type TestServer } from '../support/server/test-server.js';

const SMALL = { width: 64, height: 64, steps: 1, seed: 7 };
let server: TestServer;
beforeAll(async () => {
  server = await startServer({ threads: 1 });
});
afterAll(() => server.end());

const pixels = (bytes: Uint8Array) => sharp(bytes).removeAlpha().raw().toBuffer();
async function solid(color: string, side = 64): Promise<string> {
  const create = { width: side, height: side, channels: 3, background: color } as const;
  return (await sharp({ create }).png().toBuffer()).toString('base64');
}
const uriPattern = /^safelight:\/\/jobs\/[0-9a-f]{30}\/images\/[a-z0-9.-]+$/;

describe.each<Revision>(['legacy', 'modern'])('a %s client over HTTP', (revision) => {
  let client: Client;
  beforeAll(async () => {
    ({ client } = await connectHttp(server.url, revision));
  });
  afterAll(() => client.close());
  const callTool = (name: string, args: Record<string, unknown>) =>
    client.callTool({ name, arguments: args });

  it('gets four tools whose arguments are options of jobs, and the version of Safelight', async () => {
    expect(client.getServerVersion()).toMatchObject({ name: 'safelight', version: packageVersion() });
    const { tools } = await client.listTools();
    const argumentsOf = Object.fromEntries(
      tools.map(({ name, inputSchema }) => [name, Object.keys(inputSchema.properties ?? {})]),
    );
    expect(Object.keys(argumentsOf)).toEqual([
      ...['generate_image', 'edit_image', 'upscale_image', 'list_models'],
    ]);
    expect(argumentsOf.generate_image).toEqual(
      expect.arrayContaining(['prompt', 'negative', 'model', 'width', 'steps', 'cfg', 'sampler', 'seed']),
    );
    expect(argumentsOf.edit_image).toEqual(expect.arrayContaining(['init', 'mask', 'strength']));
    expect(tools.find(({ name }) => name === 'upscale_image')?.inputSchema.required).toEqual([
      ...['image', 'upscaler'],
    ]);
    // The schemas become part of the context of a language model.
    expect(JSON.stringify(tools).length).toBeLessThan(25_000);
  });

  it('generates the image that the HTTP API generates, with the same parameters and in the same history', async () => {
    const result = await callTool('generate_image', { prompt: 'a red apple', ...SMALL });
    const { job, model, images } = jobResultOf(result);
    expect(model).toBe('starter');
    expect(images).toHaveLength(1);
    const [image] = images;
    expect(image).toMatchObject({ type: 'image/png', width: 64, height: 64, seed: 7 });
    expect(image!.uri).toMatch(uriPattern);
    expect(image!.parameters).toContain('a red apple');
    expect(image!.file).toBeUndefined(); // paths of the server are not for other machines
    expect(JSON.parse(textOf(result))).toEqual(result.structuredContent);
    expect(result.content).toContainEqual(
      expect.objectContaining({ type: 'resource_link', uri: image!.uri }),
    );

    const twin = await server.queue.submit({
      type: 'text-to-image',
      options: { prompt: 'a red apple', ...SMALL },
    });
    for await (const _ of server.queue.events(twin.id));
    const bytes = await fetch(`${server.url}/v1/jobs/${twin.id}/files/0.png`);
    const [own] = imagesOf(result);
    expect(await pixels(own!)).toEqual(await pixels(Buffer.from(await bytes.arrayBuffer())));
    const history = (await (await fetch(`${server.url}/v1/jobs`)).json()) as { jobs: { id: string }[] };
    expect(history.jobs).toContainEqual(expect.objectContaining({ id: job, client: 'mcp', status: 'done' }));
  });

  it('accepts options that its schema does not list, and rejects unknown ones', async () => {
    const options = { prompt: 'a red apple', ...SMALL };
    const plain = imagesOf(await callTool('generate_image', options));
    const changed = imagesOf(await callTool('generate_image', { ...options, clipSkip: 2 }));
    expect(await pixels(changed[0]!)).not.toEqual(await pixels(plain[0]!));
    const result = await callTool('generate_image', { ...options, stepz: 3 });
    expect(result.isError).toBe(true);
    expect(textOf(result)).toMatch(/^INVALID_OPTION: .*stepz/);
  });

  it('edits an earlier result by its URI, everywhere and below a mask', async () => {
    const first = await callTool('generate_image', { prompt: 'a red apple', ...SMALL });
    const init = jobResultOf(first).images[0]!.uri;
    const edit = { prompt: 'a green pear', init, strength: 0.9, ...SMALL, steps: 2 };
    const everywhere = await callTool('edit_image', edit);
    expect(everywhere.isError).toBeFalsy();
    const nowhere = await callTool('edit_image', { ...edit, mask: await solid('black') });
    const [before, all, none] = await Promise.all(
      [first, everywhere, nowhere].map(async (result) => pixels(imagesOf(result)[0]!)),
    );
    const difference = (a: Buffer, b: Buffer) =>
      a.reduce((sum, v, i) => sum + Math.abs(v - b[i]!), 0) / a.length;
    expect(difference(none!, before!)).toBeLessThan(1);
    expect(difference(all!, before!)).toBeGreaterThan(3);
    const { jobs } = (await (await fetch(`${server.url}/v1/jobs?limit=2`)).json()) as { jobs: object[] };
    expect(jobs).toMatchObject([{ type: 'inpaint' }, { type: 'image-to-image' }]);
  });

  it('upscales an image in base64', async () => {
    const result = await callTool('upscale_image', {
      image: await solid('#3060c0'),
      upscaler: 'lanczos',
      scale: 3,
    });
    expect(jobResultOf(result)).toMatchObject({ model: 'lanczos', images: [{ width: 192, height: 192 }] });
    const { info, data } = await sharp(imagesOf(result)[0])
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    expect(info).toMatchObject({ width: 192, height: 192 });
    expect([...data.subarray(0, 3)]).toEqual([0x30, 0x60, 0xc0]);
  });

  it('lists models, upscalers, samplers and limits', async () => {
    const { structuredContent } = await callTool('list_models', {});
    expect(structuredContent).toMatchObject({
      models: [
        { name: 'starter', kind: 'diffusion', default: true, width: 128, height: 128, factor: 8 },
        { name: 'sketch', kind: 'codes', default: false },
      ],
      upscalers: [{ name: 'lanczos' }, { name: 'nearest' }],
      samplers: expect.arrayContaining(['euler', 'dpmpp_2m']),
      schedules: expect.arrayContaining(['karras']),
      limits: { maxSide: 2048, maxSteps: 150 },
    });
  });

  it('receives increasing progress until the end', async () => {
    const reports: { progress: number; total?: number | undefined; message?: string | undefined }[] = [];
    const request = { name: 'generate_image', arguments: { prompt: 'a pear', ...SMALL, steps: 3 } };
    await client.callTool(request, { onprogress: (report) => void reports.push(report) });
    const values = reports.map(({ progress }) => progress);
    expect(values.length).toBeGreaterThan(2);
    expect(values).toEqual([...new Set(values)].sort((a, b) => a - b));
    expect(Math.floor(values.at(-1)!)).toBe(3);
    expect(reports.at(-1)).toMatchObject({ total: 4 });
    expect(reports.map(({ message }) => message).join('\n')).toContain('step 2 of 3');
  });

  it('cancels the job of a call that it cancels', async () => {
    const controller = new AbortController();
    const request = {
      name: 'generate_image',
      arguments: { prompt: 'to be cancelled', ...SMALL, steps: 150 },
    };
    const call = client.callTool(request, {
      signal: controller.signal,
      onprogress: ({ progress }) => {
        if (progress >= 2) controller.abort();
      },
    });
    await expect(call).rejects.toThrow();
    const newest = async () => (await server.queue.list({ limit: 1 }))[0];
    await expect.poll(async () => (await newest())?.status).toBe('cancelled');
    expect((await newest())?.options).toMatchObject({ prompt: 'to be cancelled' });
    // The connection still works.
    expect((await callTool('list_models', {})).isError).toBeFalsy();
  });

  it('reports a job that was cancelled by somebody else', async () => {
    const request = { name: 'generate_image', arguments: { prompt: 'a pear', ...SMALL, steps: 150 } };
    const result = await client.callTool(request, {
      onprogress: async ({ progress }) => {
        if (progress < 2) return;
        const [job] = await server.queue.list({ limit: 1 });
        await server.queue.cancel(job!.id);
      },
    });
    expect(result.isError).toBe(true);
    expect(textOf(result)).toBe('ABORTED: The job was cancelled');
  });

  it.each([
    ['generate_image', { steps: 0 }, /^INVALID_OPTION: .*steps/],
    ['generate_image', { steps: 'many' }, /^INVALID_OPTION: .*steps/],
    ['generate_image', { model: 'none' }, /^MODEL_NOT_FOUND: .*none/],
    ['generate_image', { model: 7 }, /^INVALID_OPTION: .*model/],
    ['generate_image', { width: 65 }, /^INVALID_OPTION: .*width/],
    ['edit_image', { prompt: 'a pear' }, /^INVALID_OPTION: .*init/],
    ['edit_image', { init: 'not an image!' }, /^INVALID_IMAGE: /],
    ['edit_image', { init: 'aGVsbG8=' }, /^INVALID_IMAGE: /],
    ['edit_image', { init: 'safelight://jobs/x/images/0.png' }, /^INVALID_OPTION: .*init/],
    [
      'edit_image',
      { init: 'safelight://jobs/0123456789abcdef0123456789abcd/images/0.png' },
      /^FILE_NOT_FOUND: /,
    ],
    ['edit_image', { init: '/etc/hostname.png' }, /^INVALID_OPTION: .*`safelight mcp`/],
    // Base64 by its characters; the existence of the file makes no difference.
    ['edit_image', { init: '/etc/hostname' }, /^INVALID_IMAGE: /],
    ['edit_image', { init: '/etc/nothing' }, /^INVALID_IMAGE: /],
    ['edit_image', { init: 'file:///etc/hostname' }, /^INVALID_OPTION: .*`safelight mcp`/],
    ['edit_image', { regions: [{ mask: 'file:///etc/hostname', prompt: '' }] }, /^INVALID_OPTION: .*regions/],
    ['upscale_image', { image: 'file:%%', upscaler: 'lanczos' }, /^INVALID_OPTION: .*image/],
    ['upscale_image', { image: 'AAAA', upscaler: 'none' }, /^ADAPTER_NOT_FOUND: .*none/],
  ])('gets an error result from %s with %j', async (name, args, message) => {
    const result = await callTool(name, args);
    expect(result.isError).toBe(true);
    expect(textOf(result)).toMatch(message);
    expect(imagesOf(result)).toEqual([]);
  });

  it('gets an error of the protocol for an unknown tool', async () => {
    await expect(callTool('paint', {})).rejects.toMatchObject({ code: -32_602 });
  });

  it('lists and reads the images as resources', async () => {
    const made = await callTool('generate_image', { prompt: 'a blue plum', ...SMALL, count: 2 });
    const [first, second] = jobResultOf(made).images.map(({ uri }) => uri);
    const { resources } = await client.listResources({ cursor: undefined });
    expect(resources.slice(0, 2)).toMatchObject([
      {
        uri: first,
        title: 'a blue plum',
        mimeType: 'image/png',
        description: expect.stringContaining('seed 7'),
      },
      { uri: second, description: expect.stringContaining('seed 8') },
    ]);
    const { contents } = await client.readResource({ uri: second! });
    expect(contents).toMatchObject([{ uri: second, mimeType: 'image/png' }]);
    const [content] = contents;
    expect(Buffer.from('blob' in content! ? content.blob : '', 'base64')).toEqual(imagesOf(made)[1]);
    const { resourceTemplates } = await client.listResourceTemplates();
    expect(resourceTemplates).toMatchObject([{ uriTemplate: 'safelight://jobs/{job}/images/{name}' }]);
    for (const uri of [
      'safelight://jobs/0123456789abcdef0123456789abcd/images/0.png',
      'safelight://jobs/x/images/..%2f..%2flock',
      'file:///etc/hostname',
    ])
      await expect(client.readResource({ uri })).rejects.toMatchObject({ code: expect.any(Number) });
    await expect(client.listResources({ cursor: '../x' })).rejects.toMatchObject({ code: -32_602 });
  });
});
