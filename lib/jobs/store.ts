/** Jobs on disk (LMDB): what was queued or running is there after any end of the process. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { SafelightError } from '../errors.js';
import type { Job, JobFilter } from './types.js';

/** A job as it is kept. */
export interface StoredJob extends Omit<Job, 'place' | 'progress' | 'warnings'> {
  readonly warnings?: Job['warnings'];
  /** Queued jobs run in the order of these. */
  readonly order: number;
  /** The Idempotency-Key it came with: forgotten with it. */
  readonly key?: string;
}

interface Idempotent {
  readonly id: string;
  /** Of the request: the same key with another request is a mistake. */
  readonly digest: string;
}

export class JobStore {
  private readonly jobs;
  private readonly keys;

  private closed = false;

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
    return this.closed ? undefined : this.jobs.get(id);
  }

  /** Settles once the job would survive the end of the process. */
  async put(job: StoredJob): Promise<void> {
    this.check();
    await this.jobs.put(job.id, job);
  }

  /** A new job and its key, both or neither: a key that were lost would let the job be made twice. */
  async add(job: StoredJob, digest?: string): Promise<void> {
    this.check();
    await this.root.transaction(() => {
      void this.jobs.put(job.id, job);
      if (job.key !== undefined && digest !== undefined) void this.keys.put(job.key, { id: job.id, digest });
    });
  }

  async remove(id: string): Promise<void> {
    this.check();
    const key = this.jobs.get(id)?.key;
    await this.root.transaction(() => {
      void this.jobs.remove(id);
      if (key !== undefined) void this.keys.remove(key);
    });
  }

  /** Newest first: ids sort by when they were made. */
  list({ status, limit = 100, before }: JobFilter = {}): StoredJob[] {
    if (this.closed) return [];
    const found: StoredJob[] = [];
    for (const { value } of this.jobs.getRange({ reverse: true, ...(before ? { start: before } : {}) })) {
      if (value.id === before || (status && value.status !== status)) continue;
      if (found.push(value) >= limit) break;
    }
    return found;
  }

  /** Every job that has not ended, in the order in which they are to run. */
  unfinished(): StoredJob[] {
    if (this.closed) return [];
    const found: StoredJob[] = [];
    for (const { value } of this.jobs.getRange()) {
      if (value.status === 'queued' || value.status === 'running') found.push(value);
    }
    return found.sort((a, b) => a.order - b.order);
  }

  /** Ids of ended jobs and when they ended (ISO 8601), oldest first. */
  ended(): Map<string, string> {
    const found: [string, string][] = [];
    for (const { value } of this.jobs.getRange())
      if (value.finished !== undefined) found.push([value.id, value.finished]);
    return new Map(found.sort(([, a], [, b]) => (a < b ? -1 : a > b ? 1 : 0)));
  }

  idempotent(key: string): Idempotent | undefined {
    return this.closed ? undefined : this.keys.get(key);
  }

  /** Whoever still reads (a request that outlives the server) finds nothing from now on. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    // What lmdb does on a timer of its own after each read would hit the closed file.
    this.root.resetReadTxn();
    await this.root.close();
  }

  /** @throws DISPOSED */
  private check(): void {
    if (this.closed)
      throw new SafelightError('DISPOSED', 'The queue is closed; send it again to the next server');
  }
}
