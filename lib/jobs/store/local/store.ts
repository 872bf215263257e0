/** Job store in a file, for a server that runs its jobs in the same process. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Job, JobFilter } from '../../types.js';
import type { DataFolder } from '../data-folder.js';
import type { DiskWatch } from '../disk.js';
import type { AddResult, AddTerms, JobBase, JobStore, KeyedJob, StoreFiles, StoreMessage } from '../store.js';
import { LocalJobs } from './jobs.js';
import { JobRecords } from './records.js';
import { LocalTurns } from './turns.js';

export interface LocalStoreParts {
  /** Folder of the records. */
  readonly folder: string;
  readonly data: DataFolder;
  readonly disk: DiskWatch;
  /** Called with a sentence for each problem that does not prevent opening. */
  readonly onWarning?: ((message: string) => void) | undefined;
}

export class LocalStore implements JobStore {
  /** Disk problems are reported by the `DiskWatch` of the data folder. */
  readonly problem = undefined;
  readonly files: StoreFiles;
  readonly turns: LocalTurns;
  private readonly jobs: LocalJobs;

  private constructor(
    private readonly records: JobRecords,
    { data, disk }: LocalStoreParts,
  ) {
    records.onFailure = (error) => disk.failed(error);
    this.jobs = new LocalJobs(records);
    this.turns = new LocalTurns(this.jobs, data, disk);
    this.files = data;
    disk.onRecovery = () => {
      records.flush();
      this.turns.wake();
    };
  }

  /** @throws FILE_NOT_WRITTEN */
  static open(parts: LocalStoreParts): LocalStore {
    const { folder, onWarning } = parts;
    const store = new LocalStore(JobRecords.open(folder, onWarning), parts);
    const old = join(folder, 'jobs.lmdb');
    if (existsSync(old))
      onWarning?.(
        `the jobs in ${old} are from a development version and are not read; the file can be deleted`,
      );
    return store;
  }

  async follow(onMessage: (message: StoreMessage) => void): Promise<void> {
    this.jobs.onMessage = onMessage;
  }

  async get(id: string): Promise<Job | undefined> {
    return this.jobs.get(id);
  }

  async list(filter?: JobFilter): Promise<Job[]> {
    return this.jobs.list(filter);
  }

  async keyed(key: string): Promise<KeyedJob | undefined> {
    return this.jobs.keyed(key);
  }

  async counts() {
    return this.jobs.counts();
  }

  async orders(): Promise<ReadonlyMap<string, number>> {
    return this.jobs.orders();
  }

  async expired(keep: number, time: number): Promise<string[]> {
    return this.jobs.expired(keep, time);
  }

  async add(job: JobBase, terms: AddTerms): Promise<AddResult> {
    return this.jobs.add(job, terms);
  }

  async move(id: string, order: number): Promise<void> {
    this.jobs.move(id, order);
  }

  async cancel(id: string): Promise<boolean> {
    return this.jobs.cancel(id);
  }

  async remove(id: string): Promise<boolean> {
    return this.jobs.remove(id);
  }

  async direct(id: string, request: 'finish' | 'skip'): Promise<void> {
    this.jobs.onControl({ kind: request, id });
  }

  async close(): Promise<void> {
    try {
      this.records.flush();
    } catch {
      // The disk is still full. The next process repeats the jobs whose end could not be written.
    }
    await this.records.close();
  }
}
