/**
 * Jobs: their requests, states and events, and the queue that every API of the server uses. Plain data, so that a job can be stored on disk
 * or sent to another machine.
 */
import type { ModelKind } from '../families/registry.js';
import type { Warning } from '../warnings.js';
import type { Json } from './json.js';

export const jobTypes = [
  ...(['text-to-image', 'image-to-image', 'inpaint'] as const),
  ...(['reconstruct', 'sketch', 'sample', 'score'] as const),
  /** A trace: an image of an earlier job generated again, with its latents, attention and tensors recorded. */
  'inside',
] as const;
export type JobType = (typeof jobTypes)[number];

/** The kind of model that each type of job takes. */
export const kindOfJob = {
  ...({ 'text-to-image': 'diffusion', 'image-to-image': 'diffusion', inpaint: 'diffusion' } as const),
  ...({ reconstruct: 'codes', sketch: 'codes', sample: 'codes', score: 'codes' } as const),
  inside: 'diffusion' as const,
} satisfies Record<JobType, ModelKind>;

export const jobStatuses = ['queued', 'running', 'done', 'failed', 'cancelled'] as const;
export type JobStatus = (typeof jobStatuses)[number];

/** API that a job came in by. */
export type JobClient = 'own' | 'a1111' | 'openai' | 'page';

/**
 * Options of a job: the pipeline's, by the names of the TypeScript API, checked by `jobSchemas`. Images are references to files of
 * the job (`{ file: NAME }`) once it is submitted.
 */
export type JobOptions = Readonly<Record<string, Json>>;

export interface PreviewRequest {
  /** Steps between previews; 0 gives none. Default 1. */
  readonly every?: number;
  /** Instead: number of previews, evenly over the steps, none of which is dropped; one a step where there are fewer steps. */
  readonly count?: number;
}

export interface JobRequest {
  readonly type: JobType;
  /** A configured name; default the first model that can run this type. */
  readonly model?: string;
  readonly options: JobOptions;
  readonly previews?: PreviewRequest;
  readonly client?: JobClient;
  /** Data that the API wants back with the job, such as the request as it came. */
  readonly extra?: Json;
}

/** An image of a job: a file of that name among its results. */
export interface JobImage {
  readonly name: string;
  /** Media type. */
  readonly type: string;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly seed?: number;
  /** A1111's generation parameters; empty where there are none. */
  readonly parameters: string;
}

export interface JobProgress {
  readonly phase: 'load' | 'encode' | 'denoise' | 'decode' | 'codes';
  /** Steps done, of the `steps` of the whole job. */
  readonly step: number;
  readonly steps: number;
  /** Seconds since the job began, and an estimate of those left, once there is a pace to estimate it from. */
  readonly elapsed: number;
  readonly left?: number;
}

export interface JobError {
  /** An `ErrorCode`. */
  readonly code: string;
  readonly message: string;
}

export interface Job {
  readonly id: string;
  readonly type: JobType;
  /** The configured name. */
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
  /** Number of times it was begun: more than one after a crash. */
  readonly attempts: number;
  /** While queued: number of jobs that run or wait before it. */
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

/** An event before it has its number. */
export type NewEvent = JobEvent extends infer E ? (E extends JobEvent ? Omit<E, 'id'> : never) : never;

export interface JobPreview {
  readonly step: number;
  readonly steps: number;
  /** Data URI of a small WebP. */
  readonly image: string;
  /** Index from 0, of previews that were requested by count. */
  readonly index?: number;
}

export interface JobFilter {
  readonly status?: JobStatus;
  /** 1 to 1000; default 100. */
  readonly limit?: number;
  /** Id of a job: only jobs created before it. */
  readonly before?: string;
}

/** A change of any job: for the page's queue and gallery. */
export type JobChange = { readonly job: Job } | { readonly removed: string };

/** Jobs as the server's APIs use them. Methods that name an unknown job return undefined or false. */
export interface JobQueue {
  /** The reason why it takes no jobs at present; undefined where it does. */
  readonly problem?: string | undefined;
  /**
   * Queues a job.
   * @param options.idempotencyKey the same key with the same request returns the same job again
   * @throws INVALID_OPTION, MODEL_NOT_FOUND, INVALID_IMAGE or QUEUE_FULL, before anything is queued
   */
  submit(request: JobRequest, options?: { readonly idempotencyKey?: string }): Promise<Job>;
  get(id: string): Promise<Job | undefined>;
  /** Newest first. */
  list(filter?: JobFilter): Promise<Job[]>;
  /** Ends a queued or running job within 200 ms; an ended one stays as it is. */
  cancel(id: string): Promise<Job | undefined>;
  /**
   * Stops a running job where it is and keeps its images so far, as A1111's interrupt does. A second call stops decoding them too: the job
   * ends with previews.
   */
  finish(id: string): Promise<Job | undefined>;
  /** Leaves out the image (or batch) that is being generated, as A1111's skip does. */
  skip(id: string): Promise<Job | undefined>;
  /** Moves a queued job; place 0 is next. */
  move(id: string, place: number): Promise<Job | undefined>;
  /** Removes an ended job and its files. */
  remove(id: string): Promise<boolean>;
  /**
   * Yields the events after number `after`, from the newest of each kind that is replaced, until the job ends. A slow reader misses previews
   * and delays nobody.
   */
  events(
    id: string,
    options?: { readonly after?: number; readonly signal?: AbortSignal },
  ): AsyncIterable<JobEvent>;
  /** Yields the newest state of each job that changes from now on. */
  watch(signal?: AbortSignal): AsyncIterable<JobChange>;
  /** Returns the path of a result; undefined where the job has none of that name. */
  file(id: string, name: string): Promise<{ readonly path: string; readonly type: string } | undefined>;
  /** Takes no more jobs. With `drain` waits for the running job, else stops it, and it is queued again. */
  close(options: { readonly drain: boolean }): Promise<void>;
}
