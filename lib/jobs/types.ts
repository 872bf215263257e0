/**
 * Types of jobs: requests, states, events, and the queue that all APIs of the server use. Jobs are plain data,
 * so that they can be stored on disk or sent to another machine.
 */
import type { ModelKind } from '../families/registry.js';
import type { Warning } from '../warnings.js';
import type { Json } from './json.js';

export const jobTypes = [
  ...(['text-to-image', 'image-to-image', 'inpaint'] as const),
  ...(['reconstruct', 'sketch', 'sample', 'score'] as const),
  /** Enlarges or restores an image with an upscaler; needs no checkpoint. */
  'upscale',
  /** A trace: an image of an earlier job generated again, with its latents, attention and tensors recorded. */
  'inside',
  /** An X/Y/Z grid: one image for each combination of option values. */
  'grid',
] as const;
export type JobType = (typeof jobTypes)[number];

/** Kind of model that each job type requires. Upscalers are found by name when a job is submitted. */
export const kindOfJob = {
  ...({ 'text-to-image': 'diffusion', 'image-to-image': 'diffusion', inpaint: 'diffusion' } as const),
  ...({ reconstruct: 'codes', sketch: 'codes', sample: 'codes', score: 'codes' } as const),
  ...({ upscale: 'upscaler', inside: 'diffusion', grid: 'diffusion' } as const),
} satisfies Record<JobType, ModelKind | 'upscaler'>;

/** Queue of upscaling jobs; no model has this name. */
export const UPSCALING_QUEUE = '\0upscale';

/** Returns the queue from which workers take a job: that of its model, or one of all upscalers. */
export function queueOf({ type, model }: Pick<Job, 'type' | 'model'>): string {
  return type === 'upscale' ? UPSCALING_QUEUE : model;
}

export const jobStatuses = ['queued', 'running', 'done', 'failed', 'cancelled'] as const;
export type JobStatus = (typeof jobStatuses)[number];

/** API through which a job was submitted. */
export type JobClient = 'own' | 'a1111' | 'openai' | 'mcp' | 'page';

/**
 * Options of a job: the pipeline's options under their TypeScript names, validated by `jobSchemas`. After
 * submission, images are references to files of the job (`{ file: NAME }`).
 */
export type JobOptions = Readonly<Record<string, Json>>;

export interface PreviewRequest {
  /** Number of steps from one preview to the next; default 1. 0 disables previews. */
  readonly every?: number;
  /**
   * Alternative to `every`: number of previews, evenly spaced over the steps and never dropped; at most one
   * per step.
   */
  readonly count?: number;
}

export interface JobRequest {
  readonly type: JobType;
  /** A configured model name; default the first model that can run this type. */
  readonly model?: string;
  readonly options: JobOptions;
  readonly previews?: PreviewRequest;
  readonly client?: JobClient;
  /** Data that the API stores with the job, such as the original request. */
  readonly extra?: Json;
}

/** A result file of a job, usually an image. */
export interface JobImage {
  readonly name: string;
  /** Media type. */
  readonly type: string;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly seed?: number;
  /** A1111's generation parameters text; empty if there is none. */
  readonly parameters: string;
  /** Number of the cell of a grid, from 0: row by row, sheet by sheet. */
  readonly cell?: number;
}

export interface JobProgress {
  readonly phase: 'load' | 'encode' | 'denoise' | 'decode' | 'codes' | 'upscale';
  /** Completed steps, out of the `steps` of the whole job. */
  readonly step: number;
  readonly steps: number;
  /** Seconds since the job started, and an estimate of the remaining seconds once the step rate is known. */
  readonly elapsed: number;
  readonly left?: number;
  /** Progress of a grid: the current cell, and the numbers of finished cells and of all cells. */
  readonly grid?: { readonly cell: number; readonly done: number; readonly cells: number };
}

export interface JobError {
  /** An `ErrorCode`. */
  readonly code: string;
  readonly message: string;
}

export interface Job {
  readonly id: string;
  readonly type: JobType;
  /** The configured name; of an upscaling job, the name of its upscaler. */
  readonly model: string;
  readonly status: JobStatus;
  readonly options: JobOptions;
  readonly previews: PreviewRequest;
  readonly client: JobClient;
  readonly extra: Json;
  /** ISO 8601. */
  readonly created: string;
  readonly started?: string;
  readonly finished?: string;
  /** Number of times that the job was started: more than 1 after a crash. */
  readonly attempts: number;
  /** While queued: number of jobs that are running or queued ahead of it. */
  readonly place?: number;
  readonly progress?: JobProgress;
  readonly images: readonly JobImage[];
  readonly warnings: readonly Warning[];
  /** Results besides images: code indices, PSNR, usage. */
  readonly result?: Json;
  readonly error?: JobError;
}

/** Event types in the order in which they occur; the last three end a job. */
export const jobEventTypes = [
  ...(['queued', 'warning', 'progress', 'preview', 'image'] as const),
  ...(['done', 'failed', 'cancelled'] as const),
] as const;

export type JobEvent =
  | { readonly id: number; readonly type: 'queued'; readonly data: { readonly place: number } }
  | { readonly id: number; readonly type: 'progress'; readonly data: JobProgress }
  | { readonly id: number; readonly type: 'warning'; readonly data: Warning }
  | { readonly id: number; readonly type: 'preview'; readonly data: JobPreview }
  | { readonly id: number; readonly type: 'image'; readonly data: JobImage & { readonly index: number } }
  | { readonly id: number; readonly type: 'done' | 'failed' | 'cancelled'; readonly data: Job };

/** An event that has not been numbered yet. */
export type NewEvent = JobEvent extends infer E ? (E extends JobEvent ? Omit<E, 'id'> : never) : never;

export interface JobPreview {
  readonly step: number;
  readonly steps: number;
  /** Data URI of a small WebP. */
  readonly image: string;
  /** Index from 0, if a number of previews was requested. */
  readonly index?: number;
  /** Number of the cell of a grid. */
  readonly cell?: number;
}

export interface JobFilter {
  readonly status?: JobStatus;
  /** 1 to 1000; default 100. */
  readonly limit?: number;
  /** Id of a job; only jobs created before it are returned. */
  readonly before?: string;
}

/** A change of any job, for the queue and gallery of the web page. */
export type JobChange = { readonly job: Job } | { readonly removed: string };

/** Job queue, as the server's APIs use it. Methods called with an unknown id return undefined or false. */
export interface JobQueue {
  /** Reason why no jobs are accepted at present; undefined otherwise. */
  readonly problem?: string | undefined;
  /**
   * Queues a job.
   * @param options.idempotencyKey a repeated request with the same key returns the same job
   * @throws INVALID_OPTION, MODEL_NOT_FOUND, INVALID_IMAGE or QUEUE_FULL, before anything is queued
   */
  submit(request: JobRequest, options?: { readonly idempotencyKey?: string }): Promise<Job>;
  get(id: string): Promise<Job | undefined>;
  /** Returns jobs, newest first. */
  list(filter?: JobFilter): Promise<Job[]>;
  /** Cancels a queued or running job within 200 ms; has no effect on a job that has ended. */
  cancel(id: string): Promise<Job | undefined>;
  /**
   * Stops a running job early and keeps its images so far, like A1111's interrupt. A second call also stops
   * their decoding, and the job ends with previews.
   */
  finish(id: string): Promise<Job | undefined>;
  /** Skips the image (or batch) that is being generated, like A1111's skip. */
  skip(id: string): Promise<Job | undefined>;
  /** Moves a queued job; place 0 is the next to run. */
  move(id: string, place: number): Promise<Job | undefined>;
  /** Removes a job that has ended, and its files. */
  remove(id: string): Promise<boolean>;
  /**
   * Yields the events numbered above `after` until the job ends. Of progress and previews only the newest is
   * kept, so that a slow reader misses some of them and delays nothing.
   */
  events(
    id: string,
    options?: { readonly after?: number; readonly signal?: AbortSignal },
  ): AsyncIterable<JobEvent>;
  /** Yields the current state of each job that changes from now on. */
  watch(signal?: AbortSignal): AsyncIterable<JobChange>;
  /** Returns the path and media type of a result file; undefined if the job has no result of this name. */
  file(id: string, name: string): Promise<{ readonly path: string; readonly type: string } | undefined>;
  /**
   * Stops accepting jobs. With `drain`, waits for the running job; otherwise stops the job and queues it
   * again.
   */
  close(options: { readonly drain: boolean }): Promise<void>;
}
