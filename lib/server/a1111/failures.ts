/** Failures as A1111 tells them. */
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { SafelightError } from '../../errors.js';
import { type HttpFailure, httpFailure } from '../errors.js';
import { inFields } from './field-names.js';

/** What asks for something that Safelight does not do: 422, naming the field. */
export function notBuilt(field: string, instead: string): Error {
  return failure(422, `${field} asks for something that is not built into Safelight yet: ${instead}`);
}

/** @param status 4xx */
export function failure(status: number, message: string): Error {
  return Object.assign(new Error(message), { statusCode: status, code: 'A1111' });
}

export interface A1111Failure {
  readonly error: string;
  readonly detail: string;
  readonly body: string;
  readonly errors: string;
}

/** A request that was understood and is wrong is 422 here, as in FastAPI. Options are named by the fields that they came from. */
export function failureOf(error: unknown): HttpFailure {
  const found = httpFailure(error);
  if (found.code !== 'INVALID_OPTION') return found;
  if (hasZodFastifySchemaValidationErrors(error))
    return { ...found, status: 422, message: found.message.replace(/\.(\d+)(?=[.:])/g, '[$1]') };
  const message = error instanceof SafelightError ? inFields(found.message) : found.message;
  return { ...found, status: 422, message };
}

/** In A1111 the first field is the class of Python's exception. */
export function inItsForm({ status, code, message }: HttpFailure): A1111Failure {
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

/** A value of a request, for an error to quote. */
export function quoted(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}
