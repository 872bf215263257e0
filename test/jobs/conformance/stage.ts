/** A store with a service and runners of its jobs, as the conformance suite uses it. */

import type { RunJob } from '../../../lib/jobs/run/context.js';
import type { JobService, ServiceOptions } from '../../../lib/jobs/service/job-service.js';
import type { JobTurns } from '../../../lib/jobs/store/store.js';
import type { JobRequest } from '../../../lib/jobs/types.js';

export interface Stage {
  readonly service: JobService;
  /** Opens the service again on what the store kept. */
  restart(options?: ServiceOptions): Promise<JobService>;
  /** Starts running jobs. */
  startRunner(run: RunJob): Promise<StageRunner>;
  /** Opens the store's turns without a runner. */
  openTurns(): Promise<JobTurns>;
  /** Sets a job's count of attempts, as if that many processes had begun it. */
  setAttempts(id: string, attempts: number): Promise<void>;
  /** Makes the store reject or accept writes. */
  setFailing(isFailing: boolean): Promise<void>;
  end(): Promise<void>;
}

export interface StageRunner {
  close(options: { readonly drain: boolean }): Promise<void>;
  /** Ends it as `kill -9` ends a process: nothing is written, and its jobs have to be retried. */
  kill(): Promise<void>;
}

export interface StageKind {
  readonly name: string;
  /** The reason why this machine cannot run it; undefined if it can. */
  readonly missing: string | undefined;
  open(): Promise<Stage>;
  /** Frees what all stages share. */
  close(): Promise<void>;
}

export const prepare = ({ options, model = 'a' }: JobRequest) => ({ model, options });
