/**
 * Job records in LMDB, which survive any end of the process. Writes that fail on a full disk are kept in memory
 * until `flush` succeeds; only new jobs are refused, because they could be lost after they were accepted.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { SafelightError } from '../../../errors.js';
import type { Job, JobFilter } from '../../types.js';

/** A job in its stored form. */
export interface StoredJob extends Omit<Job, 'place' | 'progress' | 'warnings'> {
  readonly warnings?: Job['warnings'];
  /** Queued jobs run in ascending order of this number. */
  readonly order: number;
  /** Idempotency-Key of the request, removed together with the job. */
  readonly key?: string;
}

interface Idempotent {
  readonly id: string;
  /** SHA-256 of the request; the same key with a different request is refused. */
  readonly digest: string;
}

const REMOVED = null;

/**
 * Job database. It uses LMDB's synchronous writes, which take about 0.5 ms and throw their errors to the caller. A
 * failed commit of an asynchronous write also rejects an internal promise of lmdb, which would end the process.
 */
export class LmdbRecords {
  private readonly jobs;
  private readonly keys;
  /** Records that could not be written and are newer than those on disk; null for removed ones. */
  private readonly unwritten = new Map<string, StoredJob | typeof REMOVED>();
  private isClosed = false;

  /** Called with the error of each failed write that is kept in memory. */
  onFailure: (error: unknown) => void = () => undefined;

  private constructor(
    /** Folder of the database. */
    readonly folder: string,
    private readonly root: RootDatabase,
  ) {
    this.jobs = root.openDB<StoredJob, string>({ name: 'jobs', encoding: 'json' });
    this.keys = root.openDB<Idempotent, string>({ name: 'idempotency', encoding: 'json' });
  }

  /** Opens or creates the database in `folder`. @throws FILE_NOT_WRITTEN */
  static open(folder: string): LmdbRecords {
    try {
      mkdirSync(folder, { recursive: true });
      return new LmdbRecords(folder, open({ path: join(folder, 'jobs.lmdb'), maxDbs: 4 }));
    } catch (error) {
      throw notStored(folder, error);
    }
  }

  /** True after `close`: reads then return nothing. */
  get closed(): boolean {
    return this.isClosed;
  }

  get(id: string): StoredJob | undefined {
    if (this.isClosed) return undefined;
    const newer = this.unwritten.get(id);
    return newer === undefined ? this.jobs.get(id) : (newer ?? undefined);
  }

  /** Writes a record. If the disk is full, the record is kept in memory and written once there is space again. */
  put(job: StoredJob): void {
    this.check();
    this.writeOrKeep(job.id, job);
  }

  /** Writes a new job and its idempotency key. @throws FILE_NOT_WRITTEN if the write fails */
  add(job: StoredJob, digest?: string): void {
    this.check();
    try {
      // The key is written first: a key without its job is ignored, but a job without its key could be submitted
      // twice.
      if (job.key !== undefined && digest !== undefined) this.keys.putSync(job.key, { id: job.id, digest });
      this.jobs.putSync(job.id, job);
    } catch (error) {
      throw notStored(this.folder, error);
    }
  }

  remove(id: string): void {
    this.check();
    this.writeOrKeep(id, REMOVED);
  }

  /** Writes the records whose earlier writes failed. @throws the error of the write */
  flush(): void {
    if (this.isClosed) return;
    for (const [id, job] of [...this.unwritten]) {
      this.write(id, job);
      this.unwritten.delete(id);
    }
  }

  /** Returns jobs, newest first (ids sort by creation time). */
  list({ status, limit = 100, before }: JobFilter = {}): StoredJob[] {
    if (this.isClosed) return [];
    const matches: StoredJob[] = [];
    for (const value of this.all({ reverse: true, ...(before ? { start: before } : {}) })) {
      if (value.id === before || (status && value.status !== status)) continue;
      if (matches.push(value) >= limit) break;
    }
    return matches;
  }

  /** Returns the queued and running jobs in the order in which they are to run. */
  unfinished(): StoredJob[] {
    if (this.isClosed) return [];
    const unfinished = [...this.all()].filter(({ status }) => status === 'queued' || status === 'running');
    return unfinished.sort((a, b) => a.order - b.order);
  }

  /** Returns the end times (ISO 8601) of ended jobs by id, oldest first. */
  ended(): Map<string, string> {
    const times: [string, string][] = [];
    for (const { id, finished } of this.all()) if (finished !== undefined) times.push([id, finished]);
    return new Map(times.sort(([, a], [, b]) => (a < b ? -1 : a > b ? 1 : 0)));
  }

  idempotent(key: string): Idempotent | undefined {
    return this.isClosed ? undefined : this.keys.get(key);
  }

  /** Closes the database. Later reads, such as those of requests in progress, return nothing. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    // lmdb resets the read transaction on a timer after each read, which would access the closed file.
    this.root.resetReadTxn();
    await this.root.close();
  }

  private *all(range: { reverse?: boolean; start?: string } = {}): Generator<StoredJob> {
    for (const { key, value } of this.jobs.getRange(range)) {
      const newer = this.unwritten.get(key);
      if (newer !== REMOVED) yield newer ?? value;
    }
  }

  private writeOrKeep(id: string, job: StoredJob | typeof REMOVED): void {
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
      throw new SafelightError(
        'DISPOSED',
        'The queue is closed; send the request again when the server has restarted',
      );
  }
}

function notStored(folder: string, error: unknown): SafelightError {
  const reason = error instanceof Error ? error.message : String(error);
  return new SafelightError('FILE_NOT_WRITTEN', `Cannot store jobs in '${folder}': ${reason}`, {
    cause: error,
  });
}
