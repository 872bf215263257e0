/** Limits of a server: waiting jobs, retention of results, host names and keys. */
import { request } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { serve } from '../../lib/server/serve.js';
import { call, startServer, type TestServer } from '../support/server/test-server.js';

let server: TestServer | undefined;
afterEach(async () => {
  await server?.end();
  server = undefined;
});

const small = { type: 'text-to-image', prompt: '', width: 64, height: 64, steps: 1 };

describe('a server', () => {
  it('rejects jobs beyond its queue with 429 and Retry-After', async () => {
    server = await startServer({ 'max-queued': 2, threads: 1 });
    const url = `${server.url}/v1/jobs`;
    const long = { ...small, width: 512, height: 512, steps: 150 };
    const answers = [];
    for (let i = 0; i < 6; i++) answers.push(await call(url, { method: 'POST', json: long }));
    const refused = answers.filter(({ status }) => status === 429);
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(3);
    expect(refused).toHaveLength(3);
    expect(Number(refused[0]!.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(refused[0]!.body).toMatchObject({ error: { code: 'QUEUE_FULL' } });
  });

  it('keeps results for the configured time and then removes them', async () => {
    server = await startServer({ 'keep-days': 1 / 86_400, threads: 1 });
    const { body } = await call<{ id: string }>(`${server.url}/v1/jobs`, { method: 'POST', json: small });
    const seen = new Set<unknown>();
    for (let i = 0; i < 600 && !seen.has(404); i++) {
      const { status, body: job } = await call(`${server.url}/v1/jobs/${body.id}`);
      seen.add(status === 404 ? 404 : job.status);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(seen).toContain('done');
    expect(seen).toContain(404);
  });

  it('accepts a body up to the configured length', async () => {
    server = await startServer({ 'max-body': 2 ** 20 });
    const json = { type: 'image-to-image', init: 'A'.repeat(2 ** 20) };
    expect(await call(`${server.url}/v1/jobs`, { method: 'POST', json })).toMatchObject({ status: 413 });
  });

  it('does not start without a key if other machines can reach it', async () => {
    await expect(serve({ host: '0.0.0.0' })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('--api-key'),
    });
  });
});

/** Returns the status of a request with headers that fetch cannot set. */
function status(headers: Record<string, string>, method = 'GET', path = '/v1/jobs'): Promise<number> {
  const { port } = new URL(server!.url);
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, method, path, headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });
}

describe('access', () => {
  it('is denied to other sites, by host name and by origin', async () => {
    server = await startServer({ cors: ['https://friend.example'], 'allow-host': ['gpu.lan'] });
    const { host } = new URL(server.url);
    expect(await status({ host: 'evil.example' })).toBe(403);
    expect(await status({ host: 'gpu.lan:7860' })).toBe(200);
    const post = (origin: string) => status({ host, origin }, 'POST', '/v1/jobs/0/finish');
    expect(await post('https://evil.example')).toBe(403);
    expect(await post('null')).toBe(403);
    expect(await post(`http://${host}`)).toBe(404);
    expect(await post('https://friend.example')).toBe(404);
    const asked = await fetch(`${server.url}/v1/jobs`, {
      method: 'OPTIONS',
      headers: { origin: 'https://friend.example', 'access-control-request-method': 'POST' },
    });
    expect(asked.headers.get('access-control-allow-origin')).toBe('https://friend.example');
    const get = await fetch(`${server.url}/v1/jobs`, { headers: { origin: 'https://evil.example' } });
    expect(get.headers.get('access-control-allow-headers')).toBeNull();
    expect(get.headers.get('access-control-allow-origin')).toBeNull();
  });

  it("is granted to the headers of OpenAI's SDK from an allowed origin", async () => {
    server = await startServer({ cors: ['https://friend.example/'], 'api-key': 'k' });
    const preflight = async (origin: string, headers: string) => {
      const answer = await fetch(`${server!.url}/v1/images/generations`, {
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': headers,
        },
      });
      return { status: answer.status, allowed: answer.headers.get('access-control-allow-headers') };
    };
    const sdk = [
      'lang',
      'package-version',
      'os',
      'arch',
      'runtime',
      'runtime-version',
      'retry-count',
      'timeout',
    ];
    const sent = [
      ...['authorization', 'content-type', 'openai-organization', 'openai-project', 'x-api-key'],
      ...['x-safelight-client', 'idempotency-key', ...sdk.map((name) => `x-stainless-${name}`)],
    ];
    const { status, allowed } = await preflight('https://friend.example', sent.join(','));
    expect(status).toBe(204);
    expect(allowed!.split(', ')).toEqual(expect.arrayContaining(sent));
    expect((await preflight('https://friend.example', 'x-evil, X-Stainless-OS')).allowed).toMatch(
      /^(?!.*x-evil).*x-stainless-os/,
    );
    expect(await preflight('https://evil.example', sent.join(','))).toEqual({ status: 403, allowed: null });
    const headers = { origin: 'https://friend.example' };
    const answer = await fetch(`${server.url}/v1/jobs`, { headers });
    expect(answer.status).toBe(401);
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://friend.example');
    for (const name of ['x-request-id', 'retry-after', 'location'])
      expect(answer.headers.get('access-control-expose-headers')).toContain(name);
  });

  it('requires the key: as a Bearer token, as Basic password, or by the cookie of the login', async () => {
    server = await startServer({ 'api-key': 'k:1' });
    const { host } = new URL(server.url);
    const as = (authorization: string) => status({ host, authorization });
    const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
    expect(await status({ host })).toBe(401);
    expect(await status({ host }, 'GET', '/health/live')).toBe(200);
    expect(await status({ host }, 'GET', '/metrics')).toBe(401);
    expect([await as('Bearer k:1'), await as(basic('anyone:k:1'))]).toEqual([200, 200]);
    expect([await as('Bearer k'), await as(basic('k:1')), await as('k:1')]).toEqual([401, 401, 401]);
    const login = (key: string) => call(`${server!.url}/login`, { method: 'POST', json: { key } });
    expect((await login('wrong')).status).toBe(401);
    const cookie = (await login('k:1')).headers.get('set-cookie')!;
    expect(cookie).toMatch(/HttpOnly; SameSite=Strict/);
    expect(cookie).not.toContain('k:1');
    expect(await status({ host, cookie: cookie.split(';')[0]! })).toBe(200);
    expect(await status({ host, cookie: 'safelight=00' })).toBe(401);
  });

  it('is restricted further by response headers', async () => {
    server = await startServer();
    const { headers } = await fetch(`${server.url}/health/live`);
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-request-id')).toBeTruthy();
  });
});
