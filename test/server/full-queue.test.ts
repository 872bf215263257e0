import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type RunningServer, serve } from '../../lib/server/serve.js';

describe('a server whose queue is full', () => {
  let data: string;
  let server: RunningServer;
  const post = (path: string, body: object) =>
    fetch(server.url + path, {
      ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
      body: JSON.stringify(body),
    });
  beforeAll(async () => {
    data = await mkdtemp(join(tmpdir(), 'safelight-full-'));
    server = await serve({ port: 0, 'log-level': 'silent', data, 'max-queued': 1 });
    const long = { type: 'text-to-image', prompt: 'a pear', width: 256, height: 256, steps: 150 };
    const { id } = (await (await post('/v1/jobs', long)).json()) as { id: string };
    const status = async () =>
      ((await (await fetch(`${server.url}/v1/jobs/${id}`)).json()) as { status: string }).status;
    await vi.waitFor(async () => expect(await status()).toBe('running'), { timeout: 30_000 });
    await post('/v1/jobs', long);
  });
  afterAll(async () => {
    await server.close();
    await rm(data, { recursive: true, force: true });
  });

  it('responds to OpenAI clients with status 429, the type of the limit and the seconds to wait', async () => {
    const response = await post('/v1/images/generations', { prompt: 'an apple', size: '64x64' });
    expect(response.status).toBe(429);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await response.json()).toMatchObject({ error: { type: 'requests' } });
  });

  it('responds to A1111 clients with status 429 and the seconds to wait', async () => {
    const response = await post('/sdapi/v1/txt2img', { prompt: 'an apple', width: 64, height: 64, steps: 1 });
    expect(response.status).toBe(429);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  it('still responds to requests that need no queue', async () => {
    expect((await fetch(`${server.url}/health/live`)).status).toBe(200);
    expect((await post('/v1/tokenize', { prompt: 'an apple' })).status).toBe(200);
  });
});
