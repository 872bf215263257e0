/** A server below a base path, directly and through a reverse proxy that keeps or removes the path. */
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withoutBasePath } from '../../lib/server/base-path.js';
import { serve } from '../../lib/server/serve.js';
import { ReverseProxy } from '../support/server/reverse-proxy.js';
import { call, startServer, type TestServer } from '../support/server/test-server.js';

const IMAGE = { prompt: 'a red apple', width: 64, height: 64, steps: 1, seed: 1 };
const KEY = { authorization: 'Bearer secret' };

describe.each([
  ['keeps the path', false],
  ['removes the path', true],
])('behind a proxy that %s', (_, strips) => {
  let server: TestServer;
  let proxy: ReverseProxy;
  let url: string;
  let origin: string;
  beforeAll(async () => {
    server = await startServer({ 'base-path': '/tools/safelight/', 'api-key': 'secret' });
    proxy = await ReverseProxy.start(new URL(server.url).origin, { path: '/tools/safelight', strips });
    url = proxy.url;
    origin = new URL(url).origin;
  });
  afterAll(async () => {
    await proxy?.end();
    await server?.end();
  });

  const body = async (path: string) =>
    (await fetch(new URL(path, origin), { headers: KEY, redirect: 'error' })).text();

  it('answers on each API', async () => {
    const paths = [
      ...['/v1/about', '/v1/models', '/sdapi/v1/options', '/openapi.json', '/docs/json', '/metrics'],
      ...['/health/live', '/health/ready', '/'],
    ];
    const statuses = paths.map(async (path) => [
      path,
      (await fetch(url + path, { headers: KEY, redirect: 'error' })).status,
    ]);
    expect(await Promise.all(statuses)).toEqual(paths.map((path) => [path, 200]));
  });

  it('requires the key below the base path too', async () => {
    expect((await call(`${url}/v1/jobs`)).status).toBe(401);
    expect((await call(`${url}/metrics`)).status).toBe(401);
  });

  it('runs a job whose addresses lead through the proxy', async () => {
    const queued = await call<{ id: string }>(`${url}/v1/jobs`, {
      method: 'POST',
      headers: KEY,
      json: { type: 'text-to-image', ...IMAGE },
    });
    const location = queued.headers.get('location') ?? '';
    expect(location).toBe(`/tools/safelight/v1/jobs/${queued.body.id}`);
    const events = await body(`${location}/events`);
    const imageUrl = `/tools/safelight/v1/jobs/${queued.body.id}/files/0.png`;
    expect(events).toMatch(/^event: done$/m);
    expect(events).toContain(`"url":"${imageUrl}"`);
    const job = JSON.parse(await body(location)) as { images: { url: string }[] };
    expect(job.images.map((image) => image.url)).toEqual([imageUrl]);
    expect((await body(imageUrl)).slice(1, 4)).toBe('PNG');
  });

  it("answers with an image's URL on OpenAI's API", async () => {
    const { body: answer } = await call<{ data: { url: string }[] }>(`${url}/v1/images/generations`, {
      method: 'POST',
      headers: KEY,
      json: { prompt: 'a red apple', size: '64x64', quality: 'low', response_format: 'url' },
    });
    const imageUrl = answer.data[0]!.url;
    expect(imageUrl).toMatch(new RegExp(`^${url}/v1/jobs/\\w+/files/0\\.png$`));
    expect((await body(imageUrl)).slice(1, 4)).toBe('PNG');
  });

  it("generates on A1111's API", async () => {
    const answer = await call<{ images: string[] }>(`${url}/sdapi/v1/txt2img`, {
      method: 'POST',
      headers: KEY,
      json: IMAGE,
    });
    expect(Buffer.from(answer.body.images[0]!, 'base64').subarray(1, 4).toString()).toBe('PNG');
  });

  it('states the base path in the OpenAPI document, and offers the API reference with its files', async () => {
    const { body: document } = await call<{ servers: object[]; paths: object }>(`${url}/openapi.json`, {
      headers: KEY,
    });
    expect(document.servers).toEqual([{ url: '/tools/safelight' }]);
    expect(document.paths).toHaveProperty('/v1/jobs');
    for (const page of [`${url}/docs`, `${url}/docs/`]) {
      const files = [...(await body(page)).matchAll(/(?:src|href)="([^"]+)"/g)].map(
        ([, file]) => new URL(file!, page).href,
      );
      expect(files.length).toBeGreaterThan(4);
      for (const file of files) {
        const { status, url: from } = await fetch(file, { headers: KEY });
        expect([from, status]).toEqual([expect.stringContaining(url), 200]);
      }
    }
    const moved = await fetch(`${url}/docs/static/index.html`, { headers: KEY, redirect: 'manual' });
    expect(moved.headers.get('location')).toBe('/tools/safelight/docs/');
  });

  it('limits the session cookie to the base path', async () => {
    const { headers, status } = await call(`${url}/login`, { method: 'POST', json: { key: 'secret' } });
    expect([status, headers.get('set-cookie')]).toEqual([
      200,
      expect.stringContaining('Path=/tools/safelight;'),
    ]);
  });

  it('serves the page with addresses relative to the base path', async () => {
    const files = [...(await body(`${url}/`)).matchAll(/(?:src|href)="([^"]+)"/g)].map(
      ([, file]) => new URL(file!, `${url}/`).href,
    );
    for (const file of files)
      expect([file, (await fetch(file, { headers: KEY })).status]).toEqual([file, 200]);
    expect(files.filter((file) => file.includes('/assets/')).length).toBeGreaterThan(1);
  });

  it('requests nothing outside the base path', () => {
    expect(proxy.strays).toEqual([]);
  });
});

describe('a base path', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ 'base-path': '/safelight' });
  });
  afterAll(() => server?.end());

  it('is part of the URL that the server reports', async () => {
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/safelight$/);
    expect((await call(`${server.url}/health/live`)).status).toBe(200);
  });

  it('is redirected to the page, with its query', async () => {
    const answers = [server.url, `${server.url}?view=1`].map(async (url) => {
      const { status, headers } = await fetch(url, { redirect: 'manual' });
      return [status, headers.get('location')];
    });
    expect(await Promise.all(answers)).toEqual([
      [302, '/safelight/'],
      [302, '/safelight/?view=1'],
    ]);
  });

  it('may be absent, as in health checks that do not pass through the proxy', async () => {
    const { origin } = new URL(server.url);
    expect((await call(`${origin}/health/ready`)).status).toBe(200);
    expect((await call(`${origin}/safelight-2/v1/about`)).status).toBe(404);
    expect((await call(`${origin}/safelight/safelight/v1/about`)).status).toBe(404);
  });

  it('is in the messages about unknown routes, but not evaluated from headers', async () => {
    const headers = { 'x-forwarded-prefix': '/evil' };
    const { body } = await call<{ error: { message: string } }>(`${server.url}/nowhere`, { headers });
    expect(body.error.message).toBe('No route for GET /safelight/nowhere');
  });

  it('does not weaken the check of host names', async () => {
    const { port, pathname } = new URL(server.url);
    const status = await new Promise((resolve, reject) =>
      request(
        { port, host: '127.0.0.1', path: `${pathname}/v1/about`, headers: { host: 'evil.example' } },
        (answer) => resolve(answer.resume().statusCode),
      )
        .on('error', reject)
        .end(),
    );
    expect(status).toBe(403);
  });

  it.each(['safelight', '/a b', '/a//b', '/..', '/a/./b', '/a?b', '/%2e', 'http://host/a'])(
    'rejects %j',
    async (basePath) => {
      await expect(serve({ port: 0, 'base-path': basePath, data: server.data })).rejects.toMatchObject({
        code: 'INVALID_OPTION',
        message: expect.stringContaining('base-path: expected a path of letters'),
      });
    },
  );

  it.each(['/v1', '/v1/jobs', '/docs', '/health', '/sdapi/v1'])(
    'rejects %j, which is a path of the server, and frees the data folder',
    async (basePath) => {
      const input = { port: 0, 'log-level': 'silent', 'base-path': basePath } as const;
      await expect(startServer(input)).rejects.toMatchObject({
        code: 'INVALID_OPTION',
        message: expect.stringContaining(`received ${basePath}`),
      });
    },
  );

  it('does not change URLs if it is empty', () => {
    expect(withoutBasePath('/v1/jobs', '')).toBe('/v1/jobs');
  });
});
