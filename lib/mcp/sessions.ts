/** Sessions of clients that speak a revision of the protocol before 2026-07-28, limited in number and time. */
import type { McpServer, WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server';

export interface SessionLimits {
  /** Maximum number of sessions; default 64. */
  readonly maxSessions?: number | undefined;
  /** Milliseconds after which a session without an open request is closed; default 30 minutes. */
  readonly idle?: number | undefined;
}

const MAX_SESSIONS = 64;
const IDLE = 30 * 60_000;

interface Session {
  readonly server: McpServer;
  readonly transport: WebStandardStreamableHTTPServerTransport;
  /** Requests whose response is not complete. */
  open: number;
  timer?: NodeJS.Timeout;
}

export class Sessions {
  /** In the order of their last use. */
  private readonly sessions = new Map<string, Session>();
  private readonly maxSessions: number;
  private readonly idle: number;

  constructor({ maxSessions = MAX_SESSIONS, idle = IDLE }: SessionLimits = {}) {
    this.maxSessions = maxSessions;
    this.idle = idle;
  }

  get count(): number {
    return this.sessions.size;
  }

  get servers(): readonly McpServer[] {
    return [...this.sessions.values()].map(({ server }) => server);
  }

  /**
   * Makes room for a session: if there are too many, the one without an open request that was used least recently is
   * closed. @returns false if all have an open request
   */
  makeRoom(): boolean {
    if (this.sessions.size < this.maxSessions) return true;
    const [unused] = [...this.sessions].find(([, { open }]) => open === 0) ?? [];
    if (unused !== undefined) this.close(unused);
    return unused !== undefined;
  }

  add(id: string, server: McpServer, transport: WebStandardStreamableHTTPServerTransport): void {
    this.sessions.set(id, { server, transport, open: 0 });
    server.server.onclose = () => this.forget(id);
  }

  /**
   * Returns the transport of a session, which counts as used until the signal is aborted; undefined for a session that does
   * not exist (any more).
   */
  use(id: string, signal: AbortSignal): WebStandardStreamableHTTPServerTransport | undefined {
    const session = this.sessions.get(id);
    if (!session) return undefined;
    clearTimeout(session.timer);
    session.open++;
    this.sessions.delete(id);
    this.sessions.set(id, session);
    const leave = (): void => {
      if (--session.open > 0 || this.sessions.get(id) !== session) return;
      session.timer = setTimeout(() => this.close(id), this.idle);
      session.timer.unref();
    };
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
    return session.transport;
  }

  /** Closes all sessions, which cancels their calls. */
  closeAll(): void {
    for (const id of [...this.sessions.keys()]) this.close(id);
  }

  /** Cancels the calls of a session and ends its streams. */
  private close(id: string): void {
    const session = this.sessions.get(id);
    this.forget(id);
    void session?.server.close().catch(() => undefined);
  }

  private forget(id: string): void {
    clearTimeout(this.sessions.get(id)?.timer);
    this.sessions.delete(id);
  }
}
