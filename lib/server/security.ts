/**
 * Access control of all routes: host names, origins and the API key. It runs before anything else in a request is
 * processed.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { SafelightError } from '../errors.js';

export interface SecurityOptions {
  /** Path that limits the session cookie, such as `/safelight`; empty without one. */
  readonly basePath: string;
  readonly host: string;
  readonly apiKey: string | undefined;
  readonly cors: readonly string[];
  readonly allowHost: readonly string[];
}

const COOKIE = 'safelight';
/** Paths that require no key: health checks and the web page, which shows a login form. */
const OPEN = /^\/(?:health\/(?:live|ready)|login|logout)?$|^\/assets\//;

/** Request headers that pages of other sites may send. */
const ALLOWED = [
  ...['accept', 'authorization', 'cache-control', 'content-type', 'idempotency-key', 'last-event-id'],
  ...['mcp-method', 'mcp-name', 'mcp-protocol-version', 'mcp-session-id'],
  ...['openai-beta', 'openai-organization', 'openai-project'],
  ...['x-api-key', 'x-request-id', 'x-requested-with', 'x-safelight-client'],
];
/** OpenAI's SDK describes itself with a varying set of these headers. */
const SDK_HEADER = /^x-stainless-[a-z0-9-]{1,60}$/;
/** Response headers that pages of other sites may read. */
const EXPOSED = 'content-disposition, content-length, location, mcp-session-id, retry-after, x-request-id';

/** Checks that a server reachable from other machines has a key. @throws INVALID_OPTION otherwise */
export function checkReach({ host, apiKey }: Pick<SecurityOptions, 'host' | 'apiKey'>): void {
  if (apiKey !== undefined || isLoopback(host)) return;
  throw new SafelightError(
    'INVALID_OPTION',
    `--host ${host} makes the server reachable from the network, where anyone could use it without a key; pass --api-key KEY or use --host 127.0.0.1`,
  );
}

function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '').toLowerCase();
  return name === 'localhost' || name === '::1' || /^127(?:\.\d{1,3}){3}$/.test(name);
}

/** Adds the access checks, the headers of every response, and the login of the web page. */
export function addSecurity(app: FastifyInstance, options: SecurityOptions): void {
  const key = options.apiKey;
  app.addHook('onRequest', async (request, reply) => {
    addHeaders(reply);
    reply.header('x-request-id', request.id);
    checkHost(request, options);
    if (checkOrigin(request, reply, options)) return reply.code(204).send();
    if (key !== undefined && !OPEN.test(pathOf(request)) && !isAuthorized(request, key)) {
      if (pathOf(request).startsWith('/sdapi')) reply.header('www-authenticate', 'Basic realm="Safelight"');
      throw denied(
        401,
        'UNAUTHORIZED',
        'This server requires its API key, as a Bearer token or as the password of Basic authentication',
      );
    }
  });
  if (key !== undefined) addLogin(app, key, options.basePath);
}

function addLogin(app: FastifyInstance, key: string, basePath: string): void {
  const attributes = `Path=${basePath || '/'}; HttpOnly; SameSite=Strict`;
  app.post('/login', { schema: { hide: true }, config: { body: true } }, async (request, reply) => {
    const { key: candidate } = (request.body ?? {}) as { key?: unknown };
    if (typeof candidate !== 'string' || !isSame(candidate, key))
      throw denied(401, 'UNAUTHORIZED', 'Wrong API key');
    const secure = request.protocol === 'https' ? '; Secure' : '';
    reply.header('set-cookie', `${COOKIE}=${session(key)}; ${attributes}${secure}; Max-Age=31536000`);
    return { ok: true };
  });
  app.post('/logout', { schema: { hide: true } }, async (_, reply) => {
    reply.header('set-cookie', `${COOKIE}=; ${attributes}; Max-Age=0`);
    return { ok: true };
  });
}

function addHeaders(reply: FastifyReply): void {
  reply.headers({
    'content-security-policy':
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; manifest-src 'self'; " +
      "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
  });
}

/**
 * Rejects unknown host names. A page of another site whose name was made to resolve to this server (DNS rebinding)
 * still sends its own name.
 */
function checkHost(request: FastifyRequest, { host, apiKey, allowHost }: SecurityOptions): void {
  const name = (request.host ?? '').replace(/:\d+$/, '').toLowerCase();
  if (
    isLoopback(name) ||
    name === host.toLowerCase() ||
    allowHost.some((allowed) => allowed.toLowerCase() === name)
  )
    return;
  // A server that is reachable from the network accepts any host name, because the key protects it.
  if (!isLoopback(host) && apiKey !== undefined && allowHost.length === 0) return;
  throw denied(
    403,
    'FORBIDDEN',
    `Host name ${JSON.stringify(name.slice(0, 100))} is not allowed; add it with --allow-host`,
  );
}

/** Checks the origin and adds CORS headers. @returns true for a preflight request, which needs only the headers */
function checkOrigin(request: FastifyRequest, reply: FastifyReply, { cors }: SecurityOptions): boolean {
  const { origin } = request.headers;
  if (origin === undefined) return false;
  if (cors.some((site) => originOf(site) === originOf(origin))) {
    reply.headers({
      'access-control-allow-origin': origin,
      vary: 'origin',
      'cross-origin-resource-policy': 'cross-origin',
      'access-control-expose-headers': EXPOSED,
    });
    if (request.method !== 'OPTIONS') return false;
    reply.headers({
      'access-control-allow-methods': 'GET, POST, PUT, DELETE',
      'access-control-allow-headers': allowedHeaders(request.headers['access-control-request-headers']),
      'access-control-max-age': '600',
    });
    return true;
  }
  if (sameOrigin(origin, request.host)) return false;
  if (request.method === 'GET' || request.method === 'HEAD') return false; // the browser hides the response from the other site
  throw denied(
    403,
    'FORBIDDEN',
    'Pages of other sites may not call this server; allow them with --cors ORIGIN',
  );
}

/** Returns the allowed request headers: the fixed list, and the requested headers of OpenAI's SDK. */
function allowedHeaders(requested: string | string[] | undefined): string {
  const names = String(requested ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => SDK_HEADER.test(name));
  return [...new Set([...ALLOWED, ...names])].join(', ');
}

/** Normalizes a configured site to its origin, so that `https://Studio.example/` is accepted too. */
function originOf(site: string): string {
  try {
    const { origin } = new URL(site);
    return origin === 'null' ? site : origin;
  } catch {
    return site;
  }
}

function sameOrigin(origin: string, host: string): boolean {
  try {
    return new URL(origin).host === new URL(`http://${host}`).host;
  } catch {
    return false;
  }
}

function isAuthorized(request: FastifyRequest, key: string): boolean {
  const [scheme = '', value = ''] = (request.headers.authorization ?? '').split(/ +/, 2);
  if (scheme.toLowerCase() === 'bearer') return isSame(value, key);
  if (scheme.toLowerCase() === 'basic') {
    const text = Buffer.from(value, 'base64').toString('utf8');
    return text.includes(':') && isSame(text.slice(text.indexOf(':') + 1), key);
  }
  const cookie = /(?:^|;\s*)safelight=([0-9a-f]+)/.exec(request.headers.cookie ?? '')?.[1];
  return cookie !== undefined && isSame(cookie, session(key));
}

/** Returns the value of the session cookie, which proves knowledge of the key without containing it. */
function session(key: string): string {
  return createHmac('sha256', key).update('safelight session').digest('hex');
}

/** Compares in constant time. */
function isSame(candidate: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(candidate), digest(expected));
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '';
}

/** Returns an error whose status is read by `toHttpFailure`. */
function denied(statusCode: number, code: string, message: string): Error {
  return Object.assign(new Error(message), { statusCode, code });
}
