/** The own API's bodies and answers, for checking what comes in and for the OpenAPI document. */
import { z } from 'zod';
import { type JobLimits, jobShapes, within } from '../../jobs/schemas.js';
import { traceRequest } from '../../jobs/trace/request.js';
import { type JobQueue, type JobRequest, type JobType, jobStatuses, jobTypes } from '../../jobs/types.js';

/** A request of any type: the pipeline's options beside the type, each type with its own. */
export function jobRequest(limits: JobLimits) {
  const shapes = jobShapes(limits);
  const request = <T extends JobType>(type: T) =>
    within(limits, z.strictObject({ type: z.literal(type), ...common, ...shapes[type] }));
  return z.discriminatedUnion('type', [
    request('text-to-image'),
    request('image-to-image'),
    request('inpaint'),
    request('reconstruct'),
    request('sketch'),
    request('sample'),
    request('score'),
    request('inside'),
  ]);
}

const common = {
  model: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe('A configured name; default the first that can do this'),
  previews: z
    .strictObject({ every: z.int().min(0).max(1000).optional() })
    .optional()
    .describe('A preview each so many steps; 0 is none'),
};

/** Options may come under `options` too; from here on they are beside the type. */
export function flattened(body: unknown): unknown {
  if (!isRecord(body) || !isRecord(body.options)) return body;
  const { options, ...rest } = body;
  return { ...options, ...rest };
}

type Body = z.output<ReturnType<typeof jobRequest>>;

/** The request as the queue takes it. @throws what `traceRequest` throws */
export async function toJobRequest(body: Body, queue: Pick<JobQueue, 'get'>): Promise<JobRequest> {
  if (body.type === 'inside') return traceRequest(queue, body);
  const { type, model, previews, ...options } = body;
  return {
    type,
    options: options as JobRequest['options'],
    ...(model === undefined ? {} : { model }),
    ...(previews === undefined
      ? {}
      : { previews: previews.every === undefined ? {} : { every: previews.every } }),
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

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
  warnings: z
    .array(z.object({ code: z.string(), message: z.string() }))
    .describe('Conditions that may make the result differ from what was expected'),
  result: z.unknown().optional(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
  client: z.string(),
});

/** Without `result`, which may be long. */
export const jobList = z.object({ jobs: z.array(jobAnswer.omit({ result: true })) });

export const listQuery = z.strictObject({
  status: z.enum(jobStatuses).optional(),
  limit: z.coerce.number().int().min(1).max(1000).optional(),
  before: z.string().max(64).optional().describe('An id: only jobs made before it'),
});

export const jobParams = z.object({ id: z.string().max(64) });
export const fileParams = z.object({ id: z.string().max(64), name: z.string().max(64) });
export const fileQuery = z.object({
  width: z.coerce
    .number()
    .int()
    .min(16)
    .max(1024)
    .optional()
    .describe('Pixels: a WebP no wider and no higher, for galleries'),
});
export const moveBody = z.strictObject({ place: z.int().min(0).max(1_000_000) });
export const failure = z.object({ error: z.object({ code: z.string(), message: z.string() }) });
