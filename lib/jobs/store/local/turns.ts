/** Hands out jobs to the runner of the process that stores them. */
import { SafelightError } from '../../../errors.js';
import type { NewEvent } from '../../types.js';
import type { DataFolder, JobFiles } from '../data-folder.js';
import type { DiskWatch } from '../disk.js';
import type { Control, JobSnapshot, JobTurn, JobTurns, Outcome } from '../store.js';
import type { Claim, LocalJobs } from './jobs.js';

export class LocalTurns implements JobTurns {
  /** No polling: messages within one process cannot be lost. */
  readonly poll = undefined;

  constructor(
    private readonly jobs: LocalJobs,
    private readonly data: DataFolder,
    private readonly disk: DiskWatch,
  ) {}

  async follow(onControl: (control: Control) => void): Promise<void> {
    this.jobs.onControl = onControl;
  }

  /** Returns no job while the disk is failing, because its results could not be written. */
  async take(): Promise<JobTurn | undefined> {
    if (this.jobs.counts().queued === 0) return undefined;
    if (this.disk.problem !== undefined) {
      this.disk.wait();
      return undefined;
    }
    const taken = this.jobs.take();
    if (!taken) return undefined;
    const { claim, job } = taken;
    const { jobs } = this;
    return {
      job,
      files: this.filesOf(claim),
      isCurrent: async () => jobs.isCurrent(claim),
      report: async (event: NewEvent, snapshot?: JobSnapshot) => jobs.report(claim, event, snapshot),
      finish: async (status: 'done' | 'failed', outcome: Outcome) => jobs.finish(claim, status, outcome),
      giveBack: async () => jobs.giveBack(claim),
      release: async () => undefined,
      abandon: () => undefined, // the next process resumes the job
    };
  }

  wake(): void {
    this.jobs.onControl({ kind: 'work' });
  }

  async close(): Promise<void> {
    this.jobs.onControl = () => undefined;
  }

  private filesOf(claim: Claim): JobFiles {
    const { jobs, data } = this;
    const check = (): void => {
      if (!jobs.isCurrent(claim))
        throw new SafelightError('ABORTED', 'The job has ended, or a newer attempt is running it');
    };
    return {
      readInput: (id, name) => data.readInput(id, name),
      readResult: (id, name) => data.readResult(id, name),
      writeResult: async (id, name, bytes) => {
        check();
        await data.writeResult(id, name, bytes);
        // The job was cancelled and removed in the meantime, so nothing else would remove the file.
        if (jobs.isRemoved(id)) await data.remove(id);
        check();
      },
    };
  }
}
