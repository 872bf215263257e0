/** Schemas of requests and responses of Safelight's own API, for validation and for the OpenAPI document. */
import { z } from 'zod';
import { invalidOption } from '../../errors.js';
import { continueRequest } from '../../jobs/grid/continue.js';
import { type JobLimits, jobShapes, within } from '../../jobs/schemas.js';
import { traceRequest } from '../../jobs/trace/request.js';
import { type JobQueue, type JobRequest, type JobType, jobStatuses, jobTypes } from '../../jobs/types.js';
import { MAX_CELLS } from '../../pipelines/grid/axes.js';

/** Returns the schema of a job request: the type, together with the pipeline options of that type. */
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
    z.strictObject({ type: z.literal('upscale'), ...shapes.upscale }),
    request('inside'),
    within(limits, z.strictObject({ type: z.literal('grid'), ...common, ...shapes.grid, ...continued })),
  ]);
}

const common = {
  model: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe('configured model name; default the first model that can run this type'),
  previews: z
    .strictObject({ every: z.int().min(0).max(1000).optional() })
    .optional()
    .describe('previews of a running job: one every so many steps, default 1; 0 disables them'),
};

const continued = {
  continue: z
    .string()
    .min(1)
    .max(64)
    .optional()
    .describe('id of an ended grid job whose missing cells are generated, instead of all other options'),
};

/** Moves options that were sent in a nested `options` object to the top level of the body. */
export function flattenOptions(body: unknown): unknown {
  if (!isRecord(body) || !isRecord(body.options)) return body;
  const { options, ...rest } = body;
  return { ...options, ...rest };
}

type Body = z.output<ReturnType<typeof jobRequest>>;

/** Converts a request body to a request for the queue. @throws errors of `traceRequest` and `continueRequest` */
export async function toJobRequest(body: Body, queue: Pick<JobQueue, 'get' | 'file'>): Promise<JobRequest> {
  if (body.type === 'inside') return traceRequest(queue, body);
  if (body.type === 'grid' && body.continue !== undefined) return continueRequest(queue, onlyContinue(body));
  const { type, model, previews, ...options } = { model: undefined, previews: undefined, ...body };
  return {
    type,
    options: options as JobRequest['options'],
    ...(model === undefined ? {} : { model }),
    ...(previews === undefined
      ? {}
      : { previews: previews.every === undefined ? {} : { every: previews.every } }),
  };
}

/** Returns the id of the job to continue. @throws INVALID_OPTION for other options, which would have no effect */
function onlyContinue({ type: _, continue: id = '', ...others }: Body & { readonly type: 'grid' }): string {
  // The prompt has a default.
  const other = Object.entries(others).find(([name, value]) => name !== 'prompt' || value !== '');
  if (!other) return id;
  throw invalidOption(
    other[0],
    'undefined together with continue',
    other[1],
    'the grid keeps its own options',
  );
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
  cell: z.number().optional().describe('number of the cell of a grid, row by row, sheet by sheet'),
  url: z.string().describe('path to fetch the image from'),
});

const progress = z.object({
  phase: z.string(),
  step: z.number(),
  steps: z.number(),
  elapsed: z.number(),
  left: z.number().optional(),
  grid: z
    .object({ cell: z.number(), done: z.number(), cells: z.number() })
    .optional()
    .describe('current cell of a grid, and the numbers of finished cells and of all cells'),
});

export const jobResponse = z.object({
  id: z.string(),
  type: z.enum(jobTypes),
  model: z.string(),
  status: z.enum(jobStatuses),
  options: z.record(z.string(), z.unknown()),
  created: z.string(),
  started: z.string().optional(),
  finished: z.string().optional(),
  attempts: z.number(),
  place: z.number().optional().describe('number of jobs that are running or queued ahead of it'),
  progress: progress.optional(),
  images: z.array(image),
  warnings: z
    .array(z.object({ code: z.string(), message: z.string() }))
    .describe('conditions that may make the result differ from what was expected'),
  result: z.unknown().optional(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
  client: z.string(),
});

/** Jobs without `result`, which may be long. */
export const jobList = z.object({ jobs: z.array(jobResponse.omit({ result: true })) });

export const listQuery = z.strictObject({
  status: z.enum(jobStatuses).optional(),
  limit: z.coerce.number().int().min(1).max(1000).optional(),
  before: z.string().max(64).optional().describe('id of a job; only jobs created before it are listed'),
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
    .describe('maximum side length in pixels; returns a WebP thumbnail'),
});
export const sheetQuery = z.strictObject({
  z: z.coerce
    .number()
    .int()
    .min(0)
    .max(MAX_CELLS)
    .optional()
    .describe('index of a value of z, of which only the part of the sheet is drawn; default all'),
});
export const moveBody = z.strictObject({ place: z.int().min(0).max(1_000_000) });
export const failure = z.object({ error: z.object({ code: z.string(), message: z.string() }) });
