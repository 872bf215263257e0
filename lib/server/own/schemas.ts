/** The own API's bodies and answers, for checking what comes in and for the OpenAPI document. */
import { z } from 'zod';
import { jobStatuses, jobTypes } from '../../jobs/types.js';

export const jobRequest = z.strictObject({
  type: z.enum(jobTypes).describe('What to do'),
  model: z.string().min(1).max(200).optional().describe('A configured name; default the first'),
  options: z
    .record(z.string(), z.unknown())
    .default({})
    .describe(
      'Options of the pipeline, by the names of the TypeScript API; pictures in base64 or as data URI',
    ),
  previews: z
    .strictObject({ every: z.int().min(0).max(1000).optional() })
    .optional()
    .describe('A preview each so many steps; 0 is none'),
});

const image = z.object({
  name: z.string(),
  type: z.string(),
  width: z.number(),
  height: z.number(),
  seed: z.number().optional(),
  parameters: z.string(),
  url: z.string().describe('Where to fetch it'),
});

const progress = z.object({
  phase: z.string(),
  step: z.number(),
  steps: z.number(),
  elapsed: z.number(),
  left: z.number().optional(),
});

export const jobAnswer = z.object({
  id: z.string(),
  type: z.enum(jobTypes),
  model: z.string(),
  status: z.enum(jobStatuses),
  options: z.record(z.string(), z.unknown()),
  created: z.string(),
  started: z.string().optional(),
  finished: z.string().optional(),
  attempts: z.number(),
  place: z.number().optional().describe('How many jobs run or wait before it'),
  progress: progress.optional(),
  images: z.array(image),
  result: z.unknown().optional(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
  client: z.string(),
});

export const jobList = z.object({ jobs: z.array(jobAnswer) });

export const listQuery = z.strictObject({
  status: z.enum(jobStatuses).optional(),
  limit: z.coerce.number().int().min(1).max(1000).optional(),
  before: z.string().max(64).optional().describe('An id: only jobs made before it'),
});

export const jobParams = z.object({ id: z.string().max(64) });
export const fileParams = z.object({ id: z.string().max(64), name: z.string().max(64) });
export const moveBody = z.strictObject({ place: z.int().min(0).max(1_000_000) });
export const failure = z.object({ error: z.object({ code: z.string(), message: z.string() }) });
