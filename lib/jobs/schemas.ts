/**
 * Schemas of the options of each job type: the pipeline's options under their TypeScript names, within the
 * server's limits.
 */
import { z } from 'zod';
import { encodeSizeFields, sampleFields } from '../options/declarations/autoregressive.js';
import { commonFields } from '../options/declarations/generation.js';
import { hiresFields } from '../options/declarations/hires.js';
import { maskFields } from '../options/declarations/mask.js';
import { sourceFields } from '../options/declarations/source.js';
import { conditionFields } from '../options/declarations/text.js';
import { upscaleFields } from '../options/declarations/upscale.js';
import { imageSchema, shapeOf } from '../options/json-schema.js';
import { type Limits, serverLimits } from '../options/limits.js';
import { replacedBySigmas } from '../options/settings/sampling.js';
import { fileNamePattern, MAX_FILE_NAME } from '../options/validate.js';
import type { JobType } from './types.js';

/** Limits that a server sets; the pipeline's own limits are wider. */
export type JobLimits = Limits;
export const defaultLimits: JobLimits = serverLimits;

const upscalerName = z
  .string()
  .min(1)
  .max(MAX_FILE_NAME)
  .regex(fileNamePattern, 'expected a name, not a path');
const earlierInput = z.strictObject({ job: z.string().max(64), input: z.string().max(64) });

const anyInput = z.union([imageSchema, earlierInput]);

/** Returns the option fields of each job type. */
export function jobShapes(limits: JobLimits) {
  const common = shapeOf(commonFields, limits);
  const generation = { ...common, prompt: common.prompt.default('') };
  const fromImage = { ...generation, ...shapeOf(sourceFields, limits), init: imageSchema };
  const size = shapeOf(encodeSizeFields, limits);
  const label = shapeOf({ class: conditionFields.class }, limits);
  const { count: _count, batch: _batch, ...single } = generation;
  const axis = z
    .string()
    .min(1)
    .max(10 * limits.maxPrompt);
  const row = z.array(z.int().min(0).max(1e7)).min(1).max(4096);
  const codes = {
    ...shapeOf(sampleFields, limits),
    start: z.array(row).min(1).max(4096).optional().describe('rows of code indices to start from'),
  };
  return {
    'text-to-image': { ...generation, ...shapeOf(hiresFields, limits) },
    'image-to-image': fromImage,
    inpaint: {
      ...fromImage,
      ...shapeOf(maskFields, limits),
      mask: imageSchema.describe('mask image: white areas are generated, black areas are kept'),
    },
    reconstruct: { image: imageSchema, ...size },
    sketch: { ...codes, image: imageSchema.describe('the sketch image') },
    sample: { ...codes, ...label },
    upscale: {
      image: imageSchema.describe('the image to upscale'),
      upscaler: upscalerName.describe('name of an upscaler model, or lanczos or nearest'),
      ...shapeOf(upscaleFields, limits),
      second: z
        .strictObject({
          upscaler: upscalerName,
          visibility: z.number().min(0).max(1).optional().describe('share of its result; default 1'),
        })
        .optional()
        .describe('a second upscaler, whose result is mixed with that of the first'),
    },
    score: { image: imageSchema, ...size, ...label },
    inside: {
      job: z.string().min(1).max(64).describe('id of the earlier job whose image is generated again'),
      picture: z
        .int()
        .min(0)
        .max(1e6)
        .optional()
        .describe('index of the image in that job; default 0, the first'),
      tensors: z
        .array(z.string().min(1).max(300))
        .max(32)
        .optional()
        .describe(
          'names of nodes to record, such as mid_block.resnets.0, decoder:decoder.mid_block or text_encoder:final_layer_norm',
        ),
    },
    grid: {
      ...single,
      ...shapeOf(hiresFields, limits),
      ...shapeOf({ ...sourceFields, ...maskFields }, limits),
      x: axis.optional().describe('columns: OPTION=VALUES, such as steps=4,8,12 or prompt-sr=red,green'),
      y: axis.optional().describe('rows, as x'),
      z: axis.optional().describe('further sheets, as x'),
    },
  } satisfies Record<JobType, z.ZodRawShape>;
}

/** Returns the option schema of each job type. */
export function jobSchemas(limits: JobLimits) {
  const shapes = jobShapes(limits);
  return {
    'text-to-image': within(limits, z.strictObject(shapes['text-to-image'])),
    'image-to-image': within(limits, z.strictObject(shapes['image-to-image'])),
    inpaint: within(limits, z.strictObject(shapes.inpaint)),
    reconstruct: within(limits, z.strictObject(shapes.reconstruct)),
    sketch: within(limits, z.strictObject(shapes.sketch)),
    sample: within(limits, z.strictObject(shapes.sample)),
    score: within(limits, z.strictObject(shapes.score)),
    upscale: z.strictObject(shapes.upscale),
    // The request body that `traceRequest` creates. `settings` were validated when the earlier job was
    // submitted.
    inside: z.strictObject({
      ...shapes.inside,
      settings: z.record(z.string(), z.unknown()),
      init: earlierInput.optional(),
      mask: earlierInput.optional(),
      regions: z.array(z.strictObject({ mask: earlierInput, prompt: z.string() })).optional(),
    }),
    // The request body, or the one that `continueRequest` creates.
    grid: within(
      limits,
      z.strictObject({
        ...shapes.grid,
        init: anyInput.optional(),
        mask: anyInput.optional(),
        regions: shapes.grid.regions.or(z.array(z.strictObject({ mask: earlierInput, prompt: z.string() }))),
        cells: z.array(z.strictObject({ cell: z.int().min(0), image: anyInput })).optional(),
        continues: z.string().optional(),
      }),
    ),
  } satisfies Record<JobType, z.ZodType>;
}

/** Returns the schema of the options of a grid's cell, other than its images. */
export function cellSchema(limits: JobLimits) {
  const {
    x: _x,
    y: _y,
    z: _z,
    init: _init,
    mask: _mask,
    regions: _regions,
    ...cell
  } = jobShapes(limits).grid;
  return within(limits, z.strictObject({ ...cell, count: z.literal(1) }));
}

export type JobSchemas = ReturnType<typeof jobSchemas>;

/** Formats the first three issues as `field: message`. */
export function describeIssues(
  issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[],
): string {
  return issues
    .slice(0, 3)
    .map(({ path, message }) => (path.length ? `${path.join('.')}: ${message}` : message))
    .join('; ');
}

/**
 * Adds checks across several fields: options that `sigmas` replaces are rejected, and so are images of more
 * than `maxPixels` pixels, including those of the second pass (hires fix).
 */
export function within<T extends z.ZodType<object>>(limits: JobLimits, schema: T): T {
  return schema.superRefine((options: Checked, context) => {
    const replaced =
      options.sigmas === undefined
        ? undefined
        : replacedBySigmas.find((name) => options[name] !== undefined && options[name] !== false);
    if (replaced !== undefined)
      context.addIssue({
        code: 'custom',
        path: [replaced],
        message: 'sigmas replace this option; omit it',
      });
    const { width = 512, height = 512, hires } = options;
    const scale = hires ? (hires.scale ?? 2) : 1;
    const pixels = (hires?.width ?? width * scale) * (hires?.height ?? height * scale);
    if (Math.max(pixels, width * height) <= limits.maxPixels) return;
    context.addIssue({
      code: 'custom',
      path: hires ? ['hires'] : ['width'],
      message: `The image would have ${Math.round(pixels)} pixels; this server generates at most ${limits.maxPixels}`,
    });
  });
}

interface Size {
  readonly width?: number | undefined;
  readonly height?: number | undefined;
}
type Checked = Sized & Partial<Record<'sigmas' | (typeof replacedBySigmas)[number], unknown>>;
interface Sized extends Size {
  readonly hires?: (Size & { readonly scale?: number | undefined }) | undefined;
}
