/** A local hub and Civitai with all failures of the real ones, and some that they should not have. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Faults {
  /** 503 responses before the first successful one, per file and range. */
  failures?: number;
  /** Seconds of `Retry-After` in each of them. */
  retryAfter?: number;
  /** Bodies end after this number of bytes, this many times in total. */
  truncateAt?: number;
  truncations?: number;
  /** Ignores ranges. */
  noRanges?: boolean;
  /** Changes a byte in each body, this many times. */
  corruptions?: number;
  /** Content-Range contains another position. */
  wrongRange?: boolean;
  /** Bytes per second. */
  slow?: number;
  /** Never sends bodies. */
  silent?: boolean;
}

export class HubServer {
  readonly requests: {
    method: string;
    url: string;
    range: string | undefined;
    authorization: string | undefined;
  }[] = [];
  faults: Faults = {};
  /** Files by `owner/name`; all belong to one commit. */
  readonly repositories = new Map<string, Map<string, Buffer>>();
  readonly gated = new Set<string>();
  readonly versions = new Map<number, unknown>();
  readonly commit = 'c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00';
  /** Bytes of bodies sent. */
  sent = 0;
  private readonly failed = new Map<string, number>();

  private constructor(
    private readonly hub: Server,
    private readonly storage: Server,
  ) {}

  static async start(): Promise<HubServer> {
    const listen = (server: Server, host: string) =>
      new Promise<void>((resolve) => server.listen(0, host, resolve));
    const [hub, storage] = [createServer(), createServer()];
    const server = new HubServer(hub, storage);
    hub.on('request', (request, response) => server.onHub(request, response));
    storage.on('request', (request, response) => server.onStorage(request, response));
    await listen(hub, '127.0.0.1');
    await listen(storage, '127.0.0.1');
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.hub.address() as AddressInfo).port}`;
  }

  /** Another host name, which stores large files. */
  get storageUrl(): string {
    return `http://localhost:${(this.storage.address() as AddressInfo).port}`;
  }

  reset(): void {
    this.faults = {};
    this.requests.length = 0;
    this.failed.clear();
    this.sent = 0;
  }

  async close(): Promise<void> {
    for (const server of [this.hub, this.storage]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  private note(request: IncomingMessage): void {
    this.requests.push({
      method: request.method ?? '',
      url: request.url ?? '',
      range: request.headers.range,
      authorization: request.headers.authorization,
    });
  }

  private onHub(request: IncomingMessage, response: ServerResponse): unknown {
    this.note(request);
    const url = decodeURIComponent(request.url ?? '');
    const version = /^\/api\/v1\/model-versions\/(\d+)$/.exec(url)?.[1];
    if (version) {
      const found = this.versions.get(Number(version));
      return response.writeHead(found ? 200 : 404).end(JSON.stringify(found ?? { error: 'not found' }));
    }
    const download = /^\/api\/download\/models\/(.+)$/.exec(url)?.[1];
    if (download) return this.redirect(response, `${this.storageUrl}/civitai/${download}`);
    const api = /^\/api\/models\/([^/]+\/[^/]+)(?:\/revision\/(.+))?$/.exec(url);
    if (api) return this.onList(api[1]!, api[2] ?? 'main', response);
    const resolved = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url);
    if (resolved) return this.onFile(request, response, resolved[1]!, resolved[3]!);
    return response.writeHead(404).end();
  }

  private onList(id: string, revision: string, response: ServerResponse): unknown {
    const files = this.repositories.get(id);
    if (!files) return response.writeHead(401, { 'x-error-code': 'RepoNotFound' }).end();
    if (!['main', 'v1', this.commit].includes(revision))
      return response.writeHead(404, { 'x-error-code': 'RevisionNotFound' }).end();
    return response.end(
      JSON.stringify({
        id,
        sha: this.commit,
        siblings: [...files.keys()].map((rfilename) => ({ rfilename })),
      }),
    );
  }

  private onFile(request: IncomingMessage, response: ServerResponse, id: string, path: string): unknown {
    if (this.gated.has(id) && request.headers.authorization !== 'Bearer hf_right')
      return response.writeHead(403, { 'x-error-code': 'GatedRepo' }).end();
    const bytes = this.repositories.get(id)?.get(path);
    if (!bytes) return response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end();
    const headers = { 'x-repo-commit': this.commit, 'accept-ranges': 'bytes' };
    if (bytes.length < 1000) {
      const etag = createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
      return this.body(request, response, `${id}/${path}`, bytes, { ...headers, etag: `W/"${etag}"` });
    }
    response.writeHead(302, {
      ...headers,
      'x-linked-etag': `"${createHash('sha256').update(bytes).digest('hex')}"`,
      'x-linked-size': bytes.length,
      location: `${this.storageUrl}/${id}/${path}?signature=abc`,
    });
    return response.end();
  }

  private onStorage(request: IncomingMessage, response: ServerResponse): unknown {
    this.note(request);
    // The storage host signs its URLs; a token that arrives here has leaked.
    if (request.headers.authorization !== undefined) return response.writeHead(400).end();
    const [, owner = '', name = '', path = ''] =
      /^\/([^/]+)\/([^/]+)\/(.+)$/.exec(new URL(request.url ?? '', this.url).pathname) ?? [];
    const bytes = this.repositories.get(`${owner}/${name}`)?.get(decodeURIComponent(path));
    if (!bytes) return response.writeHead(404).end();
    return this.body(request, response, `${owner}/${name}/${path}`, bytes, {});
  }

  private body(
    request: IncomingMessage,
    response: ServerResponse,
    key: string,
    whole: Buffer,
    headers: Record<string, string>,
  ): unknown {
    const { faults } = this;
    if (request.method === 'HEAD')
      return response.writeHead(200, { ...headers, 'content-length': whole.length }).end();
    if (faults.silent) return undefined;
    const range = faults.noRanges ? undefined : request.headers.range;
    const failures = this.failed.get(`${key} ${range}`) ?? 0;
    if (failures < (faults.failures ?? 0)) {
      this.failed.set(`${key} ${range}`, failures + 1);
      const wait: Record<string, string> =
        faults.retryAfter === undefined ? {} : { 'retry-after': `${faults.retryAfter}` };
      return response.writeHead(failures % 2 ? 429 : 503, wait).end();
    }
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
    const [begin, end] =
      from === undefined ? [0, whole.length] : [Number(from), Math.min(Number(to) + 1, whole.length)];
    let bytes = whole.subarray(begin, end);
    if ((faults.corruptions ?? 0) > 0 && bytes.length > 10) {
      faults.corruptions!--;
      bytes = Buffer.from(bytes);
      bytes[bytes.length >> 1]! ^= 0xff;
    }
    const shift = faults.wrongRange ? 1 : 0;
    response.writeHead(from === undefined ? 200 : 206, {
      ...headers,
      'content-length': bytes.length,
      ...(from === undefined
        ? {}
        : { 'content-range': `bytes ${begin + shift}-${end - 1 + shift}/${whole.length}` }),
    });
    if (
      faults.truncateAt !== undefined &&
      (faults.truncations ?? 0) > 0 &&
      bytes.length > faults.truncateAt
    ) {
      faults.truncations!--;
      this.sent += faults.truncateAt;
      response.write(bytes.subarray(0, faults.truncateAt), () => setTimeout(() => response.destroy(), 20));
      return undefined;
    }
    if (faults.slow !== undefined) return this.slowly(response, bytes, faults.slow);
    this.sent += bytes.length;
    return response.end(bytes);
  }

  private async slowly(response: ServerResponse, bytes: Buffer, perSecond: number): Promise<void> {
    const step = Math.ceil(perSecond / 50);
    for (let at = 0; at < bytes.length && !response.destroyed; at += step) {
      const piece = bytes.subarray(at, at + step);
      this.sent += piece.length;
      response.write(piece);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    response.end();
  }

  private redirect(response: ServerResponse, location: string): unknown {
    return response.writeHead(307, { location }).end();
  }
}
