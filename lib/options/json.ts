/**
 * Options as JSON, in jobs and in the PNG text chunk `safelight`. Infinity, which JSON cannot represent, becomes the
 * string "Infinity".
 */

import { oneOf } from '../known-keys.js';
import { entriesOf, type Field, type Fields, type OptionsOf } from './field.js';
import { type CheckContext, checkGiven, isPlainFileName } from './validate.js';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export const INFINITY = 'Infinity';

/** True for options whose numbers have no upper bound. */
export function isUnbounded(field: Field): boolean {
  return (field.kind === 'number' || field.kind === 'interval') && field.max === Number.POSITIVE_INFINITY;
}

/** Converts options to JSON. Omits undefined values and values that JSON cannot represent, such as encoded images. */
export function toJson(options: { readonly [name: string]: unknown }): Record<string, Json> {
  return Object.fromEntries(
    Object.entries(options).flatMap(([name, value]): [string, Json][] => {
      const json = jsonOf(value);
      return json === undefined ? [] : [[name, json]];
    }),
  );
}

function jsonOf(value: unknown): Json | undefined {
  if (value === Number.POSITIVE_INFINITY) return INFINITY;
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (Array.isArray(value)) return value.map((item) => jsonOf(item) ?? null);
  return isPlain(value) ? toJson(value) : undefined;
}

/**
 * Parses and validates options from JSON.
 * @throws INVALID_OPTION naming the option, also for an unknown one
 */
export function fromJson<const F extends Fields>(
  fields: F,
  json: unknown,
  context: CheckContext = {},
): OptionsOf<F> {
  return checkGiven(fields, isPlain(json) ? valuesFromJson(fields, json) : json, context);
}

/** Restores infinite numbers. @throws INVALID_OPTION for the path of a file */
function valuesFromJson(fields: Fields, json: { readonly [name: string]: unknown }): Record<string, unknown> {
  const values: Record<string, unknown> = { ...json };
  for (const [name, field] of entriesOf(fields)) {
    const value = values[name];
    if (field.kind === 'object' && isPlain(value)) values[name] = valuesFromJson(field.fields, value);
    else if (field.kind === 'choice' && field.orFile !== undefined && value !== undefined) {
      if (!isPlainFileName(value)) oneOf(name, value, field.values);
    } else if (isUnbounded(field))
      values[name] = Array.isArray(value) ? value.map(numberFromJson) : numberFromJson(value);
    if (values[name] === undefined) delete values[name];
  }
  return values;
}

function numberFromJson(value: unknown): unknown {
  return value === INFINITY ? Number.POSITIVE_INFINITY : value;
}

function isPlain(value: unknown): value is { readonly [name: string]: unknown } {
  return (
    typeof value === 'object' &&
    value !== null &&
    [Object.prototype, null].includes(Object.getPrototypeOf(value))
  );
}
