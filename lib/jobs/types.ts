/**
 * Jobs: what is asked for, what becomes of it, and the queue that all front doors speak to. Plain data, so that a job can lie on disk or
 * travel to another machine.
 */
import type { ModelKind } from '../families/registry.js';
import type { Warning } from '../warnings.js';
import type { Json } from './json.js';

export const jobTypes = [
  ...(['text-to-image', 'image-to-image', 'inpaint'] as const),
  ...(['reconstruct', 'sketch', 'sample', 'score'] as const),
  /** A picture of an earlier job made again, and everything on the way written down. */
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

/** Which front door a job came in by. */
export type JobClient = 'own' | 'a1111' | 'openai' | 'page';

/**
 * Options of a job: the pipeline's, by the names of the TypeScript API, checked by `jobSchemas`. Pictures are references to files of the
 * data folder (`{ file: HASH }`) once the job is submitted.
 */
export type JobOptions = Readonly<Record<string, Json>>;

export interface PreviewRequest {
  /** A preview each so many steps; 0 is none. Default 1. */
  readonly every?: number;
  /** Instead: exactly so many (or one a step, of a job of fewer steps), evenly over the steps, none of which is dropped. */
  readonly count?: number;
}

export interface JobRequest {
  readonly type: JobType;
  /** A configured name; default the first one that can do this type. */
  readonly model?: string;
  readonly options: JobOptions;
  readonly previews?: PreviewRequest;
  readonly client?: JobClient;
  /** What the front door wants back with the job, such as the request as it came. */
  readonly extra?: Json;
}

/** A picture of a job: a file of that name among its results. */
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
  /** Done, of `steps`: of the whole job. */
  readonly step: number;
  readonly steps: number;
  /** Seconds since the job began, and those that are likely left; `left` only once it can be told. */
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
  /** How often it was begun: more than once after a crash. */
  readonly attempts: number;
  /** While queued: how many run or wait before it. */
  readonly place?: number;
  readonly progress?: JobProgress;
  readonly images: readonly JobImage[];
  readonly warnings: readonly Warning[];
  /** What there is besides pictures: codes, PSNR, usage. */
  readonly result?: Json;
  readonly error?: JobError;
}

/** In the order in which they come; the last three end a job. */
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
  /** Only jobs created before this one (newest first). */
  readonly before?: string;
}

/** A change of any job: for the page's queue and gallery. */
export type JobChange = { readonly job: Job } | { readonly removed: string };

/** A queue of jobs, here or on Redis. All methods that name an unknown job give undefined or false. */
export interface JobQueue {
  /** Why it cannot take jobs at present; undefined where it can. */
  readonly problem?: string | undefined;
  /**
   * @param options.idempotencyKey the same key with the same request gives the same job again
   * @throws INVALID_OPTION, MODEL_NOT_FOUND, INVALID_IMAGE or QUEUE_FULL, before anything is queued
   */
  submit(request: JobRequest, options?: { readonly idempotencyKey?: string }): Promise<Job>;
  get(id: string): Promise<Job | undefined>;
  /** Newest first. */
  list(filter?: JobFilter): Promise<Job[]>;
  /** Ends a queued or running job within 200 ms; an ended one stays as it is. */
  cancel(id: string): Promise<Job | undefined>;
  /**
   * Stops where it is and keeps the pictures so far, as A1111's interrupt does. A second call stops decoding them too: the job ends with
   * previews.
   */
  finish(id: string): Promise<Job | undefined>;
  /** Leaves out the picture (or batch) under way, as A1111's skip does. */
  skip(id: string): Promise<Job | undefined>;
  /** Moves a queued job; place 0 is next. */
  move(id: string, place: number): Promise<Job | undefined>;
  /** Forgets an ended job, its files too. */
  remove(id: string): Promise<boolean>;
  /**
   * From the event after `after`, or what tells the job's state now, until the job ends. A slow reader gets the newest preview; nobody
   * waits for it.
   */
  events(
    id: string,
    options?: { readonly after?: number; readonly signal?: AbortSignal },
  ): AsyncIterable<JobEvent>;
  watch(signal?: AbortSignal): AsyncIterable<JobChange>;
  /** A result, if the job has one of that name. */
  file(id: string, name: string): Promise<{ readonly path: string; readonly type: string } | undefined>;
  /** Takes no more jobs; with `drain` waits for the running one, else stops it (it is queued again). */
  close(options: { readonly drain: boolean }): Promise<void>;
}
