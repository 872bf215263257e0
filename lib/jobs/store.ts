/** Jobs on disk (LMDB): what was queued or running is there after any end of the process. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { SafelightError } from '../errors.js';
import type { Job, JobFilter } from './types.js';

/** A job as it is kept. */
export interface StoredJob extends Omit<Job, 'place' | 'progress'> {
  /** Queued jobs run in the order of these. */
  readonly order: number;
}

interface Idempotent {
  readonly id: string;
  /** Of the request: the same key with another request is a mistake. */
  readonly digest: string;
}

export class JobStore {
  private readonly jobs;
  private readonly keys;

  private constructor(private readonly root: RootDatabase) {
    this.jobs = root.openDB<StoredJob, string>({ name: 'jobs', encoding: 'json' });
    this.keys = root.openDB<Idempotent, string>({ name: 'idempotency', encoding: 'json' });
  }

  /** @param folder the data folder. @throws FILE_NOT_WRITTEN */
  static open(folder: string): JobStore {
    try {
      mkdirSync(folder, { recursive: true });
      return new JobStore(open({ path: join(folder, 'jobs.lmdb'), maxDbs: 4 }));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new SafelightError('FILE_NOT_WRITTEN', `Cannot keep jobs in '${folder}': ${why}`, {
        cause: error,
      });
    }
  }

  get(id: string): StoredJob | undefined {
    return this.jobs.get(id);
  }

  /** Settles once the job would survive the end of the process. */
  async put(job: StoredJob): Promise<void> {
    await this.jobs.put(job.id, job);
  }

  async remove(id: string): Promise<void> {
    await this.jobs.remove(id);
  }

  /** Newest first: ids sort by when they were made. */
  list({ status, limit = 100, before }: JobFilter = {}): StoredJob[] {
    const found: StoredJob[] = [];
    for (const { value } of this.jobs.getRange({ reverse: true, ...(before ? { start: before } : {}) })) {
      if (value.id === before || (status && value.status !== status)) continue;
      if (found.push(value) >= limit) break;
    }
    return found;
  }

  /** Every job that has not ended, in the order in which they are to run. */
  unfinished(): StoredJob[] {
    const found: StoredJob[] = [];
    for (const { value } of this.jobs.getRange()) {
      if (value.status === 'queued' || value.status === 'running') found.push(value);
    }
    return found.sort((a, b) => a.order - b.order);
  }

  /** Ended jobs beyond `count` of them or finished before `time` (ISO 8601). */
  expired(count: number, time: string): string[] {
    const ids: string[] = [];
    let kept = 0;
    for (const { value } of this.jobs.getRange({ reverse: true })) {
      if (value.finished === undefined) continue;
      if (++kept > count || value.finished < time) ids.push(value.id);
    }
    return ids;
  }

  idempotent(key: string): Idempotent | undefined {
    return this.keys.get(key);
  }

  async putIdempotent(key: string, value: Idempotent): Promise<void> {
    await this.keys.put(key, value);
  }

  async close(): Promise<void> {
    await this.root.close();
  }
}
