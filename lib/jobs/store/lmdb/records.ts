/**
 * Jobs on disk (LMDB): what was queued or running is there after any end of the process. A write that a full disk refuses is kept in memory
 * until `flush` succeeds; only a new job is refused, as nobody may take it for safe.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { SafelightError } from '../../../errors.js';
import type { Job, JobFilter } from '../../types.js';

/** A job as it is stored. */
export interface StoredJob extends Omit<Job, 'place' | 'progress' | 'warnings'> {
  readonly warnings?: Job['warnings'];
  /** Queued jobs run in ascending order of this number. */
  readonly order: number;
  /** The Idempotency-Key of its request, which is removed with it. */
  readonly key?: string;
}

interface Idempotent {
  readonly id: string;
  /** SHA-256 of the request: the same key with another request is refused. */
  readonly digest: string;
}

const REMOVED = null;

/**
 * Writes are LMDB's synchronous ones, about half a millisecond: their errors are thrown where they happen, while each failed commit of the
 * asynchronous ones also rejects a promise that lmdb keeps to itself, which would end the process.
 */
export class LmdbRecords {
  private readonly jobs;
  private readonly keys;
  /** Records that are newer than those on the disk, which refused them. */
  private readonly unwritten = new Map<string, StoredJob | typeof REMOVED>();
  private isClosed = false;

  /** Called with the error of each write that is kept in memory. */
  onFailure: (error: unknown) => void = () => undefined;

  private constructor(
    /** Folder of the database. */
    readonly folder: string,
    private readonly root: RootDatabase,
  ) {
    this.jobs = root.openDB<StoredJob, string>({ name: 'jobs', encoding: 'json' });
    this.keys = root.openDB<Idempotent, string>({ name: 'idempotency', encoding: 'json' });
  }

  /** @param folder a folder of the data folder. @throws FILE_NOT_WRITTEN */
  static open(folder: string): LmdbRecords {
    try {
      mkdirSync(folder, { recursive: true });
      return new LmdbRecords(folder, open({ path: join(folder, 'jobs.lmdb'), maxDbs: 4 }));
    } catch (error) {
      throw notStored(folder, error);
    }
  }

  /** True once it gives nothing any more, whatever is on the disk. */
  get closed(): boolean {
    return this.isClosed;
  }

  get(id: string): StoredJob | undefined {
    if (this.isClosed) return undefined;
    const newer = this.unwritten.get(id);
    return newer === undefined ? this.jobs.get(id) : (newer ?? undefined);
  }

  /** Survives the end of the process from here on; on a disk that is full, once there is space again. */
  put(job: StoredJob): void {
    this.check();
    this.attempt(job.id, job);
  }

  /** A new job and its key. @throws FILE_NOT_WRITTEN where it would not survive the end of the process */
  add(job: StoredJob, digest?: string): void {
    this.check();
    try {
      // A key without its job counts for nothing; a job without its key could be made twice.
      if (job.key !== undefined && digest !== undefined) this.keys.putSync(job.key, { id: job.id, digest });
      this.jobs.putSync(job.id, job);
    } catch (error) {
      throw notStored(this.folder, error);
    }
  }

  remove(id: string): void {
    this.check();
    this.attempt(id, REMOVED);
  }

  /** Writes the records that the disk refused before. @throws the disk's error */
  flush(): void {
    if (this.isClosed) return;
    for (const [id, job] of [...this.unwritten]) {
      this.write(id, job);
      this.unwritten.delete(id);
    }
  }

  /** Newest first: ids sort by when they were made. */
  list({ status, limit = 100, before }: JobFilter = {}): StoredJob[] {
    if (this.isClosed) return [];
    const found: StoredJob[] = [];
    for (const value of this.all({ reverse: true, ...(before ? { start: before } : {}) })) {
      if (value.id === before || (status && value.status !== status)) continue;
      if (found.push(value) >= limit) break;
    }
    return found;
  }

  /** Every job that has not ended, in the order in which they are to run. */
  unfinished(): StoredJob[] {
    if (this.isClosed) return [];
    const found = [...this.all()].filter(({ status }) => status === 'queued' || status === 'running');
    return found.sort((a, b) => a.order - b.order);
  }

  /** Ids of ended jobs and when they ended (ISO 8601), oldest first. */
  ended(): Map<string, string> {
    const found: [string, string][] = [];
    for (const { id, finished } of this.all()) if (finished !== undefined) found.push([id, finished]);
    return new Map(found.sort(([, a], [, b]) => (a < b ? -1 : a > b ? 1 : 0)));
  }

  idempotent(key: string): Idempotent | undefined {
    return this.isClosed ? undefined : this.keys.get(key);
  }

  /** Closes the database. A reader that outlives it, such as a request, finds no job from then on. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    // lmdb resets it on a timer of its own after each read, which would hit the closed file.
    this.root.resetReadTxn();
    await this.root.close();
  }

  private *all(range: { reverse?: boolean; start?: string } = {}): Generator<StoredJob> {
    for (const { key, value } of this.jobs.getRange(range)) {
      const newer = this.unwritten.get(key);
      if (newer !== REMOVED) yield newer ?? value;
    }
  }

  private attempt(id: string, job: StoredJob | typeof REMOVED): void {
    try {
      this.write(id, job);
      this.unwritten.delete(id);
    } catch (error) {
      this.unwritten.set(id, job);
      this.onFailure(error);
    }
  }

  private write(id: string, job: StoredJob | typeof REMOVED): void {
    if (job) {
      this.jobs.putSync(id, job);
    } else {
      const key = this.jobs.get(id)?.key;
      this.jobs.removeSync(id);
      if (key !== undefined) this.keys.removeSync(key);
    }
  }

  /** @throws DISPOSED */
  private check(): void {
    if (this.isClosed)
      throw new SafelightError('DISPOSED', 'The queue is closed; send it again to the next server');
  }
}

function notStored(folder: string, error: unknown): SafelightError {
  const why = error instanceof Error ? error.message : String(error);
  return new SafelightError('FILE_NOT_WRITTEN', `Cannot keep jobs in '${folder}': ${why}`, { cause: error });
}
