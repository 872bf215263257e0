/** Failures as A1111 tells them. */
import { type HttpFailure, httpFailure } from '../errors.js';

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

/** A request that was understood and is wrong is 422 here, as in FastAPI. */
export function failureOf(error: unknown): HttpFailure {
  const found = httpFailure(error);
  return found.code === 'INVALID_OPTION' ? { ...found, status: 422 } : found;
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
