/** What a job may be asked, said of the request that it comes from: which field is wrong, its bound, and what it was given. */
import type { z } from 'zod';
import type { Json } from '../../jobs/json.js';
import type { JobSchemas } from '../../jobs/schemas.js';
import type { JobRequest } from '../../jobs/types.js';
import { failure, quoted } from './failures.js';
import { fieldOf } from './field-names.js';
import type { GenerationBody } from './fields.js';

type Issue = z.core.$ZodIssue;

/** @throws 422 naming the fields, the first three that are wrong */
export function checkJob({ type, options }: JobRequest, body: GenerationBody, schemas: JobSchemas): void {
  const { error } = schemas[type].safeParse(options);
  if (!error) return;
  const said = error.issues.flatMap(flat).map((issue) => sentence(issue, options, body));
  throw failure(422, [...new Set(said)].slice(0, 3).join('; '));
}

/** Of a choice of forms, what is wrong with the one that was meant: where the mistake lies inside of it. */
function flat(issue: Issue): Issue[] {
  if (issue.code !== 'invalid_union') return [issue];
  const meant = issue.errors.find((branch) => branch.some(({ path }) => path.length > 0));
  if (!meant) return [issue];
  return meant.flatMap((inner) => flat({ ...inner, path: [...issue.path, ...inner.path] }));
}

function sentence(issue: Issue, options: Readonly<Record<string, Json>>, body: GenerationBody): string {
  const field = fieldIn(issue.path, body);
  if (issue.code === 'custom') return `${field}: ${issue.message}`;
  const value = issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown>)?.[key], options);
  const bound = boundOf(issue);
  if (!bound) return `${field}: ${issue.message}, received ${quoted(value)}`;
  const characters = typeof value === 'string' ? ' characters' : '';
  return `Expected ${field} ${bound}${characters}, received ${received(field, value, body)}${characters}`;
}

/** Both sides and the number of images have several fields. */
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
    return `${issue.inclusive === false ? 'below' : 'of at most'} ${issue.maximum}`;
  if (issue.code === 'too_small')
    return `${issue.inclusive === false ? 'above' : 'of at least'} ${issue.minimum}`;
  return undefined;
}

/** As the request has it: sides before they are rounded down to the grid, texts by their length. */
function received(field: string, value: unknown, body: GenerationBody): string {
  const { batch_size: size, n_iter: batches } = body;
  if (field === 'batch_size * n_iter') return `${size ?? 1} * ${batches ?? 1} = ${Number(value)}`;
  if (typeof value === 'string') return String(value.length);
  const sent = (body as Readonly<Record<string, unknown>>)[field];
  return quoted(typeof sent === 'number' ? sent : value);
}
