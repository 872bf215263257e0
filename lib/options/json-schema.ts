/** JSON schemas of options, for validating jobs within the limits of a server and for the OpenAPI document. */
import { z } from 'zod';
import { descending } from './check.js';
import { boundOf, type ChoiceField, entriesOf, type Field, type Fields, isSerializable } from './field.js';
import { INFINITY, isUnbounded } from './json.js';
import type { Limits } from './limits.js';
import { fileNamePattern, MAX_FILE_NAME, rangeOf } from './validate.js';

/** The used parts of zod; passing all of it would put its 50 languages into the bundle. */
const zodParts = { array: z.array, strictObject: z.strictObject, string: z.string };

/** Smallest side length in pixels; the model's own divisor is checked once it is loaded. */
const MIN_SIDE = 8;
/** Longest name of a sampler or schedule, in characters. */
const MAX_NAME_LENGTH = 100;

/** An image in a job: an encoded image in base64 or as a data URI, or the result of an earlier job. */
export const imageSchema = z
  .union([
    z.string().min(1),
    z.strictObject({ job: z.string().min(1).max(64), image: z.string().min(1).max(64) }),
  ])
  .describe('Image in base64 or as a data URI, or { job, image }: a result of an earlier job by its name');

/** Returns optional schemas of all options that can be stored in a job. */
export function shapeOf<const F extends Fields>(
  fields: F,
  limits: Limits,
): { [K in keyof F]: z.ZodOptional<z.ZodType> } {
  const shape = entriesOf(fields)
    .filter(([, field]) => isSerializable(field))
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
      return z.int().min(MIN_SIDE).max(limits.maxSide);
    case 'seed':
      return z
        .int()
        .min(-1)
        .max(Number.MAX_SAFE_INTEGER - limits.maxCount);
    case 'boolean':
      return z.boolean();
    case 'choice':
      return field.orFile === undefined ? z.enum(field.values) : nameOrChoice(field, field.orFile);
    case 'name':
      return z.string().max(MAX_NAME_LENGTH);
    case 'text':
      return z.string().max(boundOf(field.max, limits));
    case 'image':
      return imageSchema;
    case 'interval': {
      const finite = z.number().min(min);
      const end = isUnbounded(field) ? orInfinity(finite) : finite.max(max);
      return z.tuple([end, end]);
    }
    case 'numbers':
      return z.array(z.number().min(min).max(max)).length(field.names.length);
    case 'descending':
      return z
        .array(z.union([z.number().min(min).max(max), z.literal(0)]))
        .min(1)
        .max(boundOf(field.maxPositive, limits) + 1)
        .superRefine((values, context) => {
          try {
            descending('sigmas', values, min, max, boundOf(field.maxPositive, limits));
          } catch (error) {
            context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : 'invalid' });
          }
        });
    case 'pair': {
      const item = z.number().min(min).max(max);
      return z.union([item, z.array(item).length(2)]);
    }
    case 'size':
      return z.strictObject({ width: z.int().min(min).max(max), height: z.int().min(min).max(max) });
    case 'custom':
      return field.schema?.(limits, { z: zodParts, image: imageSchema }) ?? z.never();
    case 'object':
      return z.strictObject(shapeOf(field.fields, limits));
  }
}

/** Accepts the choices and names of files in the server's folder, but no paths. */
function nameOrChoice({ values }: ChoiceField, kind: string): z.ZodType {
  const expected = `expected one of ${values.join(', ')}, or the name of an ${kind} without a path`;
  const name = z.string().min(1).max(MAX_FILE_NAME).regex(fileNamePattern, expected);
  return z.union([z.enum(values), name], { error: expected });
}

function orInfinity(schema: z.ZodType): z.ZodType {
  return z.union([schema, z.literal(INFINITY)]);
}
