/**
 * Request bodies on all routes: ignored by routes that read none, and answered with clear errors by routes that
 * require one.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { SafelightError } from '../errors.js';

interface Schema {
  safeParse(value: unknown): { readonly success: boolean };
}

/** Installs the body parsers. Call it before any route is registered, so that all routes inherit them. */
export function acceptBodies(app: FastifyInstance): void {
  // `curl -d ''` and urllib send a content type without a body.
  app.addHook('onRequest', async ({ headers, method }) => {
    if (method === 'GET' || method === 'HEAD') return;
    const { 'content-length': length, 'transfer-encoding': encoding } = headers;
    const isEmpty = encoding === undefined && Number(length ?? 0) === 0;
    // An invalid media type is treated like none, so that the error names the expected one.
    if (isEmpty || !/^[^\s/;]+\/[^\s/;]+/.test(headers['content-type'] ?? '')) delete headers['content-type'];
  });
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeContentTypeParser(['application/json', 'text/plain']);
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    const text = String(body);
    if (text.trim() === '' || isIgnored(request)) done(null, undefined);
    else parse(request, text, done);
  });
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => {
    if (body.length === 0 || isIgnored(request)) done(null, undefined);
    else done(unsupported(request));
  });
  app.addHook('preValidation', async (request) => {
    const schema = bodySchema(request);
    if (schema === undefined || request.body !== undefined) return;
    // If all fields are optional, a missing body is treated like an empty object.
    if (schema.safeParse({}).success) request.body = {};
    else
      throw new SafelightError(
        'INVALID_OPTION',
        'This request requires a JSON body with content-type: application/json',
      );
  });
}

/** Returns true if the route reads no body: it has no body schema and accepts neither forms nor a login. */
function isIgnored(request: FastifyRequest): boolean {
  const { schema, config } = request.routeOptions;
  return schema?.body === undefined && schema?.consumes === undefined && !('body' in config);
}

function bodySchema(request: FastifyRequest): Schema | undefined {
  const body = request.routeOptions.schema?.body;
  return typeof body === 'object' && body !== null && 'safeParse' in body ? (body as Schema) : undefined;
}

/** Returns the error for an unsupported content type; `toHttpFailure` reads its status. */
function unsupported(request: FastifyRequest): Error {
  const { schema } = request.routeOptions;
  const expected = schema?.consumes?.join(' or ') ?? 'application/json';
  const contentType = request.headers['content-type'];
  const received =
    contentType === undefined
      ? 'received none that names a media type'
      : `received ${JSON.stringify(contentType.slice(0, 100))}`;
  const message = `Expected a body with content-type: ${expected}; ${received}`;
  return Object.assign(new Error(message), { statusCode: 415, code: 'UNSUPPORTED_MEDIA_TYPE' });
}
