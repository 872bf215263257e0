/** Inputs and outputs of one run of a job, identical in servers and workers. */
import type { Json } from '../json.js';
import type { JobFiles } from '../store/data-folder.js';
import type { Job, JobImage, NewEvent } from '../types.js';

export interface RunContext {
  readonly data: JobFiles;
  readonly signal: AbortSignal;
  /** Ends the job early; the images generated so far are kept. */
  readonly finish: AbortSignal;
  /**
   * Returns previews in place of images that are not decoded yet. Aborted by the second request to finish a
   * job.
   */
  readonly hurry?: AbortSignal;
  /** Returns a signal that skips the batch that starts now. */
  readonly skip: () => AbortSignal;
  readonly emit: (event: NewEvent) => void;
}

export interface RunOutcome {
  readonly images: readonly JobImage[];
  readonly result?: Json;
}

/** Runs a job to its end. Repeated runs of the same job write the same files. */
export type RunJob = (job: Job, context: RunContext) => Promise<RunOutcome>;
