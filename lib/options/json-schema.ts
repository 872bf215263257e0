/** Options as JSON schemas: what a job may have, within the limits of whoever runs it, and what the OpenAPI document says of it. */
import { z } from 'zod';
import { descending } from './check.js';
import { boundOf, entriesOf, type Field, type Fields, travels } from './field.js';
import { INFINITY, isUnbounded } from './json.js';
import type { Limits } from './limits.js';
import { rangeOf } from './validate.js';

/** Pixels; a model's own grid is known once it is loaded. */
const SMALLEST_SIDE = 8;
/** Characters of a sampler's or schedule's name. */
const LONGEST_NAME = 100;

/** An image in a job: base64 or a data URI of an encoded one, or an earlier result. */
export const imageSchema = z
  .union([
    z.string().min(1),
    z.strictObject({ job: z.string().min(1).max(64), image: z.string().min(1).max(64) }),
  ])
  .describe('An image in base64 or as a data URI, or { job, image }: a result of an earlier job by its name');

/** A schema for each option that may be in a job, none of them required. */
export function shapeOf<const F extends Fields>(
  fields: F,
  limits: Limits,
): { [K in keyof F]: z.ZodOptional<z.ZodType> } {
  const shape = entriesOf(fields)
    .filter(([, field]) => travels(field))
    .map(([name, field]) => [name, schemaOf(field, limits).optional()]);
  return Object.fromEntries(shape) as { [K in keyof F]: z.ZodOptional<z.ZodType> };
}

export function schemaOf(field: Field, limits: Limits): z.ZodType {
  const { description } = field;
  return valueSchema(field, limits).describe(description.charAt(0).toUpperCase() + description.slice(1));
}

function valueSchema(field: Field, limits: Limits): z.ZodType {
  const [min, max] = rangeOf(field, limits);
  switch (field.kind) {
    case 'number': {
      const from = field.above ? z.number().gt(min) : z.number().min(min);
      return isUnbounded(field) ? orInfinity(from) : from.max(max);
    }
    case 'integer':
      return z.int().min(min).max(max);
    case 'side':
      return z.int().min(SMALLEST_SIDE).max(limits.maxSide);
    case 'seed':
      return z
        .int()
        .min(-1)
        .max(Number.MAX_SAFE_INTEGER - limits.maxCount);
    case 'boolean':
      return z.boolean();
    case 'choice':
      return z.enum(field.values);
    case 'name':
      return z.string().max(LONGEST_NAME);
    case 'text':
      return z.string().max(boundOf(field.max, limits));
    case 'image':
      return imageSchema;
    case 'interval': {
      const finite = z.number().min(min);
      const end = isUnbounded(field) ? orInfinity(finite) : finite.max(max);
      return z.tuple([end, end]);
    }
    case 'descending':
      return z
        .array(z.union([z.number().min(min).max(max), z.literal(0)]))
        .min(1)
        .max(boundOf(field.most, limits) + 1)
        .superRefine((values, context) => {
          try {
            descending('these', values, min, max, boundOf(field.most, limits));
          } catch (error) {
            context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : 'wrong' });
          }
        });
    case 'pair': {
      const one = z.number().min(min).max(max);
      return z.union([one, z.array(one).length(2)]);
    }
    case 'size':
      return z.strictObject({ width: z.int().min(min).max(max), height: z.int().min(min).max(max) });
    case 'custom':
      return field.schema?.(limits) ?? z.never();
    case 'object':
      return z.strictObject(shapeOf(field.fields, limits));
  }
}

function orInfinity(schema: z.ZodType): z.ZodType {
  return z.union([schema, z.literal(INFINITY)]);
}
