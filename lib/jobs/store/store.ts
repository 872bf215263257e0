/**
 * Storage of jobs. `JobService` decides what happens to jobs and keeps them in a `JobStore`; `JobRunner` takes them from its `JobTurns` and runs
 * them. Each method that changes a job is one step that no other can come between, and sends a message of the change.
 */
import type { Warning } from '../../warnings.js';
import type { Job, JobFilter, JobImage, NewEvent } from '../types.js';
import type { JobFiles, RequestFiles } from './data-folder.js';

/** The part of a job that is settled when it is submitted. */
export type JobBase = Pick<
  Job,
  'id' | 'type' | 'model' | 'options' | 'previews' | 'client' | 'extra' | 'created'
>;

/** The key that a client sent with a request, and a digest of that request. */
export interface IdempotencyKey {
  readonly key: string;
  readonly digest: string;
}

/** The job that was queued under an idempotency key. */
export interface KeyedJob {
  readonly id: string;
  readonly digest: string;
}

export interface AddTerms {
  /** Queued jobs run in ascending order of this number. */
  readonly order: number;
  /** Queued jobs at which a further one is refused. */
  readonly maxQueued: number;
  readonly idempotent?: IdempotencyKey | undefined;
}

export type AddResult =
  | { readonly kind: 'added'; readonly place: number }
  | { readonly kind: 'full' }
  | ({ readonly kind: 'known' } & KeyedJob);

/** Changes of jobs, in the order in which they happen. */
export type StoreMessage =
  /** The job as it is after a change of its status or order. */
  | { readonly kind: 'changed'; readonly job: Job }
  | { readonly kind: 'removed'; readonly id: string }
  /** An event that a run emitted. */
  | { readonly kind: 'event'; readonly id: string; readonly event: NewEvent };

export interface JobStore {
  /** The reason why the store takes no jobs at present; undefined where it does. */
  readonly problem: string | undefined;
  readonly files: StoreFiles;
  /** Calls with each change from now on. */
  follow(onMessage: (message: StoreMessage) => void): Promise<void>;

  get(id: string): Promise<Job | undefined>;
  /** Newest first. */
  list(filter?: JobFilter): Promise<Job[]>;
  /** The job under an idempotency key, unless it was removed. */
  keyed(key: string): Promise<KeyedJob | undefined>;
  counts(): Promise<{ readonly queued: number; readonly running: number }>;
  /** Orders of the queued jobs by id, the next one first. */
  orders(): Promise<ReadonlyMap<string, number>>;
  /** Ids of ended jobs beyond the newest `keep`, and of those that ended before `time` (milliseconds). */
  expired(keep: number, time: number): Promise<string[]>;

  /** Queues a job, unless too many wait or its key is known. @throws FILE_NOT_WRITTEN where it would not survive the process */
  add(job: JobBase, terms: AddTerms): Promise<AddResult>;
  /** Gives a queued job another order; any other job stays as it is. */
  move(id: string, order: number): Promise<void>;
  /** Ends a queued or running job as cancelled. @returns false where it had ended, or is unknown */
  cancel(id: string): Promise<boolean>;
  /** Forgets an ended job. @returns false where it has not ended, or is unknown */
  remove(id: string): Promise<boolean>;
  /** Passes a request on to the runner of a job, if one runs it. */
  direct(id: string, request: 'finish' | 'skip'): Promise<void>;
  close(): Promise<void>;
}

/** Images of jobs: those of their requests, and their results. */
export interface StoreFiles extends RequestFiles {
  /** The path of a result; undefined where there is none of that name. */
  result(id: string, name: string): Promise<string | undefined>;
  /** Removes every file of a job. */
  remove(id: string): Promise<void>;
}

/** Requests to runners. `work` says that a job may be waiting. */
export type Control =
  | { readonly kind: 'cancel' | 'finish' | 'skip'; readonly id: string }
  | { readonly kind: 'work' };

/** Turns to run jobs. */
export interface JobTurns {
  /** Milliseconds between looks for work, as messages may be lost; undefined where they are not. */
  readonly poll: number | undefined;
  follow(onControl: (control: Control) => void): Promise<void>;
  /** Begins the next job: it is running from here on, and its attempts count one more. Undefined where none waits. */
  take(): Promise<JobTurn | undefined>;
  close(): Promise<void>;
}

/** Everything of its kind so far, stored with an event so that it can be read later. */
export type JobSnapshot =
  | { readonly images: readonly JobImage[] }
  | { readonly warnings: readonly Warning[] };

export type Outcome = Partial<Pick<Job, 'images' | 'result' | 'error'>>;

/** One attempt at a job. Only the newest attempt of a running job changes it: `report` and `finish` return false for any other. */
export interface JobTurn {
  readonly job: Job;
  /** Writing is refused with ABORTED once the attempt is not the newest any more. */
  readonly files: JobFiles;
  isCurrent(): Promise<boolean>;
  /** Publishes an event of the run. */
  report(event: NewEvent, kept?: JobSnapshot): Promise<boolean>;
  finish(status: 'done' | 'failed', outcome: Outcome): Promise<boolean>;
  /** Queues the job again before all others, as if this attempt had not begun. */
  giveBack(): Promise<void>;
  /** Frees the turn of a job that was finished, given back, or is another attempt's. */
  release(): Promise<void>;
  /** Ends the turn without an outcome, as the end of the process would: the job is to be taken up again. */
  abandon(): void;
}
