import type { McpServer, WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server';
import { expect, it } from 'vitest';
import { Sessions } from '../../lib/mcp/sessions.js';

/** Adds a session whose closing is recorded, with one request that has ended unless it is to stay open. */
function add(sessions: Sessions, id: string, closed: string[], { open = false } = {}): AbortController {
  const inner = { onclose: undefined as (() => void) | undefined };
  const server = {
    server: inner,
    close: async () => {
      closed.push(id);
      inner.onclose?.();
    },
  } as Partial<McpServer> as McpServer;
  sessions.add(id, server, {} as WebStandardStreamableHTTPServerTransport);
  const request = new AbortController();
  sessions.use(id, request.signal);
  if (!open) request.abort();
  return request;
}

it('closes the least recently used session without an open request to make room', () => {
  const [sessions, closed] = [new Sessions({ maxSessions: 3 }), [] as string[]];
  add(sessions, 'busy', closed, { open: true });
  add(sessions, 'old', closed);
  add(sessions, 'new', closed);
  const used = new AbortController();
  sessions.use('old', used.signal);
  used.abort();
  expect(sessions.makeRoom()).toBe(true);
  expect(closed).toEqual(['new']);
  expect(sessions.use('new', new AbortController().signal)).toBeUndefined();
});

it('makes no room if every session has an open request', () => {
  const [sessions, closed] = [new Sessions({ maxSessions: 2 }), [] as string[]];
  for (const id of ['a', 'b']) add(sessions, id, closed, { open: true });
  expect(sessions.makeRoom()).toBe(false);
  expect(closed).toEqual([]);
  expect(sessions.count).toBe(2);
});

it('closes a session that has had no open request for the idle time, and no other', async () => {
  const [sessions, closed] = [new Sessions({ idle: 30 }), [] as string[]];
  add(sessions, 'idle', closed);
  const request = add(sessions, 'busy', closed, { open: true });
  await expect.poll(() => closed).toEqual(['idle']);
  expect(sessions.count).toBe(1);
  request.abort();
  await expect.poll(() => closed).toEqual(['idle', 'busy']);
  expect(sessions.count).toBe(0);
});

it('closes all sessions at the end', () => {
  const [sessions, closed] = [new Sessions(), [] as string[]];
  add(sessions, 'a', closed);
  add(sessions, 'b', closed, { open: true });
  sessions.closeAll();
  expect(closed.sort()).toEqual(['a', 'b']);
  expect(sessions.count).toBe(0);
});
