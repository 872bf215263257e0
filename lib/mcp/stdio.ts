/** Serves one client over stdin and stdout. */
import type { Readable, Writable } from 'node:stream';
import type { McpServer } from '@modelcontextprotocol/server';
import { McpDefinition } from './definition.js';
import { announceImages, followImages } from './resources.js';
import { loadSdk, loadStdioSdk } from './sdk.js';
import type { McpParts } from './tool.js';

/** Maximum size of a message in bytes: an image file of 64 MiB in base64, and its other arguments. */
const MAX_MESSAGE = 96 * 2 ** 20;

export interface StdioConnection {
  /** Settles when the connection has ended: the client closed its end, a message was too large, or `close` was called. */
  readonly ended: Promise<void>;
  /** Ends the connection, cancels the jobs of its calls and waits until they have ended. */
  close(): Promise<void>;
}

export async function serveStdio(
  parts: McpParts,
  {
    input = process.stdin,
    output = process.stdout,
  }: { readonly input?: Readable; readonly output?: Writable } = {},
): Promise<StdioConnection> {
  const [sdk, stdio] = await Promise.all([loadSdk(), loadStdioSdk()]);
  const definition = new McpDefinition(sdk, parts);
  const transport = new stdio.StdioServerTransport(input, output, { maxBufferSize: MAX_MESSAGE });
  const closing = new AbortController();
  /** Servers of this connection: one, and before it perhaps one that answered the client's question for its version. */
  const servers = new Set<McpServer>();
  const create = (): McpServer => {
    const server = definition.create();
    servers.add(server);
    server.server.onclose = () => servers.delete(server);
    return server;
  };
  const handle = stdio.serveStdio(create, { transport, onerror: parts.onError });
  const { onclose } = transport;
  const ended = new Promise<void>((resolve) => {
    transport.onclose = () => {
      onclose?.();
      closing.abort();
      resolve();
    };
  });
  void followImages(parts.queue, closing.signal, () => {
    for (const server of servers) announceImages(server);
  });
  const close = async (): Promise<void> => {
    await handle.close();
    await ended;
    await definition.idle();
  };
  return { ended, close };
}
