/** A server for a test with its own port and data folder, removed afterwards. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServeInput } from '../../../lib/server/config.js';
import { type RunningServer, serve } from '../../../lib/server/serve.js';

export interface TestServer extends RunningServer {
  readonly data: string;
  /** Stops it and removes its data. */
  end(): Promise<void>;
}

export async function startServer(input: ServeInput = {}): Promise<TestServer> {
  const data = input.data ?? (await mkdtemp(join(tmpdir(), 'safelight-server-')));
  const server = await serve({ port: 0, 'log-level': 'silent', ...input, data });
  const end = async (): Promise<void> => {
    await server.close();
    await rm(data, { recursive: true, force: true });
  };
  return { ...server, data, end };
}

/** Returns a JSON response with its status. */
export async function call<Body = Record<string, unknown>>(
  url: string,
  init: RequestInit & { readonly json?: unknown } = {},
): Promise<{ status: number; body: Body; headers: Headers }> {
  const { json, ...rest } = init;
  const response = await fetch(url, {
    ...rest,
    ...(json === undefined
      ? {}
      : { body: JSON.stringify(json), headers: { 'content-type': 'application/json', ...rest.headers } }),
  });
  const text = await response.text();
  return {
    status: response.status,
    body: (text ? JSON.parse(text) : undefined) as Body,
    headers: response.headers,
  };
}
