/**
 * Interfaces of job storage. `JobService` implements the policy on top of a `JobStore`; `JobRunner` takes jobs
 * from the store's `JobTurns` and runs them. Each method that changes a job is atomic and sends a message about the
 * change.
 */
import type { Warning } from '../../warnings.js';
import type { Job, JobFilter, JobImage, NewEvent } from '../types.js';
import type { JobFiles, RequestFiles } from './data-folder.js';

/** The immutable part of a job, fixed at submission. */
export type JobBase = Pick<
  Job,
  'id' | 'type' | 'model' | 'options' | 'previews' | 'client' | 'extra' | 'created'
>;

/** Idempotency key of a request, and the SHA-256 digest of that request. */
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
  /** Number of queued jobs at which further ones are refused. */
  readonly maxQueued: number;
  readonly idempotent?: IdempotencyKey | undefined;
}

export type AddResult =
  | { readonly kind: 'added'; readonly place: number }
  | { readonly kind: 'full' }
  | ({ readonly kind: 'known' } & KeyedJob);

/** Messages about changes of jobs, in the order in which the changes happen. */
export type StoreMessage =
  /** The job as it is after a change of its status or order. */
  | { readonly kind: 'changed'; readonly job: Job }
  | { readonly kind: 'removed'; readonly id: string }
  /** An event that a run emitted. */
  | { readonly kind: 'event'; readonly id: string; readonly event: NewEvent };

export interface JobStore {
  /** Reason why the store accepts no jobs at present; undefined otherwise. */
  readonly problem: string | undefined;
  readonly files: StoreFiles;
  /** Calls `onMessage` with each change from now on. */
  follow(onMessage: (message: StoreMessage) => void): Promise<void>;

  get(id: string): Promise<Job | undefined>;
  /** Returns jobs, newest first. */
  list(filter?: JobFilter): Promise<Job[]>;
  /** Returns the job submitted with an idempotency key, unless it was removed. */
  keyed(key: string): Promise<KeyedJob | undefined>;
  counts(): Promise<{ readonly queued: number; readonly running: number }>;
  /** Returns the orders of queued jobs by id, ascending. */
  orders(): Promise<ReadonlyMap<string, number>>;
  /**
   * Returns the ids of ended jobs beyond the newest `keep` and of those that ended before `time` (Unix
   * milliseconds).
   */
  expired(keep: number, time: number): Promise<string[]>;

  /**
   * Queues a job, unless the queue is full or its key exists.
   * @throws FILE_NOT_WRITTEN if it could not be stored permanently
   */
  add(job: JobBase, terms: AddTerms): Promise<AddResult>;
  /** Changes the order of a queued job; has no effect on other jobs. */
  move(id: string, order: number): Promise<void>;
  /** Cancels a queued or running job. @returns false if it has ended or is unknown */
  cancel(id: string): Promise<boolean>;
  /** Removes the record of an ended job. @returns false if it has not ended or is unknown */
  remove(id: string): Promise<boolean>;
  /** Forwards a request to the runner of a job, if it is running. */
  direct(id: string, request: 'finish' | 'skip'): Promise<void>;
  close(): Promise<void>;
}

/** Files of jobs: images of requests, and results. */
export interface StoreFiles extends RequestFiles {
  /** Returns the path of a result; undefined if the job has no result of this name. */
  result(id: string, name: string): Promise<string | undefined>;
  /** Removes all files of a job. */
  remove(id: string): Promise<void>;
}

/** Control messages to runners. `work` announces that a job may be queued. */
export type Control =
  | { readonly kind: 'cancel' | 'finish' | 'skip'; readonly id: string }
  | { readonly kind: 'work' };

/** Source of jobs to run. A turn is one attempt at a job. */
export interface JobTurns {
  /** Milliseconds between polls for work, if messages can be lost; undefined if they cannot. */
  readonly poll: number | undefined;
  follow(onControl: (control: Control) => void): Promise<void>;
  /**
   * Starts the next job: sets its status to running and increments its attempts. Returns undefined if none is
   * queued.
   */
  take(): Promise<JobTurn | undefined>;
  close(): Promise<void>;
}

/** All images or warnings so far, stored with an event so that they can be read later. */
export type JobSnapshot =
  | { readonly images: readonly JobImage[] }
  | { readonly warnings: readonly Warning[] };

export type Outcome = Partial<Pick<Job, 'images' | 'result' | 'error'>>;

/**
 * One attempt at a job. Only the newest attempt of a running job can change it; for others, `report` and `finish`
 * return false.
 */
export interface JobTurn {
  readonly job: Job;
  /** Writes throw ABORTED once the attempt is no longer the newest. */
  readonly files: JobFiles;
  isCurrent(): Promise<boolean>;
  /** Publishes an event of the run. */
  report(event: NewEvent, snapshot?: JobSnapshot): Promise<boolean>;
  finish(status: 'done' | 'failed', outcome: Outcome): Promise<boolean>;
  /** Queues the job again ahead of all others and discards this attempt. */
  giveBack(): Promise<void>;
  /** Releases a turn whose job was finished or given back, or is run by a newer attempt. */
  release(): Promise<void>;
  /** Abandons the turn without an outcome, like the end of the process would; the job will be retried. */
  abandon(): void;
}
