/** HTTP requests with redirects and timeouts, whose failures state whether a retry can succeed. */
import { onAbort, SafelightError } from '../../errors.js';

/** A failed request. */
export class HttpFailure extends Error {
  override readonly name = 'HttpFailure';
  constructor(
    message: string,
    /** HTTP status; 0 if there was no response. */
    readonly status: number,
    readonly headers: Headers,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }

  /** True if a retry may succeed. */
  get transient(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }

  /** Seconds to wait as the server requests: `Retry-After`, or the hub's `RateLimit: "api";r=0;t=55`. */
  get retryAfter(): number | undefined {
    const after = this.headers.get('retry-after');
    if (after !== null) {
      const seconds = /^\d+$/.test(after) ? Number(after) : (Date.parse(after) - Date.now()) / 1000;
      if (Number.isFinite(seconds)) return Math.max(0, seconds);
    }
    const window = this.status === 429 ? /;\s*t\s*=\s*(\d+)/.exec(this.headers.get('ratelimit') ?? '') : null;
    return window ? Number(window[1]) : undefined;
  }
}

export interface RequestOptions {
  readonly method?: 'GET' | 'HEAD';
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as `Authorization: Bearer` to the first host only; redirects to storage contain their own signature. */
  readonly token?: string | undefined;
  /** `relative`: a redirect to another host is returned as the response (the hub's metadata requests). */
  readonly follow?: 'all' | 'relative';
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds without a response or data after which the attempt fails. */
  readonly patience: number;
}

/** A response with status 2xx (or 3xx with `relative`), and its body as a stream. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly url: string;
  /**
   * Throws HttpFailure if the connection breaks or stalls, and the signal's reason. Must be read to its end or closed
   * with `return`.
   */
  body(): AsyncGenerator<Uint8Array, void, void>;
  /** Closes the connection. */
  cancel(): void;
}

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const MAX_REDIRECTS = 10;

/** @throws HttpFailure; the signal's reason */
export async function request(url: string, options: RequestOptions): Promise<Answer> {
  const first = new URL(url);
  let at = first;
  for (let hops = 0; ; hops++) {
    const answer = await once(at, first, options);
    const location = answer.headers.get('location');
    if (!REDIRECTS.has(answer.status) || location === null) return checked(answer);
    if (options.follow === 'relative' && hasHost(location)) return answer;
    answer.cancel();
    if (hops >= MAX_REDIRECTS)
      throw failure(`${first.host} redirects more than ${MAX_REDIRECTS} times`, answer);
    at = target(location, at, answer);
  }
}

async function once(url: URL, first: URL, options: RequestOptions): Promise<Answer> {
  const { method = 'GET', headers = {}, token, signal, patience } = options;
  const controller = new AbortController();
  signal?.throwIfAborted();
  const unlisten = signal && onAbort(signal, () => controller.abort(signal.reason));
  let timer: NodeJS.Timeout | undefined;
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => controller.abort(new Error(`no response for ${patience / 1000} s`)), patience);
  };
  const end = () => {
    clearTimeout(timer);
    unlisten?.();
  };
  const broken = (cause: unknown) => {
    signal?.throwIfAborted();
    return new HttpFailure(`${url.host}: ${reason(cause)}`, 0, new Headers(), { cause });
  };
  alive();
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      redirect: 'manual',
      signal: controller.signal,
      headers: {
        'user-agent': 'safelight',
        'accept-encoding': 'identity', // so that sizes and ranges refer to the file itself
        ...headers,
        ...(token !== undefined && url.host === first.host && !isDowngrade(first, url)
          ? { authorization: `Bearer ${token}` }
          : {}),
      },
    });
  } catch (error) {
    end();
    throw broken(error);
  }
  const cancel = () => {
    end();
    controller.abort();
  };
  if (method === 'HEAD') end();
  return {
    status: response.status,
    headers: response.headers,
    url: url.href,
    cancel,
    async *body() {
      try {
        alive();
        for await (const chunk of response.body ?? []) {
          alive();
          yield chunk as Uint8Array;
        }
      } catch (error) {
        throw broken(error);
      } finally {
        cancel();
      }
    },
  };
}

/** Requests a JSON document of at most `limit` bytes. @throws HttpFailure */
export async function requestJson(url: string, options: RequestOptions, limit = 32 << 20): Promise<unknown> {
  const answer = await request(url, {
    ...options,
    headers: { accept: 'application/json', ...options.headers },
  });
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of answer.body()) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > limit) throw failure(`${new URL(url).host} returned more than ${limit} bytes`, answer);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (cause) {
    throw failure(`${new URL(url).host} returned invalid JSON`, answer, cause);
  }
}

/** Returns the typed error of a failure on the server's side. */
export function downloadFailed(what: string, { message, status }: HttpFailure): SafelightError {
  const why = status === 0 ? message : `the server returned status ${status}`;
  return new SafelightError(
    'DOWNLOAD_FAILED',
    `${what} failed (${why}); the data so far is kept, run it again to resume`,
  );
}

function checked(answer: Answer): Answer {
  if (answer.status >= 200 && answer.status < 300) return answer;
  answer.cancel();
  throw new HttpFailure(
    `${new URL(answer.url).host} answers ${answer.status}`,
    answer.status,
    answer.headers,
  );
}

function target(location: string, from: URL, answer: Answer): URL {
  const url = URL.canParse(location, from.href) ? new URL(location, from.href) : undefined;
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && from.protocol === 'http:')) return url;
  throw failure(
    `${from.host} redirects to '${location.slice(0, 100)}', from which files cannot be downloaded safely`,
    answer,
  );
}

function isDowngrade(from: URL, to: URL): boolean {
  return from.protocol === 'https:' && to.protocol !== 'https:';
}

function hasHost(location: string): boolean {
  return /^(?:[a-z][a-z0-9+.-]*:)?\/\//i.test(location);
}

/** Returns the failure of an unusable response, which a retry would not change. */
function failure(message: string, { headers }: Answer, cause?: unknown): HttpFailure {
  return new HttpFailure(message, 422, headers, { cause });
}

function reason(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause instanceof Error ? `${cause.message}: ${cause.cause.message}` : cause.message;
}
