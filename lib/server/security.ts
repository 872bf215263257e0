/** Who may call: on every route, before anything else is looked at. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { SafelightError } from '../errors.js';

export interface SecurityOptions {
  readonly host: string;
  readonly apiKey: string | undefined;
  readonly cors: readonly string[];
  readonly allowHost: readonly string[];
}

const COOKIE = 'safelight';
/** What anybody may see: whether the process lives, and the page, which asks for the key itself. */
const OPEN = /^\/(?:health\/(?:live|ready)|login|logout)?$|^\/assets\//;

/** Headers of requests that pages of other sites may send. */
const ALLOWED = [
  ...['accept', 'authorization', 'cache-control', 'content-type', 'idempotency-key', 'last-event-id'],
  ...['openai-beta', 'openai-organization', 'openai-project'],
  ...['x-api-key', 'x-request-id', 'x-requested-with', 'x-safelight-client'],
];
/** OpenAI's SDK describes itself by a changing set of these. */
const SDK_HEADER = /^x-stainless-[a-z0-9-]{1,60}$/;
/** Headers of answers that they may read. */
const EXPOSED = 'content-disposition, content-length, location, retry-after, x-request-id';

/** @throws INVALID_OPTION for an address that others can reach without a key */
export function checkReach({ host, apiKey }: Pick<SecurityOptions, 'host' | 'apiKey'>): void {
  if (apiKey !== undefined || isLoopback(host)) return;
  throw new SafelightError(
    'INVALID_OPTION',
    `--host ${host} lets others on the network in, and without --api-key any of them could use this machine: give --api-key KEY, or stay on 127.0.0.1`,
  );
}

function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '').toLowerCase();
  return name === 'localhost' || name === '::1' || /^127(?:\.\d{1,3}){3}$/.test(name);
}

/** Adds the checks, the headers that every answer carries, and the page's login. */
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
        'This server asks for its API key: as a Bearer token, or as the password of Basic',
      );
    }
  });
  if (key !== undefined) addLogin(app, key);
}

function addLogin(app: FastifyInstance, key: string): void {
  const attributes = 'Path=/; HttpOnly; SameSite=Strict';
  app.post('/login', { schema: { hide: true }, config: { body: true } }, async (request, reply) => {
    const { key: given } = (request.body ?? {}) as { key?: unknown };
    if (typeof given !== 'string' || !same(given, key))
      throw denied(401, 'UNAUTHORIZED', 'That is not the key');
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

/** A page of another site whose name was made to point here (DNS rebinding) still says its own name. */
function checkHost(request: FastifyRequest, { host, apiKey, allowHost }: SecurityOptions): void {
  const name = (request.host ?? '').replace(/:\d+$/, '').toLowerCase();
  if (
    isLoopback(name) ||
    name === host.toLowerCase() ||
    allowHost.some((allowed) => allowed.toLowerCase() === name)
  )
    return;
  // Reached from elsewhere, the name is anyone's choice; the key is what counts.
  if (!isLoopback(host) && apiKey !== undefined && allowHost.length === 0) return;
  throw denied(
    403,
    'FORBIDDEN',
    `This server is not called ${JSON.stringify(name.slice(0, 100))}; --allow-host adds a name`,
  );
}

/** @returns whether this is a preflight, answered by the headers alone */
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
  if (request.method === 'GET' || request.method === 'HEAD') return false; // the browser keeps the answer from the other site
  throw denied(
    403,
    'FORBIDDEN',
    'Pages of other sites may not call this server; --cors ORIGIN lists those that may',
  );
}

/** The headers that may be sent: all that are known, and those of OpenAI's SDK that were asked for. */
function allowedHeaders(asked: string | string[] | undefined): string {
  const names = String(asked ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => SDK_HEADER.test(name));
  return [...new Set([...ALLOWED, ...names])].join(', ');
}

/** As a browser writes it: `https://Studio.example/` is configured as a site, too. */
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
  if (scheme.toLowerCase() === 'bearer') return same(value, key);
  if (scheme.toLowerCase() === 'basic') {
    const text = Buffer.from(value, 'base64').toString('utf8');
    return text.includes(':') && same(text.slice(text.indexOf(':') + 1), key);
  }
  const cookie = /(?:^|;\s*)safelight=([0-9a-f]+)/.exec(request.headers.cookie ?? '')?.[1];
  return cookie !== undefined && same(cookie, session(key));
}

/** What the page's cookie holds: proof of the key, not the key. */
function session(key: string): string {
  return createHmac('sha256', key).update('safelight session').digest('hex');
}

/** In a time that does not tell how much of it is right. */
function same(given: string, wanted: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '';
}

/** An error that `httpFailure` gives this status. */
function denied(statusCode: number, code: string, message: string): Error {
  return Object.assign(new Error(message), { statusCode, code });
}
