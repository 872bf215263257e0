/** Jobs in LMDB, where the process of the service also runs them: killing it ends both. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunJob } from '../../../lib/jobs/run/context.js';
import { JobService, type ServiceOptions } from '../../../lib/jobs/service/job-service.js';
import { JobRunner } from '../../../lib/jobs/service/runner.js';
import { DataFolder } from '../../../lib/jobs/store/data-folder.js';
import { DiskWatch } from '../../../lib/jobs/store/disk.js';
import { LmdbRecords } from '../../../lib/jobs/store/lmdb/records.js';
import { LmdbStore } from '../../../lib/jobs/store/lmdb/store.js';
import { prepare, type Stage, type StageKind, type StageRunner } from './stage.js';

export const lmdbKind = {
  name: 'LMDB',
  missing: undefined,
  open: async () => LmdbStage.open(await mkdtemp(join(tmpdir(), 'safelight-jobs-'))),
  close: async () => undefined,
} satisfies StageKind;

export class LmdbStage implements Stage {
  private runner: JobRunner | undefined;
  private isFailing = false;

  private constructor(
    readonly folder: string,
    private store: LmdbStore,
    public service: JobService,
  ) {}

  static async open(folder: string): Promise<LmdbStage> {
    const { store, service } = await opened(folder);
    return new LmdbStage(folder, store, service);
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
    const records = LmdbRecords.open(join(this.folder, 'queue'));
    records.put({ ...records.get(id)!, attempts });
    await records.close();
    await this.reopen();
  }

  async setFailing(isFailing: boolean): Promise<void> {
    this.isFailing = isFailing;
    const records: object = Reflect.get(this.store, 'records');
    for (const name of ['jobs', 'keys']) {
      const database: { putSync(...values: unknown[]): unknown } = Reflect.get(records, name);
      const putSync = Object.getPrototypeOf(database).putSync;
      database.putSync = (...values) => {
        if (this.isFailing) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
        return putSync.apply(database, values);
      };
    }
  }

  async end(): Promise<void> {
    this.isFailing = false;
    await this.runner?.close({ drain: false });
    await this.service.close({ drain: false });
    await rm(this.folder, { recursive: true, force: true });
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
  const store = LmdbStore.open({ folder: join(folder, 'queue'), data, disk });
  return { store, service: await JobService.open({ store, disk, prepare }, options) };
}
