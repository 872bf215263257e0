/** What each type of job may be asked: the pipeline's options by their own names, with the limits of whoever serves them. */
import { z } from 'zod';
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
const picture = z.union([
  z.string().min(1),
  z.strictObject({ job: z.string().min(1).max(64), image: z.string().min(1).max(64) }),
]);

/** Schemas of each type's options. */
export function jobSchemas(limits: JobLimits) {
  const prompt = z.string().max(limits.maxPrompt);
  const side = z.int().min(8).max(limits.maxSide);
  const seed = z
    .int()
    .min(0)
    .max(2 ** 52);
  const steps = z.int().min(1).max(limits.maxSteps);

  const sampling = {
    steps: steps.optional(),
    cfg: z.number().min(0).max(100).optional(),
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
  const picturesOf = {
    prompt: prompt.default(''),
    negative: prompt.optional(),
    width: side.optional(),
    height: side.optional(),
    seed: seed.optional(),
    count: z.int().min(1).max(limits.maxCount).optional(),
    batch: z.int().min(1).max(64).optional(),
    clipSkip: z.int().min(1).max(100).optional(),
    emphasis: z.string().max(40).optional(),
    rng: z.enum(['cpu', 'cuda']).optional(),
    ...sampling,
  };
  const hires = z.strictObject({
    scale: z.number().min(1).max(8).optional(),
    width: side.optional(),
    height: side.optional(),
    steps: steps.optional(),
    strength: z.number().gt(0).max(1).optional(),
    upscaler: z.string().max(40).optional(),
  });
  const fromPicture = {
    ...picturesOf,
    init: picture,
    strength: z.number().min(0).max(1).optional(),
    posterior: z.enum(['mean', 'sample']).optional(),
  };
  const codes = {
    class: z.int().min(0).max(1e6).optional(),
    topK: z.int().min(1).max(1e6).optional(),
    topP: z.number().gt(0).max(1).optional(),
    temperature: z.number().gt(0).max(100).optional(),
    seed: seed.optional(),
    width: side.optional(),
    height: side.optional(),
  };
  return {
    'text-to-image': fits(z.strictObject({ ...picturesOf, hires: hires.optional() }), limits),
    'image-to-image': fits(z.strictObject(fromPicture), limits),
    inpaint: fits(
      z.strictObject({
        ...fromPicture,
        mask: picture,
        maskBlur: z.number().min(0).max(64).optional(),
        fill: z.enum(['fill', 'original', 'noise', 'nothing']).optional(),
        onlyMasked: z.boolean().optional(),
        padding: z.int().min(0).max(16384).optional(),
      }),
      limits,
    ),
    reconstruct: z.strictObject({ image: picture }),
    sketch: fits(z.strictObject({ ...codes, image: picture }), limits),
    sample: fits(z.strictObject(codes), limits),
  } satisfies Record<JobType, z.ZodType>;
}

export type JobSchemas = ReturnType<typeof jobSchemas>;

/** Whether the largest picture that is asked for is within the limits, the second pass's too. */
function fits<T extends z.ZodType<Sized>>(schema: T, limits: JobLimits) {
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
