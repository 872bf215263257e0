/**
 * Serves clients over streamable HTTP, as functions from web requests to web responses.
 *
 * Requests of protocol revision 2026-07-28 are independent of each other. Earlier revisions have sessions, without which a
 * client could not cancel a call: its notification arrives in another request and names the call by a number that is unique
 * only within a session.
 */
import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type {
  McpHttpHandler,
  WebStandardStreamableHTTPServerTransport as Transport,
} from '@modelcontextprotocol/server';
import { McpDefinition } from './definition.js';
import { announceImages, followImages } from './resources.js';
import { loadSdk, type McpSdk } from './sdk.js';
import { type SessionLimits, Sessions } from './sessions.js';
import type { McpParts } from './tool.js';

/** Streams on which clients of revision 2026-07-28 wait for changes. */
const MAX_SUBSCRIPTIONS = 64;
const SESSION = 'mcp-session-id';
/** Codes of JSON-RPC errors: those of its specification, and the ones that the SDK uses for sessions. */
const CODE = { parse: -32_700, server: -32_000, noSession: -32_001 } as const;

export interface HttpOptions extends SessionLimits {
  /** Maximum size of a request in bytes. */
  readonly maxBody: number;
}

export class McpHttp {
  private readonly sessions: Sessions;
  private readonly closing = new AbortController();

  private constructor(
    private readonly sdk: McpSdk,
    private readonly definition: McpDefinition,
    private readonly modern: McpHttpHandler,
    { queue }: McpParts,
    private readonly options: HttpOptions,
  ) {
    this.sessions = new Sessions(options);
    void followImages(queue, this.closing.signal, () => {
      this.modern.notify.resourcesChanged();
      for (const server of this.sessions.servers) announceImages(server);
    });
  }

  static async open(parts: McpParts, options: HttpOptions): Promise<McpHttp> {
    const sdk = await loadSdk();
    const definition = new McpDefinition(sdk, parts);
    const modern = sdk.createMcpHandler(() => definition.create(), {
      ...{ legacy: 'reject', maxSubscriptions: MAX_SUBSCRIPTIONS },
      ...{ maxRequestBodySize: options.maxBody },
    });
    return new McpHttp(sdk, definition, modern, parts, options);
  }

  /** Number of open sessions. */
  get sessionCount(): number {
    return this.sessions.count;
  }

  /**
   * Answers a request. Its signal must be aborted when the client has disconnected or has received the response.
   * @param text body of the request
   */
  async handle(request: Request, text: string): Promise<Response> {
    let parsedBody: unknown;
    if (request.method === 'POST') {
      if (!this.sdk.isJsonContentType(request.headers.get('content-type')))
        return failure(415, CODE.server, 'Expected a body with content-type: application/json');
      try {
        parsedBody = JSON.parse(text);
      } catch {
        return failure(400, CODE.parse, 'The body is not valid JSON');
      }
    }
    const isLegacy = await this.sdk.isLegacyRequest(request, parsedBody);
    return isLegacy ? this.handleSession(request, parsedBody) : this.modern.fetch(request, { parsedBody });
  }

  /** Answers the calls in progress with their results or an error, and ends all streams and sessions. */
  async close(): Promise<void> {
    this.closing.abort();
    this.definition.stop();
    await this.definition.idle();
    await nextTurn(); // in which the SDK sends the answers
    this.sessions.closeAll();
    await this.modern.close();
  }

  private handleSession(request: Request, parsedBody: unknown): Promise<Response> | Response {
    const messages = Array.isArray(parsedBody) ? parsedBody : [parsedBody];
    if (messages.some((message) => this.sdk.isInitializeRequest(message)))
      return this.initialize(request, parsedBody);
    const id = request.headers.get(SESSION);
    if (id === null)
      return failure(
        400,
        CODE.server,
        `Send an initialize request first, then the header ${SESSION} of its response`,
      );
    const transport = this.sessions.use(id, request.signal);
    if (transport) return this.forward(transport, request, parsedBody);
    return failure(
      404,
      CODE.noSession,
      'The session does not exist or has ended; send an initialize request',
    );
  }

  private async forward(transport: Transport, request: Request, parsedBody: unknown): Promise<Response> {
    const response = await transport.handleRequest(request, { parsedBody });
    // A cancelled call gets no response, so its stream would stay open.
    for (const message of Array.isArray(parsedBody) ? parsedBody : [parsedBody]) {
      if (!this.sdk.isSpecType.CancelledNotification(message)) continue;
      const { requestId } = message.params;
      if (requestId !== undefined) transport.closeSSEStream(requestId);
    }
    return response;
  }

  private async initialize(request: Request, parsedBody: unknown): Promise<Response> {
    if (!this.sessions.makeRoom())
      return failure(503, CODE.server, 'Too many sessions have open requests; retry later');
    const server = this.definition.create();
    const transport = new this.sdk.WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      maxRequestBodySize: this.options.maxBody,
      onsessioninitialized: (id) => {
        this.sessions.add(id, server, transport);
        this.sessions.use(id, request.signal);
      },
    });
    await server.connect(transport);
    const response = await transport.handleRequest(request, { parsedBody });
    // An invalid request creates no session.
    if (transport.sessionId === undefined) await server.close();
    return response;
  }
}

function failure(status: number, code: number, message: string): Response {
  return Response.json({ jsonrpc: '2.0', id: null, error: { code, message } }, { status });
}
