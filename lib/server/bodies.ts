/** Bodies of requests on all routes: ignored where none is expected, and clear about what is wanted where one is. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { SafelightError } from '../errors.js';

interface Schema {
  safeParse(value: unknown): { readonly success: boolean };
}

/** To be called before any route is registered, so that every route inherits it. */
export function acceptBodies(app: FastifyInstance): void {
  // `curl -d ''` and urllib name a content type for a body that is not there.
  app.addHook('onRequest', async ({ headers, method }) => {
    if (method === 'GET' || method === 'HEAD') return;
    const { 'content-length': length, 'transfer-encoding': encoding } = headers;
    const isEmpty = encoding === undefined && Number(length ?? 0) === 0;
    // One that is no media type is as good as none: the answer says what to send.
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
    // Nothing is as good as an empty object where every field may be left out.
    if (schema.safeParse({}).success) request.body = {};
    else
      throw new SafelightError(
        'INVALID_OPTION',
        'This request needs a body: send JSON, with content-type: application/json',
      );
  });
}

/** Whether the route reads no body: it has no schema for one, and does not take forms or a login. */
function isIgnored(request: FastifyRequest): boolean {
  const { schema, config } = request.routeOptions;
  return schema?.body === undefined && schema?.consumes === undefined && !('body' in config);
}

function bodySchema(request: FastifyRequest): Schema | undefined {
  const body = request.routeOptions.schema?.body;
  return typeof body === 'object' && body !== null && 'safeParse' in body ? (body as Schema) : undefined;
}

/** An error that `httpFailure` gives its status. */
function unsupported(request: FastifyRequest): Error {
  const { schema } = request.routeOptions;
  const wanted = schema?.consumes?.join(' or ') ?? 'application/json';
  const given = request.headers['content-type'];
  const received =
    given === undefined
      ? 'none was given that names a media type'
      : `received ${JSON.stringify(given.slice(0, 100))}`;
  const message = `Send the body with content-type: ${wanted}; ${received}`;
  return Object.assign(new Error(message), { statusCode: 415, code: 'UNSUPPORTED_MEDIA_TYPE' });
}
