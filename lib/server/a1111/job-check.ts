/**
 * Validates a job before submission, with errors in terms of A1111's request: the field, its limit and the
 * received value.
 */
import type { z } from 'zod';
import type { Json } from '../../jobs/json.js';
import type { JobSchemas } from '../../jobs/schemas.js';
import type { JobRequest } from '../../jobs/types.js';
import { failure, quoted } from './failures.js';
import { fieldOf } from './field-names.js';
import type { GenerationBody } from './fields.js';

type Issue = z.core.$ZodIssue;

/** Validates the options of a job. @throws 422 with the first three invalid fields */
export function checkJob({ type, options }: JobRequest, body: GenerationBody, schemas: JobSchemas): void {
  const { error } = schemas[type].safeParse(options);
  if (!error) return;
  const messages = error.issues.flatMap(flatten).map((issue) => describeIssue(issue, options, body));
  throw failure(422, [...new Set(messages)].slice(0, 3).join('; '));
}

/**
 * Flattens the issues of a union to those of the variant that was probably intended: the first with an issue
 * inside it.
 */
function flatten(issue: Issue): Issue[] {
  if (issue.code !== 'invalid_union') return [issue];
  const intended = issue.errors.find((branch) => branch.some(({ path }) => path.length > 0));
  if (!intended) return [issue];
  return intended.flatMap((inner) => flatten({ ...inner, path: [...issue.path, ...inner.path] }));
}

function describeIssue(issue: Issue, options: Readonly<Record<string, Json>>, body: GenerationBody): string {
  const field = fieldIn(issue.path, body);
  if (issue.code === 'custom') return `${field}: ${issue.message}`;
  const value = issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown>)?.[key], options);
  const bound = boundOf(issue);
  if (!bound) return `${field}: ${issue.message}, received ${quoted(value)}`;
  const characters = typeof value === 'string' ? ' characters' : '';
  return `Expected ${field} ${bound}${characters}, received ${received(field, value, body)}${characters}`;
}

/** Returns the field of an option; some options come from several fields. */
function fieldIn(path: readonly PropertyKey[], body: GenerationBody): string {
  const option = path.join('.');
  const { mask_blur: both } = body as { readonly mask_blur?: unknown };
  if (path[0] === 'maskBlur' && both !== undefined && both !== null) return 'mask_blur';
  if (option === 'hires') {
    const { hr_resize_x: x, hr_resize_y: y } = body as { hr_resize_x?: unknown; hr_resize_y?: unknown };
    return x || y ? 'hr_resize_x and hr_resize_y' : 'hr_scale';
  }
  return fieldOf(option);
}

function boundOf(issue: Issue): string | undefined {
  if (issue.code === 'too_big')
    return `to be ${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}`;
  if (issue.code === 'too_small')
    return `to be ${issue.inclusive === false ? 'greater than' : 'at least'} ${issue.minimum}`;
  return undefined;
}

/** Formats the received value: sides before they are rounded down to the grid, texts by their length. */
function received(field: string, value: unknown, body: GenerationBody): string {
  const { batch_size: size, n_iter: batches } = body;
  if (field === 'batch_size * n_iter') return `${size ?? 1} * ${batches ?? 1} = ${Number(value)}`;
  if (typeof value === 'string') return String(value.length);
  const sent = (body as Readonly<Record<string, unknown>>)[field];
  return quoted(typeof sent === 'number' ? sent : value);
}
