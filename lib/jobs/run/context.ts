/** Inputs and outputs of one run of a job, the same in a server and in a worker. */
import type { Json } from '../json.js';
import type { JobFiles } from '../store/data-folder.js';
import type { Job, JobImage, NewEvent } from '../types.js';

export interface RunContext {
  readonly data: JobFiles;
  readonly signal: AbortSignal;
  /** Ends the job where it is; images so far are kept. */
  readonly finish: AbortSignal;
  /** Gives previews of the images that are not decoded yet: aborted by the second request to finish a job. */
  readonly hurry?: AbortSignal;
  /** Returns a signal that leaves out the batch that begins now. */
  readonly skip: () => AbortSignal;
  readonly emit: (event: NewEvent) => void;
}

export interface RunOutcome {
  readonly images: readonly JobImage[];
  readonly result?: Json;
}

/** Runs a job to its end. Called again for the same job, it writes the same files. */
export type RunJob = (job: Job, context: RunContext) => Promise<RunOutcome>;
