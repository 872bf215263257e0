/** Jobs in a file, where the process of the service also runs them: killing it ends both. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunJob } from '../../../lib/jobs/run/context.js';
import { JobService, type ServiceOptions } from '../../../lib/jobs/service/job-service.js';
import { JobRunner } from '../../../lib/jobs/service/runner.js';
import { DataFolder } from '../../../lib/jobs/store/data-folder.js';
import { DiskWatch } from '../../../lib/jobs/store/disk.js';
import { Journal } from '../../../lib/jobs/store/local/journal.js';
import { JobRecords } from '../../../lib/jobs/store/local/records.js';
import { LocalStore } from '../../../lib/jobs/store/local/store.js';
import { prepare, type Stage, type StageKind, type StageRunner } from './stage.js';

export const localKind = {
  name: 'a file',
  missing: undefined,
  open: async () => LocalStage.open(await mkdtemp(join(tmpdir(), 'safelight-jobs-'))),
  close: async () => undefined,
} satisfies StageKind;

export class LocalStage implements Stage {
  private runner: JobRunner | undefined;
  private isFailing = false;

  private constructor(
    readonly folder: string,
    private store: LocalStore,
    public service: JobService,
  ) {}

  static async open(folder: string): Promise<LocalStage> {
    const { store, service } = await opened(folder);
    return new LocalStage(folder, store, service);
  }

  async restart(options?: ServiceOptions): Promise<JobService> {
    await this.runner?.close({ drain: false });
    await this.service.close({ drain: false });
    return this.reopen(options);
  }

  async startRunner(run: RunJob): Promise<StageRunner> {
    const runner = new JobRunner({ turns: this.store.turns, run });
    this.runner = runner;
    await runner.start();
    return {
      close: (options) => runner.close(options),
      kill: async () => {
        this.runner = undefined;
        await this.store.close();
        void runner.close({ drain: true }); // accepts no more jobs, and its runs continue without a store
        await this.service.close({ drain: true });
        await this.reopen();
      },
    };
  }

  async openTurns() {
    return this.store.turns;
  }

  async setAttempts(id: string, attempts: number): Promise<void> {
    await this.service.close({ drain: false });
    const records = JobRecords.open(join(this.folder, 'queue'));
    records.put({ ...records.get(id)!, attempts });
    await records.close();
    await this.reopen();
  }

  async setFailing(isFailing: boolean): Promise<void> {
    this.isFailing = isFailing;
    const journal: Journal = Reflect.get(Reflect.get(this.store, 'records'), 'journal');
    const append = Journal.prototype.append.bind(journal);
    journal.append = (...values) => {
      if (this.isFailing) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
      append(...values);
    };
  }

  async end(): Promise<void> {
    this.isFailing = false;
    await this.runner?.close({ drain: false });
    await this.service.close({ drain: false });
    // Retried, because a run that was stopped may still be writing a file.
    await rm(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }

  private async reopen(options?: ServiceOptions): Promise<JobService> {
    const { store, service } = await opened(this.folder, options);
    this.store = store;
    this.service = service;
    return service;
  }
}

async function opened(folder: string, options?: ServiceOptions) {
  const data = await DataFolder.open(folder);
  const disk = new DiskWatch(folder);
  const store = LocalStore.open({ folder: join(folder, 'queue'), data, disk });
  return { store, service: await JobService.open({ store, disk, prepare }, options) };
}
