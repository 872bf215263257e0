import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ServeInput } from '../../lib/server/config.js';
import { type RunningServer, serve } from '../../lib/server/serve.js';

let data: string;
let server: RunningServer | undefined;
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'safelight-start-'));
});
afterEach(async () => {
  await server?.close();
  server = undefined;
  await rm(data, { recursive: true, force: true });
});
async function start(input: ServeInput = {}): Promise<RunningServer> {
  server = await serve({ port: 0, 'log-level': 'silent', data, ...input });
  return server;
}

describe('a server that starts', () => {
  it.each([
    [{ port: 70_000 }, 'port'],
    [{ 'max-queued': 0 }, 'max-queued'],
    [JSON.parse('{ "unknown": 1 }'), 'unknown'],
  ])('rejects the configuration %j and names the value', async (input, name) => {
    await expect(start(input)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining(name),
    });
  });

  it('loads its first model at once on request', async () => {
    const { url } = await start({ preload: true });
    const loaded = async () => (await fetch(`${url}/metrics`)).text();
    await expect.poll(loaded, { timeout: 30_000 }).toMatch(/safelight_\w+\{model="starter"\} [1-9]/);
  });

  it('offers the other models if one of its folder cannot be read', async () => {
    const models = join(data, 'models');
    await mkdir(models);
    await writeFile(join(models, 'broken.safetensors'), 'no weights');
    expect((await start({ models })).models).toEqual(['starter', 'sketch']);
  });

  it('offers a model that cannot be read if it was named, so that its jobs report the error', async () => {
    await writeFile(join(data, 'broken.safetensors'), 'no weights');
    const running = await start({ model: [`mine=${join(data, 'broken.safetensors')}`] });
    expect(running.models).toContain('mine');
    const init = { method: 'POST', headers: { 'content-type': 'application/json' } };
    const body = JSON.stringify({ type: 'text-to-image', model: 'mine', prompt: 'a pear' });
    const { id } = (await (await fetch(`${running.url}/v1/jobs`, { ...init, body })).json()) as {
      id: string;
    };
    const job = async () =>
      (await (await fetch(`${running.url}/v1/jobs/${id}`)).json()) as { error?: object };
    await expect
      .poll(async () => (await job()).error, { timeout: 30_000 })
      .toMatchObject({ code: 'INVALID_FILE' });
  });
});

describe('the host name of a request', () => {
  /** The status for a Host header, which fetch cannot set. */
  const statusFor = (host: string, headers: Record<string, string> = {}) =>
    new Promise<number>((resolve, reject) => {
      const { port } = new URL(server!.url);
      const options = { host: '127.0.0.1', port, path: '/v1/jobs', headers: { host, ...headers } };
      request(options, (response) => resolve(response.resume().statusCode ?? 0))
        .on('error', reject)
        .end();
    });
  const authorization = 'Bearer secret';

  it('is not checked on a server that other machines reach with the key', async () => {
    await start({ host: '0.0.0.0', 'api-key': 'secret' });
    expect(await statusFor('any.example', { authorization })).toBe(200);
    expect(await statusFor('any.example')).toBe(401);
  });

  it('is checked on such a server too if names are configured', async () => {
    await start({ host: '0.0.0.0', 'api-key': 'secret', 'allow-host': ['gpu.example'] });
    expect(await statusFor('GPU.example:8080', { authorization })).toBe(200);
    expect(await statusFor('any.example', { authorization })).toBe(403);
  });
});

describe('the login of the web page', () => {
  it('is refused without a key and with a wrong one, and a logout deletes the cookie', async () => {
    const { url } = await start({ 'api-key': 'secret' });
    const post = (path: string, body: string) =>
      fetch(url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    for (const body of ['{}', '{"key": 7}', '{"key": "wrong"}'])
      expect((await post('/login', body)).status).toBe(401);
    expect((await post('/login', '{"key": "secret"}')).status).toBe(200);
    expect((await post('/logout', '{}')).headers.get('set-cookie')).toContain('Max-Age=0');
  });
});

describe('requests of OpenAI clients', () => {
  it.each([
    [{ background: 'transparent' }, 'background'],
    [{ size: 'large' }, 'size'],
    [{ size: '64x' }, 'size'],
    [{ model: 'none' }, 'none'],
    [{ n: 11 }, 'n'],
    [{ image: 'AAAA' }, '/v1/images/edits'],
  ])('are rejected with a message about the field: %j', async (fields, message) => {
    const { url } = await start();
    const response = await fetch(`${url}/v1/images/generations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'a pear', ...fields }),
    });
    expect(response.status).toBeGreaterThanOrEqual(400);
    expect(response.status).toBeLessThan(500);
    const { error } = (await response.json()) as { error: { message: string } };
    expect(error.message).toContain(message);
  });
});
