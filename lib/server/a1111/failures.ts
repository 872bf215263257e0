/** Errors in A1111's format. */
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { SafelightError } from '../../errors.js';
import { type HttpFailure, toHttpFailure } from '../errors.js';
import { withFieldNames } from './field-names.js';

/** Returns the error for a request that Safelight does not support: status 422 with the name of the field. */
export function notSupported(field: string, hint: string): Error {
  return failure(422, `${field} is not supported by Safelight: ${hint}`);
}

/** @param status HTTP status, 4xx */
export function failure(status: number, message: string): Error {
  return Object.assign(new Error(message), { statusCode: status, code: 'A1111' });
}

export interface A1111Failure {
  readonly error: string;
  readonly detail: string;
  readonly body: string;
  readonly errors: string;
}

/**
 * Converts an error to an HTTP failure. Invalid requests have status 422, as in FastAPI, and messages name A1111's
 * fields instead of pipeline options.
 */
export function failureOf(error: unknown): HttpFailure {
  const result = toHttpFailure(error);
  if (result.code !== 'INVALID_OPTION') return result;
  if (hasZodFastifySchemaValidationErrors(error))
    return { ...result, status: 422, message: result.message.replace(/\.(\d+)(?=[.:])/g, '[$1]') };
  const message = error instanceof SafelightError ? withFieldNames(result.message) : result.message;
  return { ...result, status: 422, message };
}

/** Formats a failure as A1111's error body, whose `error` field is the class of a Python exception. */
export function errorBody({ status, code, message }: HttpFailure): A1111Failure {
  const names: Record<string, string> = {
    OUT_OF_MEMORY: 'OutOfMemoryError',
    DOES_NOT_FIT: 'OutOfMemoryError',
    INVALID_OPTION: 'RequestValidationError',
  };
  return {
    error: names[code] ?? (status >= 500 ? 'RuntimeError' : 'HTTPException'),
    detail: message,
    body: '',
    errors: message,
  };
}

/** Quotes a value of a request for an error message, shortened to 100 characters. */
export function quoted(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}
