/** Maps typed errors to HTTP statuses. */

import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { defined } from '../defined.js';
import { type ErrorCode, SafelightError } from '../errors.js';
import { describeIssues } from '../jobs/schemas.js';

const STATUS: Readonly<Record<ErrorCode, number>> = {
  INVALID_OPTION: 400,
  FILE_NOT_FOUND: 404,
  FILE_NOT_WRITTEN: 507,
  INVALID_FILE: 500,
  UNSUPPORTED_MODEL: 422,
  MISSING_TENSOR: 500,
  SHAPE_MISMATCH: 422,
  MODEL_NOT_FOUND: 404,
  ACCESS_DENIED: 403,
  DOWNLOAD_FAILED: 502,
  CHECKSUM_MISMATCH: 502,
  DATA_IN_USE: 503,
  QUEUE_FULL: 429,
  QUEUE_UNAVAILABLE: 503,
  ADAPTER_NOT_FOUND: 404,
  ADAPTER_MISMATCH: 422,
  UNSUPPORTED_ADAPTER: 422,
  INVALID_IMAGE: 400,
  NOT_FINITE: 422,
  DOES_NOT_FIT: 507,
  OUT_OF_MEMORY: 507,
  ABORTED: 499,
  DISPOSED: 503,
  BINARY_NOT_FOUND: 500,
  PACKAGE_NOT_FOUND: 501,
  BACKEND_UNAVAILABLE: 503,
  INTERNAL: 500,
};

/** A failure of a request, which each API converts to its own error format. */
export interface HttpFailure {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  /** Seconds after which the request can be retried. */
  readonly retryAfter?: number;
}

/**
 * Converts an error to an HTTP failure. Messages of unexpected errors may contain internal details, so clients get
 * a generic one and the log the original.
 */
export function toHttpFailure(error: unknown): HttpFailure {
  if (error instanceof SafelightError) {
    const retryAfter =
      'retryAfter' in error && typeof error.retryAfter === 'number' ? error.retryAfter : undefined;
    return defined({ status: STATUS[error.code], code: error.code, message: error.message, retryAfter });
  }
  if (hasZodFastifySchemaValidationErrors(error)) {
    return {
      status: 400,
      code: 'INVALID_OPTION',
      message: `Invalid request: ${describeIssues(error.validation.map(({ instancePath, message = '' }) => ({ path: instancePath.split('/').slice(1), message })))}`,
    };
  }
  // Fastify's errors, such as a body that is too large or not JSON, carry a status.
  const { statusCode, code, message } = error as { statusCode?: unknown; code?: unknown; message?: unknown };
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500)
    return {
      status: statusCode,
      code: typeof code === 'string' ? code : 'BAD_REQUEST',
      message: String(message),
    };
  return {
    status: 500,
    code: 'INTERNAL',
    message: 'Internal error; see the log of the server',
  };
}
