/** What each type of job may be asked: the pipeline's options by their own names, with the limits of whoever serves them. */
import { z } from 'zod';
import { resizeModes } from '../image/fit.js';
import type { JobType } from './types.js';

/** What a server allows; the pipeline's own bounds lie further out. */
export interface JobLimits {
  /** Pixels a side, and of a whole picture. */
  readonly maxSide: number;
  readonly maxPixels: number;
  readonly maxCount: number;
  readonly maxSteps: number;
  /** Characters. */
  readonly maxPrompt: number;
}

export const defaultLimits: JobLimits = {
  maxSide: 2048,
  maxPixels: 2048 * 2048,
  maxCount: 64,
  maxSteps: 150,
  maxPrompt: 10_000,
};

/** Base64 or a data URI of an encoded picture, an earlier result, or (once the job is submitted) a file of the job. */
const picture = z
  .union([
    z.string().min(1),
    z.strictObject({ job: z.string().min(1).max(64), image: z.string().min(1).max(64) }),
  ])
  .describe(
    'A picture in base64 or as a data URI, or { job, image }: a result of an earlier job by its name',
  );

const classIndex = z.int().min(0).max(1e6).describe('What to draw, of a class-conditional model');

const earlierInput = z.strictObject({ job: z.string().max(64), input: z.string().max(64) });

/** The fields of each type's options. */
export function jobShapes(limits: JobLimits) {
  const shared = sharedFields(limits);
  const generation = generationFields(limits, shared);
  const fromPicture = {
    ...generation,
    init: picture,
    strength: z.number().min(0).max(1).optional().describe('How far to go from init; default 0.75'),
    posterior: z.enum(['mean', 'sample']).optional(),
    resizeMode: z.enum(resizeModes).optional().describe('How init becomes the size asked for'),
    initialNoiseMultiplier: z.number().min(0).max(1.5).optional(),
  };
  const blur = z.number().min(0).max(64);
  const codes = codesFields(shared);
  const size = { width: shared.side.optional(), height: shared.side.optional() };
  return {
    'text-to-image': { ...generation, hires: hiresFields(shared).optional() },
    'image-to-image': fromPicture,
    inpaint: {
      ...fromPicture,
      mask: picture.describe('White is drawn anew, black stays'),
      maskBlur: z
        .union([blur, z.array(blur).length(2)])
        .optional()
        .describe('Pixels; two are across and down'),
      maskInvert: z.boolean().optional().describe('Draws black anew instead'),
      maskRound: z.boolean().optional(),
      fill: z.enum(['fill', 'original', 'noise', 'nothing']).optional(),
      onlyMasked: z.boolean().optional(),
      padding: z.int().min(0).max(16384).optional(),
    },
    reconstruct: { image: picture, ...size },
    sketch: { ...codes, image: picture.describe('The drawing') },
    sample: { ...codes, class: classIndex.optional() },
    score: {
      image: picture,
      ...size,
      class: classIndex.optional(),
    },
    inside: {
      job: z.string().min(1).max(64).describe('An earlier job, one of whose pictures is made again'),
      picture: z.int().min(0).max(1e6).optional().describe('Which of its pictures; default 0, the first'),
      tensors: z
        .array(z.string().min(1).max(300))
        .max(32)
        .optional()
        .describe(
          'Names of nodes, such as mid_block.resnets.0, decoder:decoder.mid_block or text_encoder:final_layer_norm',
        ),
    },
  } satisfies Record<JobType, z.ZodRawShape>;
}

/** Schemas of each type's options. */
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
    // As `insideRequest` makes it: with the settings of the other job, which were checked when it came.
    inside: z.strictObject({
      ...shapes.inside,
      settings: z.record(z.string(), z.unknown()),
      init: earlierInput.optional(),
      mask: earlierInput.optional(),
    }),
  } satisfies Record<JobType, z.ZodType>;
}

export type JobSchemas = ReturnType<typeof jobSchemas>;

/** Which field is wrong, and how: the first three. */
export function whatIsWrong(
  issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[],
): string {
  return issues
    .slice(0, 3)
    .map(({ path, message }) => (path.length ? `${path.join('.')}: ${message}` : message))
    .join('; ');
}

function sharedFields(limits: JobLimits) {
  return {
    side: z.int().min(8).max(limits.maxSide).describe("Pixels, a multiple of the model's factor"),
    seed: z
      .int()
      .min(-1)
      .max(2 ** 52)
      .describe('Of the first image; -1, the default, is random'),
    steps: z.int().min(1).max(limits.maxSteps),
    prompt: z.string().max(limits.maxPrompt),
  };
}
type SharedFields = ReturnType<typeof sharedFields>;

function generationFields(limits: JobLimits, { side, seed, steps, prompt }: SharedFields) {
  return {
    prompt: prompt.default('').describe("What to draw, in A1111's syntax"),
    negative: prompt.optional().describe('What not to draw'),
    class: classIndex.optional(),
    width: side.optional(),
    height: side.optional(),
    seed: seed.optional(),
    subseed: seed.optional().describe('Of a variation; -1, the default, is random'),
    subseedStrength: z.number().min(0).max(1).optional().describe('How far to go to the variation'),
    seedResizeFrom: z
      .strictObject({ width: z.int().min(1).max(16384), height: z.int().min(1).max(16384) })
      .optional()
      .describe('Size of the picture to resemble'),
    etaNoiseSeedDelta: z
      .int()
      .min(-(2 ** 31))
      .max(2 ** 31)
      .optional(),
    count: z.int().min(1).max(limits.maxCount).optional().describe('Pictures; default 1'),
    batch: z.int().min(1).max(64).optional().describe('Pictures computed together; default 4'),
    clipSkip: z.int().min(1).max(100).optional(),
    emphasis: z.string().max(40).optional(),
    rng: z.enum(['cpu', 'cuda']).optional(),
    ...samplingFields(steps),
  };
}

function samplingFields(steps: SharedFields['steps']) {
  return {
    steps: steps.optional(),
    cfg: z.number().min(0).max(100).optional().describe('Guidance scale; 1 is none'),
    sampler: z.string().max(100).optional(),
    schedule: z.string().max(100).optional(),
    eta: z.number().min(0).max(10).optional(),
    sChurn: z.number().min(0).max(1e6).optional(),
    sTmin: z.number().min(0).optional(),
    sTmax: z.number().min(0).optional(),
    sNoise: z.number().min(0).max(10).optional(),
    discardPenultimate: z.boolean().optional(),
    sigmaMin: z.number().min(1e-6).max(1e6).optional(),
    sigmaMax: z.number().min(1e-6).max(1e6).optional(),
    rho: z.number().min(1e-3).max(1e3).optional(),
    guidanceRescale: z.number().min(0).max(1).optional(),
    guidanceInterval: z.tuple([z.number().min(0), z.number().min(0)]).optional(),
    deepCache: z
      .strictObject({
        interval: z.int().min(1).max(1000).optional(),
        branch: z.int().min(0).max(100).optional(),
      })
      .optional(),
  };
}

function hiresFields({ side, steps, prompt }: SharedFields) {
  return z.strictObject({
    scale: z.number().min(1).max(8).optional(),
    width: side.optional(),
    height: side.optional(),
    steps: steps.optional(),
    strength: z.number().gt(0).max(1).optional(),
    upscaler: z.string().max(40).optional(),
    prompt: prompt.optional(),
    negative: prompt.optional(),
    sampler: z.string().max(100).optional(),
    schedule: z.string().max(100).optional(),
    discardPenultimate: z.boolean().optional(),
  });
}

function codesFields({ side, seed }: SharedFields) {
  const row = z.array(z.int().min(0).max(1e7)).min(1).max(4096);
  return {
    topK: z.int().min(1).max(1e6).optional().describe('Draw among so many of the most probable codes'),
    topP: z.number().gt(0).max(1).optional(),
    temperature: z.number().min(1e-6).max(100).optional(),
    seed: seed.optional(),
    width: side.optional(),
    height: side.optional(),
    start: z.array(row).min(1).max(4096).optional().describe('Rows of codes to write over'),
  };
}

/** The same, refusing a picture larger than allowed, the second pass's too. */
export function within<T extends z.ZodType<object>>(limits: JobLimits, schema: T): T {
  return schema.superRefine((options: Sized, context) => {
    const { width = 512, height = 512, hires } = options;
    const scale = hires ? (hires.scale ?? 2) : 1;
    const pixels = (hires?.width ?? width * scale) * (hires?.height ?? height * scale);
    if (Math.max(pixels, width * height) <= limits.maxPixels) return;
    context.addIssue({
      code: 'custom',
      path: hires ? ['hires'] : ['width'],
      message: `The picture would have ${Math.round(pixels)} pixels, and this server makes at most ${limits.maxPixels}`,
    });
  });
}

interface Size {
  readonly width?: number | undefined;
  readonly height?: number | undefined;
}
interface Sized extends Size {
  readonly hires?: (Size & { readonly scale?: number | undefined }) | undefined;
}
