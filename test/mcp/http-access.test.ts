/** Access to `/mcp`, malformed requests, sessions and disconnected clients. */

import { mkdtemp } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CallToolResult, Client, ProgressCallback } from '@modelcontextprotocol/client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connectHttp, jobResultOf, type Revision, textOf } from '../support/mcp-client.js';
import { startServer, type TestServer } from '../support/server/test-server.js';

const SMALL = { width: 64, height: 64, steps: 1, seed: 7 };
const revisions = ['legacy', 'modern'] as const satisfies readonly Revision[];
const ACCEPT = 'application/json, text/event-stream';

let server: TestServer;
const clients: Client[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
});
async function connect(revision: Revision, headers: Record<string, string> = {}) {
  const connected = await connectHttp(server.url, revision, headers);
  clients.push(connected.client);
  return connected;
}
const post = (body: string | object, headers: Record<string, string> = {}) =>
  fetch(`${server.url}/mcp`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: ACCEPT, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
const initialize = {
  ...{ jsonrpc: '2.0', id: 1, method: 'initialize' },
  params: {
    ...{ protocolVersion: '2025-06-18', capabilities: {} },
    clientInfo: { name: 'test', version: '1.0.0' },
  },
};

describe('a server with an API key', () => {
  beforeAll(async () => {
    server = await startServer({ 'api-key': 'secret', cors: ['https://studio.example'] });
  });
  afterAll(() => server.end());

  it.each(revisions)('rejects a %s client without the key or with a wrong one', async (revision) => {
    await expect(connect(revision)).rejects.toMatchObject({
      message: expect.stringMatching(/401|Unauthorized|API key/),
    });
    await expect(connect(revision, { authorization: 'Bearer wrong' })).rejects.toThrow();
    for (const method of ['GET', 'POST', 'DELETE'])
      expect((await fetch(`${server.url}/mcp`, { method })).status).toBe(401);
  });

  it.each(revisions)('accepts a %s client with the key', async (revision) => {
    const { client } = await connect(revision, { authorization: 'Bearer secret' });
    const request = { name: 'generate_image', arguments: { prompt: 'a red apple', ...SMALL } };
    expect(jobResultOf(await client.callTool(request)).images).toHaveLength(1);
  });

  it('allows pages of configured origins to use sessions, and no others', async () => {
    const preflight = (origin: string) =>
      fetch(`${server.url}/mcp`, {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'POST' },
      });
    const allowed = await preflight('https://studio.example');
    expect(allowed.status).toBe(204);
    const names = allowed.headers.get('access-control-allow-headers');
    for (const name of ['authorization', 'mcp-session-id', 'mcp-protocol-version', 'mcp-method', 'mcp-name'])
      expect(names).toContain(name);
    expect(allowed.headers.get('access-control-expose-headers')).toContain('mcp-session-id');
    expect((await preflight('https://evil.example')).status).toBe(403);
    const headers = { origin: 'https://evil.example', authorization: 'Bearer secret' };
    expect((await post(initialize, headers)).status).toBe(403);
  });
});

describe('a server without a key', () => {
  beforeAll(async () => {
    server = await startServer({ threads: 1, 'max-body': 2 ** 20 });
  });
  afterAll(() => server.end());

  it('rejects the host name of another site, as after DNS rebinding', async () => {
    const { port } = new URL(server.url);
    const status = await new Promise((resolve, reject) => {
      const headers = { host: 'evil.example', 'content-type': 'application/json', accept: ACCEPT };
      httpRequest({ host: '127.0.0.1', port, path: '/mcp', method: 'POST', headers }, (response) =>
        resolve(response.resume().statusCode),
      )
        .on('error', reject)
        .end(JSON.stringify(initialize));
    });
    expect(status).toBe(403);
  });

  it.each([
    ['{', {}, 400, -32_700],
    ['', {}, 415, -32_000],
    [initialize, { 'content-type': 'text/plain' }, 415, -32_000],
    [initialize, { accept: 'application/json' }, 406, -32_000],
    [{ jsonrpc: '2.0', id: 2, method: 'tools/list' }, {}, 400, -32_000],
    [{ jsonrpc: '2.0', id: 2, method: 'tools/list' }, { 'mcp-session-id': 'unknown' }, 404, -32_001],
    [[], { 'mcp-session-id': 'unknown' }, undefined, undefined],
    [{ ...initialize, params: { protocolVersion: 7 } }, {}, 400, undefined],
    [{ jsonrpc: '2.0', id: 2, method: 'tools/list' }, { 'mcp-protocol-version': '2026-07-28' }, 400, -32_602],
  ])(
    'answers the malformed request %j with an error of the protocol',
    async (body, headers, status, code) => {
      const response = await post(body, headers);
      expect(response.status).toBeGreaterThanOrEqual(400);
      expect(response.status).toBeLessThan(500);
      if (status !== undefined) expect(response.status).toBe(status);
      const { error } = (await response.json()) as { error: { code: number; message: string } };
      expect(error.message).not.toBe('');
      if (code !== undefined) expect(error.code).toBe(code);
      expect((await fetch(`${server.url}/health/live`)).status).toBe(200);
    },
  );

  it('rejects a body above the limit of the server', async () => {
    const response = await post({ ...initialize, filler: 'x'.repeat(2 ** 20) });
    expect(response.status).toBe(413);
  });

  it('refuses methods that the protocol does not use', async () => {
    expect((await fetch(`${server.url}/mcp`, { method: 'PUT' })).status).toBe(404);
    expect((await fetch(`${server.url}/mcp`)).status).toBeGreaterThanOrEqual(400);
  });

  it.each(revisions)('tells a %s client when the list of images changes', async (revision) => {
    const { client } = await connect(revision);
    let changes = 0;
    client.setNotificationHandler('notifications/resources/list_changed', () => void changes++);
    const listening = revision === 'modern' ? await client.listen({ resourcesListChanged: true }) : undefined;
    const { id } = await server.queue.submit({
      type: 'text-to-image',
      options: { prompt: 'a pear', ...SMALL },
    });
    for await (const _ of server.queue.events(id));
    await expect.poll(() => changes).toBeGreaterThan(0);
    await listening?.close();
  });

  /** Starts a call of many steps and returns the id of its job once it is running. */
  async function startCall(client: Client, steps = 150) {
    const request = { name: 'generate_image', arguments: { prompt: 'a pear', ...SMALL, steps } };
    const started = new Promise<string>((resolve) => {
      void client
        .callTool(request, {
          onprogress: async ({ progress }) => {
            if (progress < 1) return;
            const [job] = await server.queue.list({ limit: 1 });
            resolve(job!.id);
          },
        })
        .catch(() => undefined);
    });
    return started;
  }
  const statusOf = async (id: string) => (await server.queue.get(id))?.status;

  it('cancels the jobs of a session that its client terminates', async () => {
    const { client, transport } = await connect('legacy');
    const id = await startCall(client);
    const session = transport.sessionId!;
    await transport.terminateSession();
    await expect.poll(() => statusOf(id)).toBe('cancelled');
    const list = { jsonrpc: '2.0', id: 2, method: 'tools/list' };
    expect((await post(list, { 'mcp-session-id': session })).status).toBe(404);
  });

  it('cancels the job of a disconnected client of revision 2026-07-28, as that revision demands', async () => {
    const { client } = await connect('modern');
    const id = await startCall(client);
    await client.close();
    await expect.poll(() => statusOf(id)).toBe('cancelled');
  });

  it('finishes the job of a client of an earlier revision that only disconnects', async () => {
    const { client } = await connect('legacy');
    const id = await startCall(client, 20);
    await client.close();
    await expect.poll(() => statusOf(id), { timeout: 50_000 }).toBe('done');
  });
});

it.each(revisions)(
  'answers the calls of a %s client when the server stops, and keeps its queued job',
  async (revision) => {
    const data = await mkdtemp(join(tmpdir(), 'safelight-mcp-'));
    server = await startServer({ threads: 1, data });
    const { client } = await connect(revision);
    const call = (steps: number, onprogress?: ProgressCallback) =>
      client.callTool(
        { name: 'generate_image', arguments: { prompt: `${steps} steps`, ...SMALL, steps } },
        onprogress ? { onprogress } : {},
      );
    let running: Promise<CallToolResult> | undefined;
    await new Promise<void>((resolve) => {
      running = call(40, ({ progress }) => {
        if (progress >= 1) resolve();
      });
    });
    const queued = call(9);
    await expect.poll(async () => (await server.queue.list()).length).toBe(2);
    await server.close({ drain: true });
    expect(jobResultOf((await running)!).images).toHaveLength(1);
    const refused = await queued;
    expect(refused.isError).toBe(true);
    expect(textOf(refused)).toMatch(/^DISPOSED: /);
    const next = await startServer({ threads: 1, data });
    const statuses = async () =>
      (await next.queue.list()).map(({ options, status }) => [options.prompt, status]);
    await expect.poll(statuses).toEqual([
      ['9 steps', 'done'],
      ['40 steps', 'done'],
    ]);
    await next.end();
  },
);
