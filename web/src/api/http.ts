/** Requests to the server that served this page. */

/** An error with a message for the user: the server's message, or that the server does not respond. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return send<T>('GET', path, undefined, signal);
}

export async function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  return send<T>('POST', path, body, signal);
}

export async function put<T>(path: string, body: unknown): Promise<T> {
  return send<T>('PUT', path, body);
}

export async function remove<T>(path: string): Promise<T> {
  return send<T>('DELETE', path);
}

/**
 * Returns the path of a result, as a job's `url` of it. The page may be served below a base path, so all its requests
 * are relative to its own address.
 */
export function resultPath(job: string, name: string): string {
  return new URL(`v1/jobs/${job}/files/${name}`, document.baseURI).pathname;
}

async function send<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: {
        'x-safelight-client': 'page',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, 'OFFLINE', 'The server does not respond. Is it still running?');
  }
  const parsed = parse(await response.text());
  if (response.ok) return parsed as T;
  const { error } = (parsed ?? {}) as { error?: { code?: string; message?: string } };
  throw new ApiError(
    response.status,
    error?.code ?? '',
    error?.message ?? `The server responded with status ${response.status}`,
  );
}

/** Parses JSON; returns undefined for anything else, such as an HTML error page of a proxy. */
function parse(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
